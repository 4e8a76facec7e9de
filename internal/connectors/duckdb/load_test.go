package duckdb

import (
	"path/filepath"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/conformance"
)

func Test_rows_of_a_ledger_are_appended_exactly_or_not_at_all(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.duckdb")
	write(t, path, "CREATE SCHEMA upwell")
	src, err := Source().Open(t.Context(), connector.NewConfig(map[string]string{"path": path}, nil, nil), connector.Env{Name: "w", Ledger: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	conformance.Rows(t, src.(connector.Warehouse))
}
