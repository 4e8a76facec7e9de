package postgres

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_leaving_early_frees_the_connection(t *testing.T) {
	d := newDB(t)
	s := openSource(t, "dsn", d.dsn, "application_name", "leaver")
	n := 0
	for rec, err := range s.Read(t.Context(), connector.Query{SQL: "SELECT generate_series(1, 100000000) AS g, repeat('x', 100) AS x"}) {
		if err != nil {
			t.Fatal(err)
		}
		if n += int(rec.NumRows()); n > 10_000 {
			break
		}
	}
	d.waitFor("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leaver'", "0")
}

// waitFor lets the server work until a query answers as wanted.
func (d *db) waitFor(sql, want string) {
	d.Helper()
	got := ""
	for range 2000 {
		if got = d.answer(d.look, sql); got == want {
			return
		}
		d.answer(d.look, "SELECT pg_sleep(0.005)")
	}
	d.Fatalf("%s stays %s", sql, got)
}

func Test_a_cancelled_read_is_never_complete(t *testing.T) {
	d := newDB(t)
	s := openSource(t, "dsn", d.dsn, "application_name", "cancelled")
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for rec, err := range s.Read(ctx, connector.Query{SQL: "SELECT generate_series(1, 100000000) AS g"}) {
		if last = err; err == nil && rec.NumRows() > 0 {
			cancel()
		}
	}
	if !fault.Is(last, fault.Cancelled) || !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v", last)
	}
	d.waitFor("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cancelled'", "0")
	cancel()
	if _, err := readAll(ctx, s, connector.Query{SQL: "SELECT 1"}); !fault.Is(err, fault.Cancelled) {
		t.Errorf("a read that never began ended with %v", err)
	}
}

func Test_an_empty_result_is_complete(t *testing.T) {
	rows, err := readAll(t.Context(), openSource(t, "dsn", newDB(t).dsn), connector.Query{SQL: "SELECT 1 AS a WHERE false"})
	if err != nil || len(rows) != 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func Test_nulls_and_batch_borders_keep_their_places(t *testing.T) {
	s := openSource(t, "dsn", newDB(t).dsn)
	const n = 3*pgwire.BatchRows + 5
	var told int64
	rows, err := readAll(t.Context(), s, connector.Query{Rows: func(n int64) { told = n }, SQL: `SELECT g::int8 AS a, CASE WHEN g % 3 <> 0 THEN g END AS b, CASE WHEN g % 5 <> 0 THEN 't' || g END AS c, CASE WHEN g % 7 <> 0 THEN g % 2 = 0 END AS d,
	  CASE WHEN g % 11 <> 0 THEN g::int2 END AS e FROM generate_series(0, 24580) g`})
	if err != nil || len(rows) != n || told != n {
		t.Fatalf("%d rows, %d told, %v", len(rows), told, err)
	}
	for i, r := range rows {
		g := int64(i)
		want := vals(num(g), num(g), txt("t"+num(g).String()), row.BoolValue(g%2 == 0), num(g))
		for c, p := range []int64{0, 3, 5, 7, 11} {
			if p > 0 && g%p == 0 {
				want[c] = null
			}
			if !r[c].Equal(want[c]) {
				t.Fatalf("row %d column %d is %s, want %s", i, c, r[c], want[c])
			}
		}
	}
}

func Test_a_million_rows_need_little_memory(t *testing.T) {
	s := openSource(t, "dsn", newDB(t).dsn)
	var peak, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	rows := int64(0)
	for rec, err := range s.Read(t.Context(), connector.Query{SQL: "SELECT g, 'user' || g AS email, g::numeric / 7 AS x, now() AS at FROM generate_series(1, 1000000) g"}) {
		if err != nil {
			t.Fatal(err)
		}
		if rows += rec.NumRows(); rows%(10*pgwire.BatchRows) == 0 {
			runtime.ReadMemStats(&peak)
			if grown := int64(peak.HeapAlloc) - int64(m.HeapAlloc); grown > 64<<20 {
				t.Fatalf("%d MiB on the heap after %d rows", grown>>20, rows)
			}
		}
	}
	if rows != 1_000_000 {
		t.Errorf("%d rows", rows)
	}
}

func Test_giant_rows_arrive_in_small_batches(t *testing.T) {
	s := openSource(t, "dsn", newDB(t).dsn)
	total, most := 0, int64(0)
	for rec, err := range s.Read(t.Context(), connector.Query{SQL: "SELECT repeat(chr(64 + g), 5000000) FROM generate_series(1, 6) g UNION ALL SELECT 'small'"}) {
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, rec.NumRows())
		for i := range int(rec.NumRows()) {
			total += len(arrowValue(arrow.Field{Type: arrow.BinaryTypes.String}, rec.Column(0), i).Str())
		}
	}
	if total != 30_000_005 || most > 2 {
		t.Errorf("%d bytes, %d rows in a batch", total, most)
	}
}

// Taking over a connection may send a simple query, which takes the unnamed statement away. Under load it does.
func Test_a_query_in_between_does_not_take_the_statement_away(t *testing.T) {
	d := newDB(t)
	s := openSource(t, "dsn", d.dsn).(*source) //nolint:forcetypeassert // of this package
	c, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.prepare(t.Context(), c, connector.Query{SQL: "SELECT 1 AS one UNION ALL SELECT 2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	s.stream(t.Context(), taken, p, nil, func(rec arrow.RecordBatch, err error) bool {
		if err != nil {
			t.Error(err)
			return false
		}
		rows += rec.NumRows()
		return true
	})
	if rows != 2 {
		t.Errorf("%d rows", rows)
	}
}
