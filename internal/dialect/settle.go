package dialect

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
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

// Settling is the end of a run.
type Settling struct {
	Shape
	Run      string
	Compared bool   // there is a delta, with the columns of the rows accepted
	Token    string // who may write
	Version  int64  // of the ledger afterwards
	Meta     string
	Renew    bool // entries of before are forgotten
	// Told are acknowledgements and History is history, nil where there are none. Without Bulk they are in the run's tables already.
	Told, History Rows
}

// Rows are rows on their way into a table.
type Rows = iter.Seq2[[]row.Value, error]

// Settle moves what was accepted into the ledger, the history behind it, and the state last. Where statements are no transaction
// every one may be repeated: a run that dies between them is settled again from its acknowledgements.
func (l Ledger) Settle(s Settling) ([]connector.Statement, error) {
	p := params{d: l.Dialect}
	mine := p.done("UPDATE %s SET until = until WHERE id = %s AND token = %s", l.inSchema(tableState), p.text(l.id), p.text(s.Token))
	mine.Affects = 1
	out := []connector.Statement{mine}
	if s.Renew {
		out = append(out, sql("DELETE FROM %s WHERE 1 = 1", l.table(tableLedger, "")))
	}
	if s.Told != nil {
		told, err := l.told(s)
		if err != nil {
			return nil, err
		}
		out = append(out, told...)
	}
	if s.History != nil {
		out = append(out, l.history(s)...)
	}
	p = params{d: l.Dialect}
	done := p.done("UPDATE %s SET version = %s, meta = %s WHERE id = %s AND token = %s", l.inSchema(tableState), p.number(s.Version), p.text(s.Meta), p.text(l.id), p.text(s.Token))
	done.Affects = 1
	return append(out, done), nil
}

// told applies acknowledgements; in bulk they come in the same transaction, and their table does not outlive it.
func (l Ledger) told(s Settling) ([]connector.Statement, error) {
	acked, _ := l.acked(s.Run)
	apply := l.apply(s, l.table(tableLedger, ""), acked, l.Scratch(s.Run)[1])
	if !l.Dialect.Ledger.Bulk {
		return apply, nil
	}
	u, err := l.Acked(s.Run, s.Shape)
	if err != nil {
		return nil, err
	}
	return slices.Concat(u.Make, []connector.Statement{{Rows: s.Told, Into: u.Into}}, apply, []connector.Statement{l.Drop(acked)}), nil
}

// history adds what a run did. In bulk it goes where it stays.
func (l Ledger) history(s Settling) []connector.Statement {
	past := l.table(tablePast, "")
	p := params{d: l.Dialect}
	out := []connector.Statement{p.done("DELETE FROM %s WHERE run = %s AND version = %s", past, p.text(s.Run), p.number(s.Version))}
	if l.Dialect.Ledger.Bulk {
		of := []row.Value{row.TextValue(s.Run), row.IntValue(s.Version)}
		rows := func(yield func([]row.Value, error) bool) {
			for vals, err := range s.History {
				if !yield(append(of[:2:2], vals...), err) {
					return
				}
			}
		}
		return append(out, connector.Statement{Rows: rows, Into: connector.Into{Table: past, Columns: []string{"run", "version", "k", "n", "h"}}})
	}
	p = params{d: l.Dialect}
	return append(out, p.done("INSERT INTO %s (run, version, k, n, h) SELECT CAST(%s AS %s), CAST(%s AS %s), k, n, h FROM %s",
		past, p.text(s.Run), l.text(), p.number(s.Version), l.integer(), l.Scratch(s.Run)[3]))
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
		kept := slices.ContainsFunc(s.Kept(), func(k arrow.Field) bool { return k.Name == f.Name })
		switch {
		case slices.Contains(s.Key, f.Name):
		case s.Compared && kept:
			add(l.Ident(f.Name), fmt.Sprintf("CASE WHEN d.%s = 1 THEN d.%s ELSE a.%[2]s END", colPresent, l.Ident(f.Name)))
		case kept:
			add(l.Ident(f.Name), "a."+l.Ident(f.Name))
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
