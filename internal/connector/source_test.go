package connector

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/row"
)

var upper = Dialect{Name: "upper", Quote: '"', Placeholder: "?", Upper: true}

func Test_a_server_that_upper_cases_names_is_addressed_in_lower_case(t *testing.T) {
	for name, ident := range map[string]string{
		"account_id":      `"ACCOUNT_ID"`,
		"_a1$":            `"_A1$"`,
		"Account_Id":      `"Account_Id"`,
		"ACCOUNT_ID":      `"ACCOUNT_ID"`,
		"with space":      `"with space"`,
		`with"quote`:      `"with""quote"`,
		"ünï":             `"ünï"`,
		"1st":             `"1st"`,
		`"account_id"`:    `"account_id"`,
		`"Account ""x"""`: `"Account ""x"""`,
	} {
		if got := upper.Ident(name); got != ident {
			t.Errorf("%s is quoted as %s; want %s", name, got, ident)
		}
	}
	for server, name := range map[string]string{
		"ACCOUNT_ID": "account_id",
		"account_id": `"account_id"`,
		"Account_Id": "Account_Id",
		`"X"`:        `"""X"""`,
		"ÜNÏ":        "ÜNÏ",
		"1ST":        "1ST",
	} {
		if got := upper.Known(server); got != name {
			t.Errorf("%s is known as %s; want %s", server, got, name)
		}
	}
	if got := upper.Table(`analytics."customers".Health`); got != `"ANALYTICS"."customers"."Health"` {
		t.Errorf("table: %s", got)
	}
	for name, want := range map[string]string{
		`"my.schema"."a ""b"" c.d".plain`: `"my.schema"."a ""b"" c.d"."PLAIN"`,
		`"a"".b"`:                         `"a"".b"`,
		`a"b.c`:                           `"a""b"."C"`,
		`"open.end`:                       `"""open.end"`,
	} {
		if got := upper.Table(name); got != want {
			t.Errorf("the table %s is written %s; want %s", name, got, want)
		}
	}
	if got := (Dialect{Quote: '`', Backslash: true}).Table("`a\\`.b`.c"); got != "`a\\`.b`.`c`" {
		t.Errorf("a quote kept by a backslash ends the part: %s", got)
	}
	if d := (Dialect{Quote: '`'}); d.Ident("account_id") != "`account_id`" || d.Known("ACCOUNT_ID") != "ACCOUNT_ID" {
		t.Error("a server that keeps names is addressed otherwise")
	}
}

func Test_a_backslash_keeps_a_quote_inside_a_name(t *testing.T) {
	d := Dialect{Quote: '`', Backslash: true}
	for name, ident := range map[string]string{"plain": "`plain`", "a`b": "`a\\`b`", `a\`: "`a\\\\`", "a\\`; DROP": "`a\\\\\\`; DROP`"} {
		if got := d.Ident(name); got != ident {
			t.Errorf("%s is quoted as %s; want %s", name, got, ident)
		}
	}
}

func Test_every_name_of_the_server_has_a_name_of_its_own(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.SampledFrom([]rune(`aAbB_1$" ü`)), 1, 6, -1).Draw(t, "name")
		if got := upper.Ident(upper.Known(name)); got != upper.quote(name) {
			t.Fatalf("%s is known as %s, which is quoted as %s", name, upper.Known(name), got)
		}
	})
}

func Test_a_place_in_a_statement_is_found_again_in_the_models_sql(t *testing.T) {
	const sql = "\n\n  select id,\n    größe as nope\n  from t;\n"
	for name, q := range map[string]Query{
		"as it is":         {SQL: sql},
		"with a condition": {SQL: sql, Where: "id > 5"},
		"with columns":     {SQL: sql, Columns: []string{"id"}, Equal: []ColumnIs{{Column: "id", Value: row.IntValue(1)}}},
	} {
		statement, _ := q.Render(Dialect{Quote: '"', Placeholder: "?"})
		at := len([]rune(statement[:strings.Index(statement, "nope")]))
		if line, column := q.Position(statement, at); line != 4 || column != 14 {
			t.Errorf("%s: line %d, column %d; want 4, 14", name, line, column)
		}
		if i := strings.Index(statement, "id > 5"); i >= 0 {
			if line, _ := q.Position(statement, len([]rune(statement[:i]))); line != 0 {
				t.Errorf("%s: the condition is taken for line %d of the model", name, line)
			}
		}
	}
	if line, _ := (Query{Table: "t"}).Position(`SELECT * FROM "t"`, 3); line != 0 {
		t.Errorf("a table has no SQL, got line %d", line)
	}
}
