package sqlite

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_a_refused_query_is_placed_in_the_users_own_sql(t *testing.T) {
	src, _ := start(t, "CREATE TABLE health (id INTEGER, email TEXT)")
	for name, c := range map[string]struct {
		sql          string
		line, column int
	}{
		"a typing error":                      {"SELECT id\nFORM health", 2, 6}, // FORM is taken for the column's name
		"a word too many":                     {"SELECT id\nFROM health\n  WHERE WHERE id = 1", 3, 9},
		"an unknown column":                   {"\n\n  SELECT id,\n    emial\n  FROM health", 4, 5},
		"behind characters of several bytes":  {"SELECT 'äöü', emial FROM health", 1, 15},
		"an unknown column, named twice":      {"SELECT id AS emial,\n email FROM health h WHERE h.emial > 1", 2, 28},
		"an unknown function":                 {"SELECT id,\n lowr(email) FROM health", 2, 2},
		"an unknown table, which is not told": {"SELECT id\nFROM healt", 0, 0},
		"an end that comes too early":         {"SELECT id FROM health WHERE (id", 0, 0},
	} {
		for how, q := range map[string]connector.Query{
			"whole": {SQL: c.sql}, "some columns": {SQL: c.sql, Columns: []string{"id"}}, "with a condition": {SQL: c.sql, Where: "id > 1"},
		} {
			_, err := src.Describe(t.Context(), q)
			if f := fault.As(err); f == nil || f.Code != fault.SourceQueryFailed || f.Line != c.line || f.Column != c.column {
				t.Errorf("%s, %s, described: %v at %d:%d", name, how, err, f.Line, f.Column)
			}
			_, _, err = readAll(t.Context(), src, q)
			if f := fault.As(err); f == nil || f.Line != c.line || f.Column != c.column {
				t.Errorf("%s, %s, read: %v at %d:%d", name, how, err, f.Line, f.Column)
			}
		}
	}
}

func Test_a_fault_outside_of_the_users_sql_has_no_place_in_it(t *testing.T) {
	src, _ := start(t, "CREATE TABLE health (id INTEGER, email TEXT)")
	for _, q := range []connector.Query{
		{SQL: "SELECT id FROM health", Where: "emial > 1"}, {Table: "healt"},
	} {
		_, err := src.Describe(t.Context(), q)
		if f := fault.As(err); f == nil || f.Line != 0 {
			t.Errorf("%+v: %v at %d:%d", q, err, f.Line, f.Column)
		}
	}
}
