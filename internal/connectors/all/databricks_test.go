package all

import (
	"context"
	"flag"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/databricks"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/ledgertest"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
)

// It stands here because stand-ins of warehouses link DuckDB, which the ledger's own tests do without.
func Test_the_ledger_in_databricks_keeps_the_contract(t *testing.T) {
	if err := flag.Set("rapid.checks", "1"); err != nil { // a history costs a second or two here; the proof tries more
		t.Fatal(err)
	}
	ledgertest.Run(t, func(t testing.TB) ledgertest.Harness {
		s, err := databrickstest.Start(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		s.Lag()
		dir := t.TempDir()
		open := func(ctx context.Context) (connector.Warehouse, error) {
			settings := s.Settings()
			settings["start_timeout"], settings["downloads"] = "1m", "4"
			c, err := databricks.Source().Open(ctx, connector.NewConfig(settings, nil, nil), connector.Env{Name: "warehouse"})
			if err != nil {
				return nil, err
			}
			return c.(connector.Warehouse), nil //nolint:forcetypeassert // the test is about one that is
		}
		return ledgertest.Harness{Open: func() ledger.Home {
			return warehouse.Open(warehouse.Options{Open: open, Dir: dir, Source: "warehouse", Project: "acme", Sync: "accounts"})
		}}
	})
}
