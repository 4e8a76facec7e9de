package proof_test

import (
	"context"
	"flag"
	"maps"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/snowflake"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/ledgertest"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
)

// snowflakeStandIn starts a stand-in and gives a way to connect to it with Snowflake's own driver.
func snowflakeStandIn(t testing.TB) (*snowflaketest.Server, func(context.Context) (connector.Warehouse, error)) {
	t.Helper()
	s, err := snowflaketest.Start(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := snowflake.Source()
	settings := maps.Clone(s.Settings())
	for _, one := range c.Spec.Settings {
		if _, set := settings[one.Name]; !set && one.Default != "" {
			settings[one.Name] = one.Default
		}
	}
	secrets := map[string]bool{"token": true}
	return s, func(ctx context.Context) (connector.Warehouse, error) {
		src, err := c.Open(ctx, connector.NewConfig(settings, nil, secrets), connector.Env{Name: "warehouse", Ledger: true})
		if err != nil {
			return nil, err
		}
		return src.(connector.Warehouse), nil //nolint:forcetypeassert // the proof is about one that is
	}
}

// The contract of every ledger, held by one that Snowflake keeps. It stands here because the stand-in links DuckDB.
func Test_the_ledger_in_snowflake_keeps_the_contract(t *testing.T) {
	if err := flag.Set("rapid.checks", "2"); err != nil { // a history costs a second here
		t.Fatal(err)
	}
	defer func() {
		if err := flag.Set("rapid.checks", "100"); err != nil {
			t.Fatal(err)
		}
	}()
	_, open := snowflakeStandIn(t)
	ledgertest.Run(t, func(t testing.TB) ledgertest.Harness {
		dir := t.TempDir()
		return ledgertest.Harness{Open: func() ledger.Home {
			return warehouse.Open(warehouse.Options{Open: open, Dir: dir, Source: "warehouse", Project: dir, Sync: "accounts"})
		}}
	})
}
