package warehouse_test

import (
	"context"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/redshift"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/ledgertest"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
	"github.com/upwelldata/upwell/internal/testdb"
)

func Test_the_ledger_in_redshift_keeps_the_contract(t *testing.T) {
	for _, protocol := range []string{"simple", "extended"} {
		t.Run(protocol, func(t *testing.T) {
			ledgertest.Run(t, func(t testing.TB) ledgertest.Harness {
				s, err := redshifttest.Start(t.Context(), redshifttest.Options{
					Postgres: testdb.Postgres(t), Users: map[string]redshifttest.User{"upwell": {Password: "secret"}},
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				settings := s.Settings("upwell")
				settings["protocol"] = protocol
				open := func(ctx context.Context) (connector.Warehouse, error) {
					s, err := redshift.Source().Open(ctx, connector.NewConfig(settings, nil, nil), connector.Env{Name: "warehouse"})
					if err != nil {
						return nil, err
					}
					return s.(connector.Warehouse), nil //nolint:forcetypeassert // the test is about one that is
				}
				dir := t.TempDir()
				return ledgertest.Harness{Open: func() ledger.Home {
					return warehouse.Open(warehouse.Options{Open: open, Dir: dir, Source: "warehouse", Project: "acme", Sync: "accounts"})
				}}
			})
		})
	}
}
