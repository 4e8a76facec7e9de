package redshift_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/redshift"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/testdb"
)

const (
	user     = "upwell"
	password = "password-canary-2342"
)

// cluster is a stand-in over a database of the test's own, and a plain connection to that.
type cluster struct {
	testing.TB
	*redshifttest.Server
	dsn  string
	conn *pgx.Conn
}

func newCluster(t testing.TB, o redshifttest.Options) *cluster {
	t.Helper()
	c := &cluster{TB: t, dsn: testdb.Postgres(t)}
	o.Postgres = c.dsn
	if o.Users == nil {
		o.Users = map[string]redshifttest.User{}
	}
	o.Users[user] = redshifttest.User{Password: password}
	var err error
	if c.Server, err = redshifttest.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Server.Close() })
	if c.conn, err = pgx.Connect(t.Context(), c.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close(context.Background()) })
	// What a cluster is set to must not matter.
	c.exec("ALTER DATABASE " + c.Database() + " SET timezone = 'Europe/Berlin'; ALTER DATABASE " + c.Database() + " SET datestyle = 'German'; ALTER DATABASE " + c.Database() + " SET extra_float_digits = -3")
	return c
}

// exec runs SQL past the stand-in.
func (c *cluster) exec(sql string) {
	c.Helper()
	if _, err := c.conn.Exec(context.Background(), sql); err != nil {
		c.Fatalf("%s: %v", sql, err)
	}
}

// open opens a source with settings laid over good ones; "" removes one.
func (c *cluster) open(over ...string) connector.Source {
	c.Helper()
	values := c.Settings(user)
	for i := 0; i < len(over); i += 2 {
		values[over[i]] = over[i+1]
	}
	return open(c, values)
}

func open(t testing.TB, values map[string]string) connector.Source {
	t.Helper()
	s, err := redshift.Source().Open(t.Context(), config(values), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func config(values map[string]string) connector.Config {
	values = maps.Clone(values)
	maps.DeleteFunc(values, func(_, v string) bool { return v == "" })
	return connector.NewConfig(values, nil, map[string]bool{"dsn": true, "password": true, "iam.secret_access_key": true, "iam.session_token": true})
}

// read gives the rows of a query as texts joined by |.
func read(ctx context.Context, s connector.Source, q connector.Query) (rows []string, err error) {
	for rec, err := range s.Read(ctx, q) {
		if err != nil {
			return rows, err
		}
		for i := range int(rec.NumRows()) {
			var cells []string
			for k, f := range rec.Schema().Fields() {
				kind, err := row.KindOf(f)
				if err != nil {
					return rows, err
				}
				cells = append(cells, row.At(rec.Column(k), kind, i).String())
			}
			rows = append(rows, strings.Join(cells, "|"))
		}
	}
	return rows, nil
}
