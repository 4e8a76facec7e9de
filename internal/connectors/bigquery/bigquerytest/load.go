package bigquerytest

import (
	"context"
	"strings"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// Load appends the rows of a CSV file with a line of names to a table. It does at once what a load job does:
// https://docs.cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv. A name without a dataset is one of Dataset's.
func (s *Server) Load(ctx context.Context, table, file string) error {
	session, err := s.engine.Session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Load(ctx, engineName(table), file)
}

// engineName is a table's name for the engine.
func engineName(table string) string {
	if !strings.Contains(table, ".") {
		table = Dataset + "." + table
	}
	parts := strings.Split(table, ".")
	for i, p := range parts {
		parts[i] = warehousetest.Ident(p)
	}
	return strings.Join(parts, ".")
}
