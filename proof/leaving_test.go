package proof_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/testdb"
)

// tap stands between the program and a PostgreSQL server and counts the rows of at least wide columns that pass.
type tap struct {
	dsn  string
	wide int
	rows atomic.Int64
}

func newTap(t *testing.T, dsn string, wide int) *tap {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{wide: wide}
	server := u.Host
	u.Host = l.Addr().String()
	p.dsn = u.String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.pass(c, server) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return p
}

// pass copies both directions. What the server says comes in messages of a type, a length and a body
// (https://www.postgresql.org/docs/current/protocol-overview.html); a row is of type D and begins with its number of columns.
func (p *tap) pass(client net.Conn, server string) {
	defer client.Close()
	up, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(up, client) // ends with the connection
		_ = up.Close()
	}()
	in, out := bufio.NewReaderSize(up, 1<<16), bufio.NewWriterSize(client, 1<<16)
	head := make([]byte, 5)
	for {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if head[0] == 'D' && int(binary.BigEndian.Uint16(body)) >= p.wide {
			p.rows.Add(1)
		}
		if _, err := out.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// watched is a project whose model leaves a PostgreSQL server through a tap.
type watched struct {
	*world
	t    *testing.T
	tap  *tap
	conn *pgx.Conn
}

// watch makes the table and a project of it. columns are those that the mapping reads.
func watch(t *testing.T, table, sync string, columns int) *watched {
	t.Helper()
	dsn := testdb.Postgres(t)
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	x := &watched{t: t, tap: newTap(t, dsn, columns+3), conn: c} // and the three columns of a comparison
	x.exec("CREATE TABLE t AS " + table)
	x.world = newWorld(t, byID)
	x.sources = map[string]connector.SourceConnector{"postgres": postgres.Source()}
	write(t, x.dir, "upwell.yml", "version: 1\nname: leaving\nsources: {wh: {type: postgres, dsn: '"+x.tap.dsn+"', diff: warehouse}}\ndestinations: {tool: {type: tool}}\n"+
		"models: {m: {source: wh, table: t, key: id}}\nsyncs:\n  s:\n    model: m\n    destination: tool\n    object: Account\n"+sync)
	return x
}

func (x *watched) exec(sql string) {
	x.t.Helper()
	if _, err := x.conn.Exec(x.t.Context(), sql); err != nil {
		x.t.Fatal(err)
	}
}

// left runs and counts what left the warehouse.
func (x *watched) left(want int64, o run.RunOptions) *run.Record {
	x.t.Helper()
	x.tap.rows.Store(0)
	rec := x.run(o)
	if rec.Status != run.Succeeded || rec.Counts.Read == 0 {
		x.t.Fatalf("%s %v %+v", rec.Status, rec.Error, rec.Counts)
	}
	if got := x.tap.rows.Load(); got != want {
		x.t.Errorf("%d rows left the warehouse, want %d", got, want)
	}
	return rec
}

// Only what differs leaves the warehouse, counted where it leaves: the rows whose mapped columns changed, new rows, entries whose row
// is gone, and one row that tells how many there are.
func Test_only_rows_whose_mapped_columns_changed_leave_the_warehouse(t *testing.T) {
	x := watch(t, "SELECT g AS id, 'm' || g AS mail, 'v' || g AS v, '' AS w, NULL::text AS tier, 0 AS elsewhere FROM generate_series(1, 5000) g",
		"    mode: mirror\n    match: {Id: id}\n    fields: {V: {cel: row.v + row.w}, Tier: {column: tier, null: clear}}\n", 4)
	exec, left := x.exec, x.left
	left(5000+1, run.RunOptions{})
	left(1, run.RunOptions{})
	exec("UPDATE t SET elsewhere = 1, mail = 'n' || id") // columns that are not mapped
	left(1, run.RunOptions{})
	exec("UPDATE t SET v = v || '!' WHERE id % 100 = 7")
	exec("DELETE FROM t WHERE id % 1000 = 500")
	exec("INSERT INTO t VALUES (9001, 'x', 'y', '', 'z', 0), (9002, 'x', 'y', '', NULL, 0)")
	rec := left(50+5+2+1, run.RunOptions{})
	if n := rec.Counts; n.Read != 4997 || n.Planned.Change != 50 || n.Planned.Add != 2 || n.Planned.Remove != 5 || n.Delivered != 57 {
		t.Errorf("%+v", n)
	}
	exec("UPDATE t SET v = upper(v), tier = NULL WHERE id = 9002") // and back, before anybody looked
	exec("UPDATE t SET v = lower(v) WHERE id = 9002")
	left(1, run.RunOptions{})
	rec = left(4997+1, run.RunOptions{Full: true})
	if rec.Counts.Delivered != 4997 {
		t.Errorf("%+v", rec.Counts)
	}
	t.Logf("5,000 rows: all left once, then the 50 changed, 2 new and 5 gone ones, and a row with the total")
}

// Records that no row stands for are known by their match: of the rows, only those that claim one leave because of it.
func Test_a_record_left_behind_lets_only_the_rows_that_claim_it_leave(t *testing.T) {
	x := watch(t, "SELECT g AS id, 'm' || g AS mail, 'v' || g AS v, 'a' AS tier FROM generate_series(1, 3000) g",
		"    mode: upsert\n    removed: keep\n    match: {Mail: mail}\n    fields: {V: v, Tier: tier}\n", 4)
	x.left(3000+1, run.RunOptions{})
	x.left(1, run.RunOptions{})
	x.exec("DELETE FROM t WHERE id = 5")
	x.left(1+1, run.RunOptions{})
	x.left(1, run.RunOptions{})                                                              // its record stays in the tool, which calls for nothing
	x.exec("UPDATE t SET mail = CASE id WHEN 1 THEN 'm2' ELSE 'new' END WHERE id IN (1, 2)") // 1 takes over the record of 2, and leaves its own
	x.left(2+1, run.RunOptions{})
	x.left(1+1, run.RunOptions{}) // the record left behind, and no row
	x.exec("INSERT INTO t VALUES (9001, ' M1 ', 'back', 'a'), (9002, 'M5', 'back', 'a')")
	rec := x.left(2+2+1, run.RunOptions{}) // two rows, and the two records they claim
	if rec.Counts.Planned.Add+rec.Counts.Planned.Change != 2 || rec.Counts.Delivered != 2 {
		t.Errorf("%+v", rec.Counts)
	}
	t.Logf("3,000 rows: beside what changed, a record left behind let itself leave, and the one row that claimed it")
}

// What a tool takes for one identity the warehouse takes for one, whatever the locale of its database knows of letters: two rows that
// claim one record are seen although one of them did not change.
func Test_matches_that_differ_in_the_case_of_any_letter_meet(t *testing.T) {
	x := watch(t, "SELECT g AS id, chr(200 + g) || 'm' || g AS mail, 'v' || g AS v, 'a' AS tier FROM generate_series(1, 20) g UNION ALL SELECT 21, 'kim', 'v', 'a' UNION ALL SELECT 22, 'ink', 'v', 'a'",
		"    mode: upsert\n    removed: keep\n    match: {Mail: mail}\n    fields: {V: v, Tier: tier}\n", 4)
	rec := x.run(run.RunOptions{})
	if rec.Counts.Delivered != 22 {
		t.Fatalf("%+v", rec.Counts)
	}
	x.exec("INSERT INTO t SELECT 101, chr(201 + 32) || 'm1', 'w', 'a' UNION ALL SELECT 102, 'M2' || chr(199), 'w', 'a' UNION ALL SELECT 103, chr(8490) || 'IM', 'w', 'a'")
	rec = x.run(run.RunOptions{})
	if n := rec.Counts; n.Invalid != 4 || n.Delivered != 1 {
		t.Errorf("of three new rows two share the record of another each: %+v", n)
	}
}
