package main

import (
	"context"
	"database/sql"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the bare DuckDB reader and the workload's file
)

// load loads the workload into a DuckDB file.
func load(ctx context.Context, csv, file string) error {
	db, err := sql.Open("duckdb", file)
	if err != nil {
		return err
	}
	create := `CREATE TABLE accounts AS SELECT * FROM read_csv('` + strings.ReplaceAll(csv, "'", "''") + `', header = true,
		columns = {'id': 'BIGINT', 'email': 'VARCHAR', 'name': 'VARCHAR', 'seats': 'INTEGER', 'health_score': 'DOUBLE', 'mrr': 'DECIMAL(12,2)',
		'is_active': 'BOOLEAN', 'last_seen': 'TIMESTAMPTZ', 'plan': 'VARCHAR', 'country': 'VARCHAR', 'tickets_30d': 'INTEGER'})`
	_, err = db.ExecContext(ctx, create) //nolint:gosec // the benchmark's own file, quoted
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	return err
}
