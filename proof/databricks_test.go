package proof_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connectors/databricks"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
)

// inDatabricks is a stand-in: it computes with DuckDB what the statements mean, and cannot tell whether the vendor would take them.
func inDatabricks(t testing.TB) database {
	s, err := databrickstest.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	settings := s.Settings()
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		pairs = append(pairs, k+": '"+settings[k]+"'")
	}
	yaml := strings.NewReplacer("allow_private: 'true'", "allow_private: true").Replace(strings.Join(pairs, ", "))
	return database{databricks.Source(), yaml, func(list []string) error { return s.Exec(context.Background(), list...) }}
}

func Test_the_ledger_in_databricks_gives_the_plans_of_a_local_one(t *testing.T) {
	homes(t, inDatabricks(t))
}
