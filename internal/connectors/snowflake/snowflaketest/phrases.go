package snowflaketest

import (
	"strings"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// A phrase is a word that begins something DuckDB says otherwise. It gives the place behind what it translated; done is false
// when there was nothing to translate.
type phrase func(t *translator, i int) (behind int, done bool, err error)

func phrases() map[string]phrase {
	return map[string]phrase{
		"TRANSIENT": dropped(0), "VOLATILE": dropped(0),
		"DATA_RETENTION_TIME_IN_DAYS": dropped(2), "COMMENT": property, "CLUSTER": clusterBy, "COPY": copyGrants,
		"DATABASE": createDatabase, "INFORMATION_SCHEMA": catalog,
		"TABLE": tableFunction, "SEQ4": sequence, "SEQ8": sequence, "ROW_NUMBER": rowNumber,
		"CURRENT_WAREHOUSE": current(func(s *session) string { return s.warehouse }),
		"CURRENT_ROLE":      current(func(s *session) string { return s.role }),
		"CURRENT_DATABASE":  current(func(s *session) string { return s.database }),
		"CURRENT_SCHEMA":    current(func(s *session) string { return s.schema }),
		"CURRENT_USER":      current(func(*session) string { return User }),
		"CURRENT_ACCOUNT":   current(func(*session) string { return strings.ToUpper(Account) }),
		"CURRENT_TIMESTAMP": moment("now()"), "CURRENT_DATE": moment("today()"),
		"OBJECT_CONSTRUCT":           wrapped("json_merge_patch(CAST('{}' AS JSON), json_object(", "))"), // null values are left out
		"OBJECT_CONSTRUCT_KEEP_NULL": wrapped("json_object(", ")"),
		"ARRAY_CONSTRUCT":            wrapped("CAST(json_array(", ") AS JSON[])"),
		"TO_JSON":                    wrapped("sf_to_json(", ")"),
		"TO_BINARY":                  unhex,
		"GET":                        element,
		"TO_VARCHAR":                 formatted, "TO_CHAR": formatted,
		"DATEADD": dateAdd, "DATEDIFF": dateDiff,
		"LISTAGG": wrapped("string_agg(", ")"),
	}
}

// dropped leaves a word out, and n tokens that follow it.
func dropped(n int) phrase {
	return func(t *translator, i int) (int, bool, error) {
		for range n {
			i = t.next(i + 1)
		}
		return i + 1, true, nil
	}
}

// property drops COMMENT = '…'; elsewhere comment is a name.
func property(t *translator, i int) (int, bool, error) {
	if eq := t.next(i + 1); t.at(eq).Is("=") && t.at(t.next(eq+1)).Kind == warehousetest.String && t.at(t.next(0)).Is("CREATE") {
		return t.next(eq+1) + 1, true, nil
	}
	return i, false, nil
}

func clusterBy(t *translator, i int) (int, bool, error) {
	by := t.next(i + 1)
	open := t.next(by + 1)
	if !t.at(by).Is("BY") || !t.at(open).Is("(") {
		return i, false, nil
	}
	return warehousetest.Closing(t.in, open) + 1, true, nil
}

func copyGrants(t *translator, i int) (int, bool, error) {
	if grants := t.next(i + 1); t.at(grants).Is("GRANTS") {
		return grants + 1, true, nil
	}
	return i, false, nil
}

// createDatabase turns CREATE DATABASE into ATTACH; every database has a schema PUBLIC.
func createDatabase(t *translator, i int) (int, bool, error) {
	if !strings.EqualFold(strings.TrimSpace(t.out.String()), "CREATE") {
		return i, false, nil
	}
	j := t.next(i + 1)
	exists := ""
	if t.at(j).Is("IF") {
		exists = "IF NOT EXISTS "
		j = t.next(t.next(t.next(j+1)+1) + 1)
	}
	name, behind := qualified(t.in, j)
	if name == "" {
		return i, false, nil
	}
	t.out.Reset()
	t.out.WriteString("ATTACH " + exists + "':memory:' AS " + warehousetest.Ident(name) + "; CREATE SCHEMA " + exists + warehousetest.Ident(name) + "." + Schema)
	return behind, true, nil
}

// tableFunctions are the functions that stand in TABLE(…), by name: the argument they need, and what stands before and behind it.
var tableFunctions = map[string][3]string{
	"GENERATOR": {"ROWCOUNT", "(SELECT range AS upwell_seq FROM range(", "))"},                                          // a table of numbers, which SEQ4 and SEQ8 read
	"FLATTEN":   {"INPUT", "(SELECT upwell_value AS VALUE FROM (SELECT UNNEST(CAST(", " AS JSON[])) AS upwell_value))"}, // a row of each element
}

// tableFunction turns TABLE(FUNCTION(ARGUMENT => x)) into a query.
func tableFunction(t *translator, i int) (int, bool, error) {
	spans, behind, ok := t.args(i)
	if !ok || len(spans) != 1 {
		return i, false, nil
	}
	g := t.next(spans[0][0])
	inner, _, ok := t.args(g)
	f, known := tableFunctions[t.at(g).Value]
	if !ok || !known {
		return i, false, nil
	}
	for _, span := range inner {
		name := t.next(span[0])
		arrow := t.next(name + 1)
		if t.at(name).Is(f[0]) && t.at(arrow).Is("=>") {
			x, err := t.text(arrow+1, span[1])
			t.out.WriteString(f[1] + x + f[2])
			return behind, true, err
		}
	}
	return i, false, nil
}

// catalog is INFORMATION_SCHEMA.TABLES: the tables of one database, by the names that the server has for them
// (https://docs.snowflake.com/en/sql-reference/info-schema).
func catalog(t *translator, i int) (int, bool, error) {
	view := t.next(t.next(i+1) + 1)
	if !t.at(t.next(i+1)).Is(".") || !t.at(view).Is("TABLES") {
		return i, false, nil
	}
	database, said := t.self.database, t.out.String()
	if i > 1 && t.in[i-1].Is(".") { // behind a database's name, which is written already
		database, _ = qualified(t.in[i-2:i-1], 0)
		name := database
		if t.in[i-2].Kind == warehousetest.Quoted {
			name = warehousetest.Ident(database)
		}
		t.out.Reset()
		t.out.WriteString(strings.TrimSuffix(said, name+"."))
	}
	names := make([]string, 0, 2)
	for _, c := range []string{"table_schema", "table_name"} {
		names = append(names, "regexp_replace("+c+", '"+mark+"[01]+$', '') AS "+c)
	}
	t.out.WriteString("(SELECT * REPLACE (" + strings.Join(names, ", ") + ") FROM information_schema.tables WHERE table_catalog = " + warehousetest.Literal(database) + ")")
	return view + 1, true, nil
}

// element is GET(x, n), the n-th element of an array; as text, it has no quotes
// (https://docs.snowflake.com/en/sql-reference/functions/get).
func element(t *translator, i int) (int, bool, error) {
	spans, behind, ok := t.args(i)
	if !ok || len(spans) != 2 {
		return i, false, nil
	}
	x, err := t.text(spans[0][0], spans[0][1])
	if err != nil {
		return i, false, err
	}
	function := "json_extract"
	if cast := t.next(behind); t.at(cast).Is("::") && duckTypes[t.at(t.next(cast+1)).Value] == "VARCHAR" {
		function, behind = "json_extract_string", t.next(cast+1)+1
	}
	n, err := t.text(spans[1][0], spans[1][1])
	t.out.WriteString(function + "(" + x + ", '$[' || " + n + " || ']')")
	return behind, true, err
}

func sequence(t *translator, i int) (int, bool, error) {
	if _, behind, ok := t.args(i); ok {
		t.out.WriteString("upwell_seq")
		return behind, true, nil
	}
	return i, false, nil
}

// rowNumber makes ROW_NUMBER() OVER (ORDER BY SEQ8()), the way to numbers without gaps, cheap.
func rowNumber(t *translator, i int) (int, bool, error) {
	_, behind, ok := t.args(i)
	if !ok {
		return i, false, nil
	}
	over := t.next(behind)
	open := t.next(over + 1)
	order := t.next(open + 1)
	by := t.next(order + 1)
	seq := t.next(by + 1)
	if t.at(over).Is("OVER") && t.at(open).Is("(") && t.at(order).Is("ORDER") && t.at(by).Is("BY") && (t.at(seq).Is("SEQ4") || t.at(seq).Is("SEQ8")) {
		_, after, called := t.args(seq)
		if end := t.next(after); called && t.at(end).Is(")") {
			t.out.WriteString("(upwell_seq + 1)")
			return end + 1, true, nil
		}
	}
	return i, false, nil
}

func current(of func(*session) string) phrase {
	return func(t *translator, i int) (int, bool, error) {
		_, behind, ok := t.args(i)
		if !ok {
			behind = i + 1
		}
		if v := of(t.self); v != "" {
			t.out.WriteString(warehousetest.Literal(decodeNames(v)))
		} else {
			t.out.WriteString("CAST(NULL AS VARCHAR)")
		}
		return behind, true, nil
	}
}

func moment(duck string) phrase {
	return func(t *translator, i int) (int, bool, error) {
		_, behind, ok := t.args(i)
		if !ok {
			behind = i + 1
		}
		t.out.WriteString(duck)
		return behind, true, nil
	}
}

// wrapped calls something else with the same arguments.
func wrapped(before, after string) phrase {
	return func(t *translator, i int) (int, bool, error) {
		spans, behind, ok := t.args(i)
		if !ok {
			return i, false, nil
		}
		t.out.WriteString(before)
		for k, span := range spans {
			if k > 0 {
				t.out.WriteString(", ")
			}
			if err := t.span(span[0], span[1]); err != nil {
				return i, false, err
			}
		}
		t.out.WriteString(after)
		return behind, true, nil
	}
}

// unhex is TO_BINARY of a text in hex, as DuckDB's own function of that name gives digits, or of a text's bytes
// (https://docs.snowflake.com/en/sql-reference/functions/to_binary).
func unhex(t *translator, i int) (int, bool, error) {
	spans, behind, ok := t.args(i)
	if !ok || len(spans) == 0 {
		return i, false, nil
	}
	text, err := t.text(spans[0][0], spans[0][1])
	function := "unhex"
	if len(spans) > 1 && strings.EqualFold(t.at(t.next(spans[1][0])).Value, "UTF-8") {
		function = "encode"
	}
	t.out.WriteString(function + "(" + text + ")")
	return behind, true, err
}

// formatted turns the date format of TO_VARCHAR(x, 'format') into strftime's, or makes a text of bytes.
func formatted(t *translator, i int) (int, bool, error) {
	spans, behind, ok := t.args(i)
	if !ok || len(spans) != 2 || t.at(t.next(spans[1][0])).Kind != warehousetest.String {
		return i, false, nil
	}
	value, err := t.text(spans[0][0], spans[0][1])
	if strings.EqualFold(t.at(t.next(spans[1][0])).Value, "UTF-8") { // of bytes
		t.out.WriteString("decode(" + value + ")")
		return behind, true, err
	}
	t.out.WriteString("strftime(" + value + ", " + warehousetest.Literal(formats.Replace(t.at(t.next(spans[1][0])).Value)) + ")")
	return behind, true, err
}

var formats = strings.NewReplacer(`"T"`, "T", "YYYY", "%Y", "MM", "%m", "MON", "%b", "DD", "%d", "HH24", "%H", "HH12", "%I", "MI", "%M", "SS", "%S", "FF9", "%n", "FF6", "%f", "FF3", "%g", "AM", "%p", "TZHTZM", "%z")

// dateAdd turns DATEADD(part, n, x) into an addition of an interval.
func dateAdd(t *translator, i int) (int, bool, error) {
	spans, behind, ok := t.args(i)
	if !ok || len(spans) != 3 {
		return i, false, nil
	}
	n, err := t.text(spans[1][0], spans[1][1])
	if err != nil {
		return i, false, err
	}
	x, err := t.text(spans[2][0], spans[2][1])
	t.out.WriteString("(" + x + " + (" + n + ") * INTERVAL 1 " + unit(t.at(t.next(spans[0][0]))) + ")")
	return behind, true, err
}

func dateDiff(t *translator, i int) (int, bool, error) {
	spans, behind, ok := t.args(i)
	if !ok || len(spans) != 3 {
		return i, false, nil
	}
	a, err := t.text(spans[1][0], spans[1][1])
	if err != nil {
		return i, false, err
	}
	b, err := t.text(spans[2][0], spans[2][1])
	t.out.WriteString("date_diff(" + warehousetest.Literal(unit(t.at(t.next(spans[0][0])))) + ", " + a + ", " + b + ")")
	return behind, true, err
}

// unit is the date part a function is called with.
func unit(tok warehousetest.Token) string {
	if tok.Kind == warehousetest.String {
		return strings.ToUpper(tok.Value)
	}
	return tok.Value
}
