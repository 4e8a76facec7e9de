package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// The workload: 11 columns, deterministic.
const (
	benchRows    = 200_000
	benchColumns = "id, email, name, seats, health_score, mrr, is_active, last_seen, plan, country, tickets_30d"
	benchDDL     = ` (id bigint PRIMARY KEY, email text, name text, seats int, health_score double precision,
  mrr numeric(12,2), is_active boolean, last_seen timestamptz, plan text, country text, tickets_30d int)`
	benchFill = `INSERT INTO accounts SELECT g, 'user' || g || '@' || substr(md5(g::text), 1, 8) || '.example.com', initcap(substr(md5('n' || g), 1, 7)) || ' ' || initcap(substr(md5('s' || g), 1, 9)),
  (hashint8(g) & 511) + 1, round(((hashint8(g * 7) & 1048575)::numeric / 10485.75), 4)::double precision, ((hashint8(g * 13) & 16777215)::numeric / 100)::numeric(12,2), (hashint8(g * 17) & 7) <> 0,
  timestamptz '2026-01-01 00:00:00+00' + ((hashint8(g * 19) & 16777215) * interval '1 second'), (ARRAY['free','starter','team','business','enterprise'])[(hashint8(g * 23) & 1048575) % 5 + 1],
  (ARRAY['US','GB','DE','FR','ES','IN','BR','JP','AU','CA','NL','SE','PL','IT','MX','ZA'])[(hashint8(g * 29) & 15) + 1], (hashint8(g * 31) & 31) FROM generate_series(1, $1::int) g`
)

func Benchmark_reading(b *testing.B) {
	d := newDB(b)
	d.exec("CREATE TABLE accounts" + benchDDL)
	d.exec(benchFill, benchRows)
	d.exec("VACUUM ANALYZE accounts")
	const sql = "SELECT " + benchColumns + " FROM accounts"
	b.Run("upwell", func(b *testing.B) {
		s := openSource(b, "dsn", d.dsn)
		for b.Loop() {
			n := int64(0)
			for rec, err := range s.Read(b.Context(), connector.Query{SQL: sql}) {
				if err != nil {
					b.Fatal(err)
				}
				n += rec.NumRows()
			}
			if n != benchRows {
				b.Fatal(n)
			}
		}
		b.ReportMetric(float64(benchRows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("pgx typed scan", func(b *testing.B) {
		for b.Loop() {
			c, err := pgx.Connect(b.Context(), d.dsn)
			if err != nil {
				b.Fatal(err)
			}
			rows, err := c.Query(b.Context(), sql)
			if err != nil {
				b.Fatal(err)
			}
			var id int64
			var email, name, plan, country string
			var seats, tickets int32
			var score float64
			var mrr pgtype.Numeric
			var active bool
			var seen time.Time
			for rows.Next() {
				if err := rows.Scan(&id, &email, &name, &seats, &score, &mrr, &active, &seen, &plan, &country, &tickets); err != nil {
					b.Fatal(err)
				}
			}
			if rows.Err() != nil {
				b.Fatal(rows.Err())
			}
			_ = c.Close(b.Context())
		}
		b.ReportMetric(float64(benchRows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

func Benchmark_loading(b *testing.B) {
	d := newDB(b)
	d.exec("CREATE TABLE accounts" + benchDDL)
	d.exec(benchFill, benchRows)
	d.exec("CREATE TABLE target" + benchDDL)
	rows, err := readAll(b.Context(), openSource(b, "dsn", d.dsn), connector.Query{SQL: "SELECT " + benchColumns + " FROM accounts"})
	if err != nil {
		b.Fatal(err)
	}
	l := load{object: "target", op: connector.OpUpsert, match: []string{"id"}, fields: []string{"email", "name", "seats", "health_score", "mrr", "is_active", "last_seen", "plan", "country", "tickets_30d"}}
	all := l.batch(rows...)
	anys := make([][]any, len(rows))
	for i, r := range rows {
		for _, v := range r {
			anys[i] = append(anys[i], native(v))
		}
	}
	dest := openDest(b, "dsn", d.dsn)
	metric := func(b *testing.B) { b.ReportMetric(float64(benchRows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s") }
	b.Run("encoding alone", func(b *testing.B) {
		s := &stage{to: l.target(), masks: map[string]*int64{}}
		if s.table, err = tableOf(d, "target"); err != nil {
			b.Fatal(err)
		}
		if s.match, s.fields, err = columnsFor(s.table, "target", l.op, l.match, l.fields); err != nil {
			b.Fatal(err)
		}
		s.mask = make([]byte, 2)
		s.feed = &feed{full: make(chan []byte, 1), free: make(chan []byte, 4), done: make(chan struct{})}
		go func() {
			for buf := range s.feed.full {
				select {
				case s.feed.free <- buf:
				default:
				}
			}
		}()
		s.buf = s.feed.buffer()
		for b.Loop() {
			if err := s.Write(b.Context(), all); err != nil {
				b.Fatal(err)
			}
		}
		close(s.feed.full)
		metric(b)
	})
	for _, empty := range []bool{true, false} {
		kind := map[bool]string{true: "into an empty table", false: "over equal rows"}[empty]
		b.Run("upwell stage "+kind, func(b *testing.B) {
			for b.Loop() {
				if empty {
					b.StopTimer()
					d.exec("TRUNCATE target")
					b.StartTimer()
				}
				s, err := dest.Stage(b.Context(), l.target())
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; i < all.Len(); i += 8192 {
					if err := s.Write(b.Context(), all.Slice(i, min(i+8192, all.Len()))); err != nil {
						b.Fatal(err)
					}
				}
				n := 0
				if err := s.Commit(b.Context(), nil, func(uint64, connector.Result) { n++ }); err != nil || n != benchRows {
					b.Fatal(n, err)
				}
			}
			metric(b)
		})
		b.Run("pgx CopyFrom and ON CONFLICT "+kind, func(b *testing.B) {
			for b.Loop() {
				if empty {
					b.StopTimer()
					d.exec("TRUNCATE target")
					b.StartTimer()
				}
				tx, err := d.conn.Begin(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := tx.Exec(b.Context(), "CREATE TEMP TABLE stg (LIKE target) ON COMMIT DROP"); err != nil {
					b.Fatal(err)
				}
				if _, err := tx.CopyFrom(b.Context(), pgx.Identifier{"stg"}, slices.Concat(l.match, l.fields), pgx.CopyFromRows(anys)); err != nil {
					b.Fatal(err)
				}
				if _, err := tx.Exec(b.Context(), `INSERT INTO target SELECT * FROM stg ON CONFLICT (id) DO UPDATE SET email=excluded.email, name=excluded.name, seats=excluded.seats, health_score=excluded.health_score,
				  mrr=excluded.mrr, is_active=excluded.is_active, last_seen=excluded.last_seen, plan=excluded.plan, country=excluded.country, tickets_30d=excluded.tickets_30d`); err != nil {
					b.Fatal(err)
				}
				if err := tx.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			metric(b)
		})
	}
	b.Run("upwell write in batches of 10000 over equal rows", func(b *testing.B) {
		for b.Loop() {
			for i := 0; i < all.Len(); i += 10_000 {
				part := all.Slice(i, min(i+10_000, all.Len()))
				if err := dest.Write(b.Context(), l.target(), part, connector.NewOutcomes(part.Len())); err != nil {
					b.Fatal(err)
				}
			}
		}
		metric(b)
	})
}

func tableOf(d *db, name string) (*table, error) {
	tables, err := lookUp(d.Context(), d.conn.PgConn(), []string{name})
	if err != nil {
		return nil, err
	}
	return tables[0], nil
}

// native gives a value as pgx takes it.
func native(v row.Value) any {
	switch v.Kind() {
	case row.Bool:
		return v.Bool()
	case row.Int:
		return v.Int()
	case row.Float:
		return v.Float()
	case row.Decimal:
		var n pgtype.Numeric
		if err := n.Scan(v.Str()); err != nil {
			panic(err)
		}
		return n
	case row.Instant:
		return v.GoTime()
	default:
		return v.Str()
	}
}
