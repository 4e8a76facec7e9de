package connector

import (
	"context"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/row"
)

// Lister is a source that can name its tables. It is asked when a model's table is not there, for the name that was meant.
type Lister interface {
	// Tables names the tables and views that the user can see beside a table of this name (table or schema.table), which need not be
	// there; written as a model names them.
	Tables(ctx context.Context, name string) ([]string, error)
}

// Listed runs the query that names the tables of a schema: sql with the parameter, or with here in its place where a model's name has
// no schema. Its one column of text becomes names like name.
func Listed(ctx context.Context, s Source, name, sql, here string) ([]string, error) {
	d := s.Dialect()
	prefix, q := "", Query{SQL: strings.Replace(sql, "%s", here, 1)}
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		prefix = name[:at+1]
		schema := name[strings.LastIndexByte(name[:at], '.')+1 : at]
		q = Query{SQL: strings.Replace(sql, "%s", d.Param(1, row.Text), 1), Params: []row.Value{row.TextValue(d.Server(schema))}}
	}
	var out []string
	for rec, err := range s.Read(ctx, q) {
		if err != nil {
			return nil, err
		}
		names, ok := rec.Column(0).(*array.String)
		for i := 0; ok && i < names.Len(); i++ {
			if names.IsValid(i) {
				out = append(out, prefix+d.Known(strings.Clone(names.Value(i))))
			}
		}
	}
	return out, nil
}
