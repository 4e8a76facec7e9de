package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"sort"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a fresh database, a plain connection to look at it, and the connectors on it.
type server struct {
	t   *testing.T
	dsn string
	db  *sql.DB
	src connector.Source
	dst *destination
}

func start(t *testing.T, statements ...string) *server {
	t.Helper()
	s := &server{t: t, dsn: testdb.MySQL(t)}
	var err error
	if s.db, err = sql.Open("mysql", s.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	s.run(statements...)
	s.src, s.dst = openSource(t, s.dsn), openDestination(t, s.dsn)
	return s
}

func openSource(t *testing.T, dsn string) connector.Source {
	t.Helper()
	src, err := Source().Open(t.Context(), connector.NewConfig(map[string]string{"dsn": dsn}, nil, map[string]bool{"dsn": true}), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func openDestination(t *testing.T, dsn string) *destination {
	t.Helper()
	dst, err := Destination().Open(t.Context(), connector.NewConfig(map[string]string{"dsn": dsn, "lock_timeout": "1s"}, nil, map[string]bool{"dsn": true}), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dst.Close() })
	d, ok := dst.(*destination)
	if !ok {
		t.Fatalf("%T", dst)
	}
	return d
}

func (s *server) run(statements ...string) {
	s.t.Helper()
	for _, q := range statements {
		if _, err := s.db.ExecContext(s.t.Context(), q); err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
	}
}

// table gives a query's rows as lines of values joined by |.
func (s *server) table(query string) []string {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), query)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		vals, into := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range vals {
			into[i] = &vals[i]
		}
		if err := rows.Scan(into...); err != nil {
			s.t.Fatal(err)
		}
		line := make([]string, len(vals))
		for i, v := range vals {
			line[i] = "NULL"
			if v.Valid {
				line[i] = v.String
			}
		}
		out = append(out, strings.Join(line, "|"))
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// object describes one table.
func (s *server) object(name string) connector.Object {
	s.t.Helper()
	objects, err := s.dst.Objects(s.t.Context(), []string{name})
	if err != nil || len(objects) != 1 {
		s.t.Fatalf("describing %s: %v %v", name, objects, err)
	}
	return objects[0]
}

// record is one row to write; a field that is missing is absent.
type record map[string]row.Value

func toBatch(match, fields []string, records []record) *row.Batch {
	b := row.NewBatch(match, fields, len(records))
	for i, r := range records {
		m, f := make([]row.Value, len(match)), make([]row.Value, len(fields))
		for k, name := range match {
			m[k] = r[name]
		}
		for k, name := range fields {
			f[k] = r[name]
		}
		b.Add(row.Meta{Ordinal: uint64(i)}, m, f)
	}
	return b
}

func target(o connector.Object, op connector.Op, match, fields []string) connector.Target {
	return connector.Target{Object: o, Op: op, Match: match, Fields: fields}
}

// write writes records in one batch and gives one line per row.
func (s *server) write(to connector.Target, records ...record) ([]string, error) {
	s.t.Helper()
	out := connector.NewOutcomes(len(records))
	err := s.dst.Write(s.t.Context(), to, toBatch(to.Match, to.Fields, records), out)
	lines := make([]string, len(records))
	for i := range lines {
		lines[i] = line(out.Result(i))
	}
	return lines, err
}

func line(r connector.Result) string {
	s := r.Status.String()
	switch {
	case r.Status == connector.Delivered && r.Created == connector.Yes:
		s += " created"
	case r.Status == connector.Delivered && r.Created == connector.No:
		s += " updated"
	}
	if r.Code != "" {
		s += " " + string(r.Code)
	}
	if r.Field != "" {
		s += " " + r.Field
	}
	return s
}

func (s *server) mustWrite(to connector.Target, records ...record) []string {
	s.t.Helper()
	lines, err := s.write(to, records...)
	if err != nil {
		s.t.Fatal(err)
	}
	return lines
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// readAll reads a query to its end, each row as col=value words.
func readAll(ctx context.Context, src connector.Source, q connector.Query) (kinds map[string]string, rows [][]row.Value, err error) {
	for rec, err := range src.Read(ctx, q) {
		if err != nil {
			return kinds, rows, err
		}
		kinds = map[string]string{}
		ks := make([]row.Kind, rec.NumCols())
		for j, f := range rec.Schema().Fields() {
			if ks[j], err = row.KindOf(f); err != nil {
				return nil, nil, err
			}
			kinds[f.Name] = ks[j].String()
		}
		for i := range int(rec.NumRows()) {
			r := make([]row.Value, len(ks))
			for j := range r {
				r[j] = row.At(rec.Column(j), ks[j], i)
			}
			rows = append(rows, r)
		}
	}
	return kinds, rows, nil
}

func ints(from, to int, field string, value func(int) row.Value) []record {
	var out []record
	for i := from; i < to; i++ {
		out = append(out, record{"id": row.IntValue(int64(i)), field: value(i)})
	}
	return out
}

func count(lines []string) string {
	n := map[string]int{}
	for _, l := range lines {
		n[l]++
	}
	var out []string
	for l, c := range n {
		out = append(out, fmt.Sprintf("%d %s", c, l))
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}
