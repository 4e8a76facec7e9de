package warehouse_test

import (
	"context"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/ledgertest"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
	"github.com/upwelldata/upwell/internal/testdb"
)

// opener connects to a database of the test's own.
func opener(t testing.TB) func(context.Context) (connector.Warehouse, error) {
	dsn := testdb.Postgres(t)
	return func(ctx context.Context) (connector.Warehouse, error) {
		c := postgres.Source()
		cfg := connector.NewConfig(map[string]string{"dsn": dsn}, nil, nil)
		s, err := c.Open(ctx, cfg, connector.Env{Name: "warehouse"})
		if err != nil {
			return nil, err
		}
		return s.(connector.Warehouse), nil //nolint:forcetypeassert // the test is about one that is
	}
}

func Test_the_ledger_in_postgres_keeps_the_contract(t *testing.T) {
	ledgertest.Run(t, func(t testing.TB) ledgertest.Harness {
		open, dir := opener(t), t.TempDir()
		return ledgertest.Harness{Open: func() ledger.Home {
			return warehouse.Open(warehouse.Options{Open: open, Dir: dir, Source: "warehouse", Project: "acme", Sync: "accounts"})
		}}
	})
}
