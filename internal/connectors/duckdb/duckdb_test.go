package duckdb

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
)

// open1 opens a source with settings; ProjectDir is a fresh folder unless settings name "project".
func open1(tb testing.TB, settings map[string]string) connector.Source {
	tb.Helper()
	dir := settings["project"]
	if dir == "" {
		dir = tb.TempDir()
	}
	src, err := Source().Open(context.Background(), connector.NewConfig(settings, nil, nil), connector.Env{ProjectDir: dir, StateDir: tb.TempDir(), Name: "warehouse", Gate: connector.OpenGate{}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = src.Close() })
	return src
}

// write makes a database file with statements.
func write(tb testing.TB, path string, statements ...string) {
	tb.Helper()
	db, err := sql.Open("duckdb", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

// readAll reads a query to its end as texts by column.
func readAll(src connector.Source, q connector.Query) (*arrow.Schema, [][]string, error) {
	var schema *arrow.Schema
	var rows [][]string
	for rec, err := range src.Read(context.Background(), q) {
		if err != nil {
			return schema, rows, err
		}
		schema = rec.Schema()
		for i := range int(rec.NumRows()) {
			r := make([]string, rec.NumCols())
			for j := range r {
				r[j] = strings.Clone(rec.Column(j).ValueStr(i))
			}
			rows = append(rows, r)
		}
	}
	return schema, rows, nil
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
