package mysql

import (
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_a_refused_query_is_placed_in_the_users_own_sql(t *testing.T) {
	s := start(t, "CREATE TABLE health (id BIGINT, email VARCHAR(40))")
	for name, c := range map[string]struct {
		sql          string
		line, column int
	}{
		"a typing error":                     {"SELECT id,\n  email\nFORM health", 3, 6}, // FORM is taken for the column's name
		"a word too many":                    {"\n\nSELECT id\nFROM health\n  WHERE WHERE id = 1", 5, 9},
		"behind characters of several bytes": {"SELECT 'äöü' FROM FROM health", 1, 19},
		"an end that comes too early":        {"SELECT id\nFROM health\nWHERE (id = 1", 3, 0},
		"an unknown column":                  {"SELECT id,\n  emial\nFROM health", 2, 3},
		"an unknown column, named twice":     {"SELECT id AS emial,\n email FROM health h WHERE h.emial > 1", 0, 0},
		"an unknown function":                {"SELECT id,\n lowr(email) FROM health", 2, 2},
		"an unknown table":                   {"SELECT id\nFROM healt", 2, 6},
	} {
		for how, q := range map[string]connector.Query{
			"whole": {SQL: c.sql}, "some columns": {SQL: c.sql, Columns: []string{"id"}}, "with a condition": {SQL: c.sql, Where: "id > 1"},
		} {
			_, err := s.src.Describe(t.Context(), q)
			if f := fault.As(err); f == nil || f.Code != fault.SourceQueryFailed || f.Line != c.line || f.Column != c.column {
				t.Errorf("%s, %s, described: %v at %d:%d", name, how, err, f.Line, f.Column)
			}
			for _, err := range s.src.Read(t.Context(), q) {
				if f := fault.As(err); f == nil || f.Line != c.line || f.Column != c.column {
					t.Errorf("%s, %s, read: %v at %d:%d", name, how, err, f.Line, f.Column)
				}
			}
		}
	}
}

func Test_a_fault_outside_of_the_users_sql_has_no_place_in_it(t *testing.T) {
	s := start(t, "CREATE TABLE health (id BIGINT, email VARCHAR(40))")
	for _, q := range []connector.Query{
		{SQL: "SELECT id /* emial */ FROM health", Where: "emial > 1"},
		{SQL: "SELECT id /* emial */ FROM health", Columns: []string{"emial"}},
		{SQL: "SELECT id FROM health", Where: "id id"},
		{Table: "healt"},
	} {
		_, err := s.src.Describe(t.Context(), q)
		if f := fault.As(err); f == nil || f.Code != fault.SourceQueryFailed || f.Line != 0 {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// The words of MySQL 8.4, which differ from MariaDB's in places.
func Test_the_places_that_messages_tell(t *testing.T) {
	const sql = "SELECT id,\n  emial\nFROM a a, b\n  b b"
	for message, want := range map[string][2]int{
		"Unknown column 'emial' in 'field list'":     {2, 3},
		"Unknown column 'h.emial' in 'where clause'": {2, 3},
		"Unknown column 'other' in 'field list'":     {0, 0},
		"Table 'shop.emial' doesn't exist":           {2, 3},
		"You have an error in your SQL syntax; check the manual for the right syntax to use near 'a, b\n  b b' at line 3": {3, 8},
		"You have an error in your SQL syntax; check the manual for the right syntax to use near 'b' at line 4":           {4, 5},
		"You have an error in your SQL syntax; check the manual for the right syntax to use near '' at line 4":            {4, 0},
		"You have an error in your SQL syntax; check the manual for the right syntax to use near 'x' at line 9":           {0, 0},
		"Division by 0": {0, 0},
	} {
		if line, column := placeOf(connector.Query{SQL: sql}, &mysql.MySQLError{Message: message}); [2]int{line, column} != want {
			t.Errorf("%s: %d:%d, want %v", message, line, column, want)
		}
	}
}
