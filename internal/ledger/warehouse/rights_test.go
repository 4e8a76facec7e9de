package warehouse_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
	"github.com/upwelldata/upwell/internal/testdb"
)

// restricted gives a ledger of a user who has no rights but those that grants give.
func restricted(t *testing.T, user string, grants ...string) ledger.Home {
	t.Helper()
	dsn := testdb.Postgres(t)
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, sql := range append([]string{"CREATE ROLE " + user + " LOGIN"}, grants...) {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), dsn)
		if err == nil {
			_, err = c.Exec(context.Background(), "DROP OWNED BY "+user+" CASCADE; DROP ROLE "+user)
			_ = c.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	return warehouse.Open(warehouse.Options{
		Open: func(ctx context.Context) (connector.Warehouse, error) {
			s, err := postgres.Source().Open(ctx, connector.NewConfig(map[string]string{"dsn": u.String()}, nil, nil), connector.Env{Name: "warehouse", Ledger: true})
			if err != nil {
				return nil, err
			}
			return s.(connector.Warehouse), nil //nolint:forcetypeassert // the test is about one that is
		},
		Dir: t.TempDir(), Project: "acme", Sync: "accounts",
	})
}

func Test_a_user_who_may_make_no_schema_is_told_what_to_grant(t *testing.T) {
	h := restricted(t, "upwell_no_rights")
	_, err := h.Begin(t.Context(), "r1")
	f := fault.As(err)
	if f == nil || f.Code != fault.StateUnusable || !strings.Contains(f.Message, "permission denied") || !strings.Contains(f.GetFix(), "upwell grants") {
		t.Fatalf("%v, fix %q", err, f.GetFix())
	}
	s, err := h.Snapshot(t.Context()) // looking needs no right to write
	if err != nil {
		t.Fatal(err)
	}
	if m := s.Meta(); m.Version != 0 || m.Rows != 0 {
		t.Errorf("%+v", m)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func Test_a_schema_that_was_made_beforehand_is_enough(t *testing.T) {
	h := restricted(t, "upwell_guest", "CREATE SCHEMA upwell", "GRANT USAGE, CREATE ON SCHEMA upwell TO upwell_guest")
	s, err := h.Begin(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Two state folders must not run one sync: the second is told who holds the ledger, and takes over when the first has let go.
func Test_a_second_folder_is_told_who_holds_the_ledger(t *testing.T) {
	open := opener(t)
	at := func(dir string) ledger.Home {
		return warehouse.Open(warehouse.Options{Open: open, Dir: dir, Project: "acme", Sync: "accounts"})
	}
	mine, other := t.TempDir(), t.TempDir()
	s, err := at(mine).Begin(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at(other).Begin(t.Context(), "r2"); !fault.Is(err, fault.StateLocked) || !strings.Contains(err.Error(), mine) {
		t.Fatal(err)
	}
	// A process on the same folder takes over at once; what the former one still writes is refused.
	next, err := at(mine).Begin(t.Context(), "r3")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), ledger.Publication{}); !fault.Is(err, fault.StateLocked) {
		t.Fatalf("a process that lost the ledger published: %v", err)
	}
	for _, c := range []ledger.Session{s, next} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	last, err := at(other).Begin(t.Context(), "r4")
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Close(); err != nil {
		t.Error(err)
	}
}
