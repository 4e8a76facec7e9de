package project

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// model builds one model.
func (l *loader) model(name string, p pair) {
	what := "model `" + name + "`"
	m := &Model{Name: name, Columns: map[string]Column{}, Where: p.keyAt}
	l.p.Models[name] = m
	n := p.value
	keys := modelKeys
	if n.find("dbt") == nil { // no manifest can tell the key
		keys = modelKeys.requiring("key")
	}
	if !l.object(n, p.keyAt, what, keys) {
		return
	}
	m.Description, _ = l.text(n.find("description"), of("description", what))
	m.Owner, _ = l.text(n.find("owner"), of("owner", what))
	if s, ok := l.text(n.find("source"), of("source", what)); ok {
		m.Source = s
		l.refer("sources", s, n.find("source"), what)
	}
	m.Key = l.texts(n.find("key"), of("key", what))
	l.origin(m, n, p.keyAt, what)
	if n.find("key") == nil {
		l.dbtKey(m, p.keyAt, what)
	}
	if c := n.find("columns"); c != nil && c.kind != isNull && l.mapping(c, of("columns", what)) {
		for _, col := range c.pairs {
			m.Columns[col.key] = l.column(col, what)
		}
	}
	if m.Node != nil {
		m.dbtColumns()
	}
	if t := n.find("tests"); t != nil && t.kind != isNull {
		l.modelTests(m, t, what)
	}
}

// origin reads where the rows come from: exactly one of sql, sql_file, table, dbt.
func (l *loader) origin(m *Model, n *node, at fault.Where, what string) {
	ways := []string{"sql", "sql_file", "table", "dbt"}
	var found []string
	for _, w := range ways {
		if n.find(w) != nil {
			found = append(found, w)
		}
	}
	switch {
	case len(found) == 0:
		l.fail(fault.ProjectMissing, at, "reading %s: one of sql, sql_file, table, dbt is missing", what).WithFix("add `sql` with the query, or `table`")
	case len(found) > 1:
		l.fail(fault.ProjectValue, n.find(found[1]).at, "reading %s: %s exclude each other", what, words(found)).WithFix("keep exactly one of them")
	}
	source := l.sourceType(m.Source)
	if v := n.find("sql"); v != nil {
		if text, ok := l.raw(v, of("sql", what)); ok {
			m.SQL, m.SQLWhere = text, v.body
			m.sqlAt = func(line, column int) fault.Where { return v.within(line, column-1) }
			l.query(text, of("sql", what), source, func(o int) fault.Where { return v.within(lineColumn(text, o)) })
		}
	}
	if v := n.find("sql_file"); v != nil {
		if path, ok := l.text(v, of("sql_file", what)); ok {
			l.sqlFile(m, v, path, of("sql_file", what), source)
		}
	}
	m.Table, _ = l.text(n.find("table"), of("table", what))
	if v := n.find("dbt"); v != nil && len(found) == 1 {
		l.dbtModel(m, v, what)
	}
}

// sourceType gives the connector type of a source, which may be defined with faults.
func (l *loader) sourceType(name string) string {
	if c := l.p.Sources[name]; c != nil {
		return c.Type
	}
	return ""
}

func (l *loader) sqlFile(m *Model, n *node, path, what, source string) {
	full := path
	if !filepath.IsAbs(path) {
		full = filepath.Join(l.dir, filepath.FromSlash(path))
	}
	b, problem := readRegular(full, maxFile)
	if problem == "" && !utf8.Valid(b) {
		problem = "is not UTF-8 text"
	}
	if problem != "" {
		l.fail(fault.ProjectReference, n.at, "reading %s: file %s %s", what, n.show(), problem).WithFix("name a file of SQL, relative to the project folder")
		return
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	rel := l.rel(full)
	m.SQL, m.SQLWhere = text, fault.Where{File: rel, Line: 1, Column: 1}
	m.sqlAt = func(line, column int) fault.Where { return fault.Where{File: rel, Line: line, Column: column} }
	l.query(text, what, source, func(o int) fault.Where {
		line, column := lineColumn(text, o)
		return fault.Where{File: rel, Line: line, Column: column + 1}
	})
}

// typeWords are names of types people know from SQL.
var typeWords = map[string]row.Kind{
	"string": row.Text, "varchar": row.Text, "char": row.Text, "integer": row.Int, "bigint": row.Int, "smallint": row.Int,
	"boolean": row.Bool, "double": row.Float, "real": row.Float, "number": row.Decimal, "numeric": row.Decimal,
	"datetime": row.Timestamp, "timestamptz": row.Instant, "blob": row.Bytes, "binary": row.Bytes, "bytea": row.Bytes, "list": row.Array,
}

func (l *loader) column(p pair, model string) Column {
	what := "column `" + p.key + "` of " + model
	var c Column
	if p.value.kind == isNull || !l.object(p.value, p.keyAt, what, columnKeys) {
		return c
	}
	c.Description, _ = l.text(p.value.find("description"), of("description", what))
	c.Tags = l.texts(p.value.find("tags"), of("tags", what))
	t := p.value.find("type")
	word, ok := l.text(t, of("type", what))
	if !ok {
		return c
	}
	if slices.Contains(kindWords(), word) {
		c.Kind, _ = row.ParseKind(word)
		return c
	}
	fix := "use one of " + words(kindWords())
	if k, ok := typeWords[strings.ToLower(word)]; ok {
		fix = "did you mean `" + k.String() + "`?"
	} else if s := Suggest(word, kindWords()); s != "" {
		fix = "did you mean `" + s + "`?"
	}
	l.fail(fault.ProjectValue, t.at, "reading %s: %s is not a type", of("type", what), t.show()).WithFix("%s", fix)
	return c
}
