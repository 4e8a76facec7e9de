package postgres

import (
	"fmt"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
)

// statement writes the set-based SQL for rows that all write the same columns. The rows come from a relation with the columns
// c0, c1, … (match, then fields) and o, each row's position.
type statement struct {
	table  *table
	match  []*slot
	fields []*slot
	source string // SELECT giving c0…, o
	inline bool   // the source is a table: name it where it is used instead of materialising it once
	sorted bool   // write in the order of match, so that concurrent writers lock rows in one order
}

// The kinds of answer rows: a position or a count, and what it means.
const (
	answerTouched = "0" // so many rows were written
	answerCreated = "1" // the row at this position is new
	answerMissing = "2" // no record matches the row at this position
	answerExists  = "3" // a record was there already
)

// with opens a statement with the rows as u, unless they are named in place, and the other parts given.
func (s *statement) with(parts ...string) string {
	if !s.inline {
		parts = append([]string{"u AS MATERIALIZED (" + s.source + ")"}, parts...)
	}
	if len(parts) == 0 {
		return ""
	}
	return "WITH " + strings.Join(parts, ", ") + " "
}

func (s *statement) rel(alias string) string {
	if s.inline {
		return "(" + s.source + ") " + alias
	}
	return "u " + alias
}

func (s *statement) columns() []*slot {
	return append(s.match[:len(s.match):len(s.match)], s.fields...)
}

// on joins the target (or what was returned of it) with the rows by the match.
func (s *statement) on(left func(i int) string) string {
	parts := make([]string, len(s.match))
	for i := range s.match {
		parts[i] = fmt.Sprintf("%s = u.c%d", left(i), i)
	}
	return strings.Join(parts, " AND ")
}

func (s *statement) onTarget() string {
	return s.on(func(i int) string { return "d." + ident(s.match[i].name) })
}

func (s *statement) onReturned() string {
	return s.on(func(i int) string { return fmt.Sprintf("w.m%d", i) })
}

func (s *statement) insert() string {
	var names, values []string
	for i, c := range s.columns() {
		names = append(names, ident(c.name))
		values = append(values, fmt.Sprintf("u.c%d", i))
	}
	sql := fmt.Sprintf("INSERT INTO %s AS d (%s) SELECT %s FROM %s", s.table.quoted(), strings.Join(names, ", "), strings.Join(values, ", "), s.rel("u"))
	if s.sorted && len(s.match) > 0 {
		sql += " ORDER BY " + strings.Join(values[:len(s.match)], ", ")
	}
	return sql
}

func (s *statement) conflict() string {
	var names []string
	for _, m := range s.match {
		names = append(names, ident(m.name))
	}
	return " ON CONFLICT (" + strings.Join(names, ", ") + ") "
}

// guard is true where a write would change something; an unchanged row is not written again, which saves log volume and triggers.
func (s *statement) guard(now func(i int, c *slot) string) string {
	var parts []string
	for i, c := range s.fields {
		parts = append(parts, c.distinct("d."+ident(c.name), now(i, c)))
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

func (s *statement) returning(extra string) string {
	var parts []string
	for i, m := range s.match {
		parts = append(parts, fmt.Sprintf("d.%s AS m%d", ident(m.name), i))
	}
	if extra != "" {
		parts = append(parts, extra)
	}
	return " RETURNING " + strings.Join(parts, ", ")
}

func (s *statement) insertOrUpdate(returning string) string {
	action := "DO NOTHING"
	if len(s.fields) > 0 {
		var sets []string
		for _, c := range s.fields {
			sets = append(sets, ident(c.name)+" = excluded."+ident(c.name))
		}
		action = "DO UPDATE SET " + strings.Join(sets, ", ") + " WHERE " + s.guard(func(_ int, c *slot) string { return "excluded." + ident(c.name) })
	}
	return "w AS (" + s.insert() + s.conflict() + action + returning + ")"
}

// upsert creates or updates. xmax tells the two apart (a new row version has none); partitioned tables do not show it, there the
// statement's snapshot tells. The answer: how many rows were written, and which are new.
func (s *statement) upsert() string {
	extra, isNew := "(d.xmax = 0) AS created", "w.created"
	if s.table.partitioned {
		extra, isNew = "", "NOT EXISTS (SELECT FROM "+s.table.quoted()+" d WHERE "+s.onTarget()+")"
	}
	return s.with(s.insertOrUpdate(s.returning(extra))) + "SELECT count(*), " + answerTouched + " FROM w UNION ALL SELECT u.o, " +
		answerCreated + " FROM w JOIN " + s.rel("u") + " ON " + s.onReturned() + " WHERE " + isNew
}

// update writes records that exist. The answer: which rows have no record. With n, the number of rows, they are looked for only
// when fewer were written: mostly every row changes its record. It is one statement, as only in one snapshot does the answer fit
// what was written.
func (s *statement) update(n int64) string {
	if len(s.fields) == 0 {
		return s.missing()
	}
	var sets []string
	for i, c := range s.fields {
		sets = append(sets, fmt.Sprintf("%s = u.c%d", ident(c.name), len(s.match)+i))
	}
	sql := s.with(fmt.Sprintf("w AS (UPDATE %s AS d SET %s FROM %s WHERE %s AND %s RETURNING 1)", s.table.quoted(), strings.Join(sets, ", "), s.rel("u"), s.onTarget(),
		s.guard(func(i int, _ *slot) string { return fmt.Sprintf("u.c%d", len(s.match)+i) }))) + s.selectMissing()
	if n >= 0 {
		sql += fmt.Sprintf(" AND (SELECT count(*) FROM w) < %d", n)
	}
	return sql
}

// missing asks which rows have no record.
func (s *statement) missing() string { return s.with() + s.selectMissing() }

func (s *statement) selectMissing() string {
	return "SELECT u.o, " + answerMissing + " FROM " + s.rel("u") + " WHERE NOT EXISTS (SELECT FROM " + s.table.quoted() + " d WHERE " + s.onTarget() + ")"
}

// create inserts and leaves records that exist alone. The answer: which rows had a record.
func (s *statement) create() string {
	return s.with("w AS ("+s.insert()+s.conflict()+"DO NOTHING"+s.returning("")+")") + "SELECT u.o, " + answerExists + " FROM " + s.rel("u") +
		" WHERE NOT EXISTS (SELECT FROM w WHERE " + s.onReturned() + ")"
}

// add inserts and knows of no conflict. There is no answer.
func (s *statement) add() string { return s.with() + s.insert() }

// remove deletes. There is no answer: a record that is gone already is as good as deleted.
func (s *statement) remove() string {
	return s.with() + "DELETE FROM " + s.table.quoted() + " AS d USING " + s.rel("u") + " WHERE " + s.onTarget()
}

// duplicates asks which rows the server takes for the same record.
func (s *statement) duplicates() string {
	var by []string
	for i := range s.match {
		by = append(by, fmt.Sprintf("u.c%d", i))
	}
	return s.with() + "SELECT o, " + answerExists + " FROM (SELECT u.o, count(*) OVER (PARTITION BY " +
		strings.Join(by, ", ") + ") AS n FROM " + s.rel("u") + ") x WHERE n > 1"
}

// unnest is a source over arrays given as parameters; where limits it to some positions given as one more parameter.
func unnest(cols []*slot, some bool) string {
	var out, params, names []string
	for i, c := range cols {
		out = append(out, fmt.Sprintf(c.read+" AS c%d", fmt.Sprintf("c%d", i), i))
		params = append(params, fmt.Sprintf("$%d::%s[]", i+1, c.carrier))
		names = append(names, fmt.Sprintf("c%d", i))
	}
	sql := "SELECT " + strings.Join(append(out, "o"), ", ") + " FROM unnest(" + strings.Join(params, ", ") + ") WITH ORDINALITY AS x(" + strings.Join(append(names, "o"), ", ") + ")"
	if some {
		sql += fmt.Sprintf(" WHERE o = ANY($%d::bigint[])", len(cols)+1)
	}
	return sql
}

// updatesFirst reports whether an upsert of these columns must look for the record before it inserts: INSERT checks NOT NULL and
// CHECK constraints before it sees the conflict, so a partial row would be refused although its record exists.
func updatesFirst(op connector.Op, t *table, columns []*slot, partial bool) bool {
	if op != connector.OpUpsert {
		return false
	}
	if partial {
		return true
	}
	given := map[*slot]bool{}
	for _, c := range columns {
		given[c] = true
	}
	for _, c := range t.columns {
		if c.notNull && !c.hasDefault && !c.readOnly && !given[c] {
			return true
		}
	}
	return false
}
