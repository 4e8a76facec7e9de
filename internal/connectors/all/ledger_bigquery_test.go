package all

import (
	"context"
	"flag"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/ledgertest"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
)

func Test_the_ledger_in_bigquery_keeps_the_contract(t *testing.T) {
	fewHistories(t)
	ledgertest.Run(t, func(t testing.TB) ledgertest.Harness {
		s, err := bigquerytest.Start(t.Context(), "127.0.0.1:0", bigquerytest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		open := func(ctx context.Context) (connector.Warehouse, error) {
			w, err := bigquery.Source().Open(ctx, connector.NewConfig(s.Settings(), nil, map[string]bool{"credentials": true}), connector.Env{Name: "warehouse"})
			if err != nil {
				return nil, err
			}
			return w.(connector.Warehouse), nil //nolint:forcetypeassert // the test is about one that is
		}
		dir := t.TempDir()
		return ledgertest.Harness{Open: func() ledger.Home {
			return warehouse.Open(warehouse.Options{Open: open, Dir: dir, Source: "warehouse", Project: "acme", Sync: "accounts"})
		}}
	})
}

// fewHistories lets the suite try a few random histories only, each of which costs seconds, unless -rapid.checks says how many.
func fewHistories(t *testing.T) {
	t.Helper()
	checks, set := flag.Lookup("rapid.checks"), false
	flag.Visit(func(f *flag.Flag) { set = set || f == checks })
	if set {
		return
	}
	before := checks.Value.String()
	if err := checks.Value.Set("2"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checks.Value.Set(before); err != nil {
			t.Error(err)
		}
	})
}
