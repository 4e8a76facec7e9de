package dialect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Scratch names the tables of one run: what it read, what it compared, what was accepted, and its history.
func (l Ledger) Scratch(run string) []string {
	return []string{l.table("read", run), l.table("delta", run), l.table("acked", run), l.table("past", run)}
}

// Drop drops a table of a run. It need not be there.
func (l Ledger) Drop(table string) connector.Statement { return sql("DROP TABLE IF EXISTS %s", table) }

// Keep puts the comparison into the delta table of its run, which is not changed afterwards. Where several uses of a common table
// expression may compute it anew, the model is first read into a table, so that one statement reads it once.
func (l Ledger) Keep(c Compared) ([]connector.Statement, error) {
	t := l.Scratch(c.Run)
	out := []connector.Statement{l.Drop(t[1])}
	if l.Dialect.Ledger.Materialized == "" {
		read := "SELECT " + l.list("m.", c.Columns()) + " FROM " + l.model(c) + " AS m"
		if c.Model.Where != "" {
			read += " WHERE (" + c.Model.Where + "\n)"
		}
		out = append(out, l.Drop(t[0]), sql("%s", fmt.Sprintf(l.Dialect.Ledger.Scratch, l.placed(t[0], c.Shape))+read))
		c.Model = connector.Query{Table: t[0]}
	}
	q, err := l.Delta(c)
	if err != nil {
		return nil, err
	}
	if len(q.Params) == 0 {
		return append(out, sql("%s", fmt.Sprintf(l.Dialect.Ledger.Scratch, t[1])+q.SQL)), nil
	}
	// A statement that makes a table takes no parameters in every dialect, one that fills it does.
	bare := c
	bare.Asked = nil
	empty, err := l.Delta(bare)
	if err != nil {
		return nil, err
	}
	return append(out,
		sql("%s", fmt.Sprintf(l.Dialect.Ledger.Scratch, t[1])+"SELECT * FROM ("+empty.SQL+") AS d WHERE 1 = 0"),
		connector.Statement{SQL: "INSERT INTO " + t[1] + " " + q.SQL, Params: q.Params},
	), nil
}

// Kept reads the delta of a run.
func (l Ledger) Kept(run string) connector.Query {
	return connector.Query{SQL: "SELECT * FROM " + l.Scratch(run)[1]}
}

// Settled is one entry to be written or, Entry being "", forgotten.
type Settled struct {
	Key       []row.Value // as the key's columns hold it; nulls for a record without a key of the model
	Canonical []byte
	State     int
	Run, At   string
	RemoteID  string
	Entry     string
}

// Accept makes the table that the acknowledgements of a run are put into.
func (l Ledger) Accept(run string) []connector.Statement {
	t := l.Scratch(run)[2]
	return []connector.Statement{
		l.Drop(t), sql("%s", fmt.Sprintf(l.Dialect.Ledger.Scratch, t)+"SELECT * FROM "+l.table(tableLedger, "")+" WHERE 1 = 0"),
	}
}

// Remember makes the table that the history of a run is put into.
func (l Ledger) Remember(run string) []connector.Statement {
	t, txt, n := l.Scratch(run), l.text(), l.integer()
	return []connector.Statement{
		l.Drop(t[3]),
		sql("%s", fmt.Sprintf(l.Dialect.Ledger.Scratch, t[3])+
			fmt.Sprintf("SELECT CAST(NULL AS %s) AS k, CAST(NULL AS %s) AS n, CAST(NULL AS %[1]s) AS h FROM %[3]s WHERE 1 = 0", txt, n, l.inSchema(tableState))),
	}
}

// Acked puts acknowledgements into the table of the run.
func (l Ledger) Acked(run string, s Shape, list []Settled) (connector.Statement, error) {
	rows := make([][]row.Value, len(list))
	for i, e := range list {
		cells := slices.Clone(e.Key)
		entry := row.TextValue(e.Entry)
		if e.Entry == "" {
			entry = row.NullValue()
		}
		rows[i] = append(cells, hexKey(e.Canonical), row.IntValue(int64(e.State)), row.TextValue(e.Run), row.TextValue(e.At), row.TextValue(e.RemoteID), entry)
	}
	var cells []string
	cell := func(i int, as string) string {
		return "CAST(" + fmt.Sprintf(l.Dialect.Ledger.Cell, i) + " AS " + as + ")"
	}
	for i, k := range s.Key {
		t, err := l.typeOf(s.field(k))
		if err != nil {
			return connector.Statement{}, err
		}
		cells = append(cells, cell(i, t))
	}
	for i, t := range []string{l.text(), l.integer(), l.text(), l.text(), l.text(), l.text()} {
		cells = append(cells, cell(len(s.Key)+i, t))
	}
	return l.insert(l.Scratch(run)[2], l.list("", s.Key)+", "+strings.Replace(entryColumns, colFresh+", ", "", 1), cells, rows)
}

// Told puts history into the table of the run: key, number, text.
func (l Ledger) Told(run string, rows [][]row.Value) (connector.Statement, error) {
	cell := func(i int, as string) string {
		return "CAST(" + fmt.Sprintf(l.Dialect.Ledger.Cell, i) + " AS " + as + ")"
	}
	return l.insert(l.Scratch(run)[3], "k, n, h", []string{cell(0, l.text()), cell(1, l.integer()), cell(2, l.text())}, rows)
}

func (l Ledger) insert(table, columns string, cells []string, rows [][]row.Value) (connector.Statement, error) {
	p := params{d: l.Dialect}
	selected, err := l.selectRows(&p, cells, rows)
	if err != nil {
		return connector.Statement{}, err
	}
	return p.done("INSERT INTO %s (%s) %s", table, columns, selected), nil
}

// selectRows selects cells of rows that travel as parameters: as one, or as several where one is short.
func (l Ledger) selectRows(p *params, cells []string, rows [][]row.Value) (string, error) {
	var out []string
	for first := true; first || len(rows) > 0; first = false {
		text, n, err := l.jsonRows(rows)
		if err != nil {
			return "", err
		}
		out = append(out, "SELECT "+strings.Join(cells, ", ")+" FROM "+fmt.Sprintf(l.Dialect.Ledger.Rows, p.text(text)))
		rows = rows[n:]
	}
	return strings.Join(out, "\nUNION ALL "), nil
}

// Settling is the end of a run.
type Settling struct {
	Shape
	Run           string
	Compared      bool   // there is a delta, with the columns of the rows accepted
	Token         string // who may write
	Version       int64  // of the ledger afterwards
	Meta          string
	Renew         bool // entries of before are forgotten
	Told, History bool // there are acknowledgements, there is history
}

// Settle moves what was accepted into the ledger, the history behind it, and the state last. Where statements are no transaction
// every one may be repeated: a run that dies between them is settled again from its acknowledgements.
func (l Ledger) Settle(s Settling) []connector.Statement {
	t := l.Scratch(s.Run)
	ledger, past := l.table(tableLedger, ""), l.table(tablePast, "")
	p := params{d: l.Dialect}
	mine := p.done("UPDATE %s SET until = until WHERE id = %s AND token = %s", l.inSchema(tableState), p.text(l.id), p.text(s.Token))
	mine.Affects = 1
	out := []connector.Statement{mine}
	if s.Renew {
		out = append(out, sql("DELETE FROM %s WHERE 1 = 1", ledger))
	}
	if s.Told {
		out = append(out, l.apply(s, ledger, t[2], t[1])...)
	}
	if s.History {
		p := params{d: l.Dialect}
		out = append(out, p.done("DELETE FROM %s WHERE run = %s AND version = %s", past, p.text(s.Run), p.number(s.Version)))
		p = params{d: l.Dialect}
		out = append(out, p.done("INSERT INTO %s (run, version, k, n, h) SELECT CAST(%s AS %s), CAST(%s AS %s), k, n, h FROM %s",
			past, p.text(s.Run), l.text(), p.number(s.Version), l.integer(), t[3]))
	}
	p = params{d: l.Dialect}
	done := p.done("UPDATE %s SET version = %s, meta = %s WHERE id = %s AND token = %s", l.inSchema(tableState), p.number(s.Version), p.text(s.Meta), p.text(l.id), p.text(s.Token))
	done.Affects = 1
	return append(out, done)
}

// apply writes the acknowledgements into the ledger, with the columns of the model that they were made of.
func (l Ledger) apply(s Settling, ledger, acked, delta string) []connector.Statement {
	var names, values []string
	add := func(name, value string) { names, values = append(names, name), append(values, value) }
	on, same := make([]string, len(s.Key)), make([]string, len(s.Key))
	for i, k := range s.Key {
		f := s.field(k)
		add(l.Ident(k), "a."+l.Ident(k))
		on[i] = l.exact("d.", f) + " = " + l.exact("a.", f)
		same[i] = l.exact("a.", f) + " = " + l.exact("t.", f)
	}
	for _, f := range s.Fields {
		switch {
		case slices.Contains(s.Key, f.Name):
		case s.Compared:
			add(l.Ident(f.Name), "d."+l.Ident(f.Name))
		default:
			add(l.Ident(f.Name), "NULL")
		}
	}
	fresh, join := "0", ""
	if s.Compared {
		fresh = "CASE WHEN d." + colPresent + " = 1 THEN 1 ELSE 0 END"
		join = " LEFT JOIN " + delta + " AS d ON d." + colPresent + " = 1 AND " + strings.Join(on, " AND ")
	}
	for _, c := range strings.Split(entryColumns, ", ") {
		if c == colFresh {
			add(c, fresh)
			continue
		}
		add(c, "a."+c)
	}
	// Records without a key of the model have nulls in its columns, which equal nothing: they are told by their canonical key.
	keyless := l.drop(ledger, acked, func(t, a string) string {
		return fmt.Sprintf("%[1]s%[3]s IS NULL AND %[2]s%[3]s IS NULL AND %[2]s%[4]s = %[1]s%[4]s", t, a, l.Ident(s.Key[0]), colKey)
	})
	if l.Dialect.Ledger.Merge {
		return []connector.Statement{keyless, l.merge(ledger, acked+" AS a"+join, names, values, strings.Join(same, " AND "))}
	}
	return []connector.Statement{
		keyless,
		l.drop(ledger, acked, func(t, a string) string {
			for i, k := range s.Key {
				same[i] = l.exact(a, s.field(k)) + " = " + l.exact(t, s.field(k))
			}
			return strings.Join(same, " AND ")
		}),
		sql("INSERT INTO %s (%s) SELECT %s FROM %s AS a%s WHERE a.%s IS NOT NULL",
			ledger, strings.Join(names, ", "), strings.Join(values, ", "), acked, join, colEntry),
	}
}

// drop deletes the rows of a table that have a counterpart in another; where gives the condition from what stands before the columns
// of the two.
func (l Ledger) drop(table, other string, where func(t, a string) string) connector.Statement {
	if !l.Dialect.Ledger.DeleteUsing {
		return sql("DELETE FROM %s AS t WHERE EXISTS (SELECT 1 FROM %s AS a WHERE %s)", table, other, where("t.", "a."))
	}
	own := func(t string) string { return t[strings.LastIndex(t, ".")+1:] + "." } // these names of tables hold no dots
	return sql("DELETE FROM %s USING %s WHERE %s", table, other, where(own(table), own(other)))
}

// merge is apply in one statement.
func (l Ledger) merge(ledger, from string, names, values []string, same string) connector.Statement {
	selected, sets, inserted := make([]string, len(names)), make([]string, len(names)), make([]string, len(names))
	for i, n := range names {
		selected[i], sets[i], inserted[i] = values[i]+" AS "+n, n+" = a."+n, "a."+n
		if values[i] == "NULL" { // one within the query would have a type of its own
			selected[i], sets[i], inserted[i] = "", n+" = NULL", "NULL"
		}
	}
	selected = slices.DeleteFunc(selected, func(s string) bool { return s == "" })
	return sql("MERGE INTO %s AS t USING (SELECT %s FROM %s) AS a ON %s WHEN MATCHED AND a.%s IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET %s "+
		"WHEN NOT MATCHED AND a.%[5]s IS NOT NULL THEN INSERT (%[7]s) VALUES (%[8]s)",
		ledger, strings.Join(selected, ", "), from, same, colEntry, strings.Join(sets, ", "), strings.Join(names, ", "), strings.Join(inserted, ", "))
}

// Past is one row for Told: what a run did to a key, n growing with time.
func Past(key []byte, n int64, text string) []row.Value {
	return []row.Value{hexKey(key), row.IntValue(n), row.TextValue(text)}
}

// jsonRows writes rows as a list of lists of texts and nulls, and says how many: where a statement may have several parameters, as
// many as one holds, and one at least.
func (l Ledger) jsonRows(rows [][]row.Value) (string, int, error) {
	b := []byte{'['}
	n := 0
	for i, r := range rows {
		before := len(b)
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for j, v := range r {
			if j > 0 {
				b = append(b, ',')
			}
			if v.IsNull() || v.IsAbsent() {
				b = append(b, "null"...)
				continue
			}
			b = row.AppendJSONString(b, v.String())
		}
		b = append(b, ']')
		if l.Dialect.Ledger.ParamCount > 1 && i > 0 && len(b) >= l.Dialect.Ledger.ParamBytes {
			b = b[:before]
			break
		}
		n++
	}
	b = append(b, ']')
	if !json.Valid(b) {
		return "", 0, fault.New(fault.Internal, "the acknowledgements cannot be written as JSON (%s bytes)", strconv.Itoa(len(b)))
	}
	return string(b), n, nil
}
