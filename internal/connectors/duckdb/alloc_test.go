//go:build debug_bindings

// Run with -tags debug_bindings: the bindings then count every object DuckDB hands out.

package duckdb

import (
	"context"
	"testing"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/connector"
)

func Test_every_object_of_DuckDB_is_given_back(t *testing.T) {
	before := bindings.GetAllocationCounts()
	for _, sql := range []string{
		"SELECT i, [i] AS l, {'a': 1.5} AS s, 'x'::ENUM ('x') AS e, 1.5 AS d FROM range(50000) t(i)", "SELECT nonsense", "SET threads = 1", "SELECT 1 AS a, 2 AS a",
		"SELECT (CASE WHEN i = 90000 THEN 'x' ELSE '1' END)::INT AS n FROM range(100000) t(i)", "SELECT 'infinity'::DATE AS d",
	} {
		src := open1(t, map[string]string{})
		_, _, _ = readAll(src, connector.Query{SQL: sql})
		for range src.Read(context.Background(), connector.Query{SQL: sql, Limit: 40000}) {
			break
		}
		_, _ = src.Describe(context.Background(), connector.Query{SQL: sql})
	}
	_ = open1(t, map[string]string{"path": "missing"}).Check(context.Background())
	if after := bindings.GetAllocationCounts(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
