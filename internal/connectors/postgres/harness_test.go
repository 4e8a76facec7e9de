package postgres

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/testdb"
)

// db is a database of the test's own.
type db struct {
	testing.TB
	dsn  string
	conn *pgx.Conn
	look *pgx.Conn // for watching the server while conn is in a transaction
}

func newDB(t testing.TB) *db {
	t.Helper()
	d := &db{TB: t, dsn: testdb.Postgres(t)}
	d.conn, d.look = d.connect(d.dsn), d.connect(d.dsn)
	return d
}

func (d *db) name() string {
	u, err := url.Parse(d.dsn)
	if err != nil {
		d.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func (d *db) connect(dsn string) *pgx.Conn {
	d.Helper()
	c, err := pgx.Connect(d.Context(), dsn)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (d *db) exec(sql string, args ...any) {
	d.Helper()
	if _, err := d.conn.Exec(context.Background(), sql, args...); err != nil {
		d.Fatalf("%s: %v", sql, err)
	}
}

// text gives the answer of a query as text, one line a row, columns joined by |.
func (d *db) text(sql string) string {
	d.Helper()
	return d.answer(d.conn, sql)
}

func (d *db) answer(c *pgx.Conn, sql string) string {
	d.Helper()
	rows, err := c.Query(d.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		d.Fatal(err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var cols []string
		for _, v := range rows.RawValues() {
			if v == nil {
				cols = append(cols, "∅")
			} else {
				cols = append(cols, string(v))
			}
		}
		lines = append(lines, strings.Join(cols, "|"))
	}
	if rows.Err() != nil {
		d.Fatal(rows.Err())
	}
	return strings.Join(lines, "\n")
}

func settings(kv ...string) connector.Config {
	m, secrets := map[string]string{}, map[string]bool{"dsn": true, "password": true}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return connector.NewConfig(m, nil, secrets)
}

func openSource(t testing.TB, kv ...string) connector.Source {
	t.Helper()
	s, err := Source().Open(t.Context(), settings(kv...), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openDest(t testing.TB, kv ...string) *destination {
	t.Helper()
	d, err := Destination().Open(t.Context(), settings(kv...), connector.Env{Gate: connector.OpenGate{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d.(*destination)
}

// hostSettings takes a DSN apart into host, port, user and database.
func hostSettings(t testing.TB, dsn string) []string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"host", u.Hostname(), "port", u.Port(), "user", u.User.Username(), "database", strings.TrimPrefix(u.Path, "/"), "sslmode", "disable"}
}

// readAll reads a query and gives its values as row values, by the conventions of connector.Source.
func readAll(ctx context.Context, s connector.Source, q connector.Query) (rows [][]row.Value, err error) {
	for rec, err := range s.Read(ctx, q) {
		if err != nil {
			return rows, err
		}
		for i := range int(rec.NumRows()) {
			var r []row.Value
			for c := range int(rec.NumCols()) {
				r = append(r, arrowValue(rec.Schema().Field(c), rec.Column(c), i))
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func arrowValue(f arrow.Field, a arrow.Array, i int) row.Value {
	if a.IsNull(i) {
		return row.NullValue()
	}
	switch a := a.(type) {
	case *array.Boolean:
		return row.BoolValue(a.Value(i))
	case *array.Int16:
		return row.IntValue(int64(a.Value(i)))
	case *array.Int32:
		return row.IntValue(int64(a.Value(i)))
	case *array.Int64:
		return row.IntValue(a.Value(i))
	case *array.Uint32:
		return row.IntValue(int64(a.Value(i)))
	case *array.Float32:
		return row.FloatValue(float64(a.Value(i)))
	case *array.Float64:
		return row.FloatValue(a.Value(i))
	case *array.Binary:
		return row.BytesValue(a.Value(i))
	case *array.Date32:
		return row.DateValue(int64(a.Value(i)))
	case *array.Time64:
		return row.TimeValue(int64(a.Value(i)) * 1000)
	case *array.Timestamp:
		us := int64(a.Value(i))
		sec, rest := us/1e6, us%1e6
		if rest < 0 {
			sec, rest = sec-1, rest+1e6
		}
		if f.Type.(*arrow.TimestampType).TimeZone == "" {
			return row.TimestampValue(sec, uint32(rest)*1000)
		}
		return row.InstantValue(sec, uint32(rest)*1000)
	case *array.String:
		kind := row.Text
		if k, ok := f.Metadata.GetValue(connector.KindKey); ok {
			kind, _ = row.ParseKind(k)
		}
		return row.StringKind(kind, strings.Clone(a.Value(i)))
	}
	panic(fmt.Sprintf("no value for %T", a))
}

// load is what a test writes: match and fields by name, rows of values.
type load struct {
	object        string
	op            connector.Op
	match, fields []string
	skipExists    bool
}

func (l load) target() connector.Target {
	return connector.Target{Object: connector.Object{Name: l.object}, Op: l.op, Match: l.match, Fields: l.fields, SkipExists: l.skipExists}
}

func (l load) batch(rows ...[]row.Value) *row.Batch {
	b := row.NewBatch(l.match, l.fields, len(rows))
	for i, r := range rows {
		b.Add(row.Meta{Ordinal: uint64(i)}, r[:len(l.match)], r[len(l.match):])
	}
	return b
}

// write writes rows and gives each outcome as text.
func (l load) write(t testing.TB, d connector.Destination, rows ...[]row.Value) ([]string, error) {
	t.Helper()
	out := connector.NewOutcomes(len(rows))
	err := d.Write(t.Context(), l.target(), l.batch(rows...), out)
	var list []string
	for i := range rows {
		list = append(list, outcome(out.Result(i)))
	}
	if out.Extra() != 0 {
		t.Errorf("%d answers belong to no row", out.Extra())
	}
	return list, err
}

// stage stages rows in two pieces, commits and gives each outcome as text.
func (l load) stage(t testing.TB, d *destination, exclude map[uint64]bool, rows ...[]row.Value) ([]string, error) {
	t.Helper()
	s, err := d.Stage(t.Context(), l.target())
	if err != nil {
		return nil, err
	}
	return l.into(t, s, exclude, rows...)
}

// fill is stage for a table that must be fillable.
func (l load) fill(t testing.TB, d *destination, exclude map[uint64]bool, rows ...[]row.Value) ([]string, error) {
	t.Helper()
	s, err := d.Fill(t.Context(), l.target())
	if err != nil || s == nil {
		t.Fatalf("filling: %v, %v", s, err)
	}
	return l.into(t, s, exclude, rows...)
}

func (l load) into(t testing.TB, s connector.Stage, exclude map[uint64]bool, rows ...[]row.Value) ([]string, error) {
	t.Helper()
	defer func() { _ = s.Abort(t.Context()) }()
	b := l.batch(rows...)
	for _, part := range []*row.Batch{b.Slice(0, len(rows)/2), b.Slice(len(rows)/2, len(rows))} {
		if err := s.Write(t.Context(), part); err != nil {
			return nil, err
		}
	}
	list := make([]string, len(rows))
	err := s.Commit(t.Context(), exclude, func(ordinal uint64, r connector.Result) {
		if list[ordinal] != "" {
			t.Errorf("row %d settled twice", ordinal)
		}
		list[ordinal] = outcome(r)
	})
	return list, err
}

func outcome(r connector.Result) string {
	s := r.Status.String()
	if r.Status == connector.Delivered {
		return [...]string{"delivered", "updated", "created"}[r.Created]
	}
	if r.Code != "" {
		s += " " + string(r.Code)
	}
	if r.Field != "" {
		s += " " + r.Field
	}
	return s
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func vals(v ...row.Value) []row.Value { return v }

var (
	num  = row.IntValue
	txt  = row.TextValue
	dec  = row.DecimalValue
	null = row.NullValue()
	gone = row.Value{}
)
