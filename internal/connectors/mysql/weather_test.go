package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// cutter passes a connection through and closes both ends after so many bytes from the server (-1 = never).
type cutter struct {
	net.Listener
	server string
	mu     sync.Mutex
	left   int
	seen   int
	wg     sync.WaitGroup
}

func newCutter(t *testing.T, dsn string) (*cutter, string) {
	t.Helper()
	cfg, err := driver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, server: cfg.Addr, left: -1}
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); c.wg.Wait() })
	cfg.Addr = l.Addr().String()
	cfg.TLSConfig = "false"
	return c, cfg.FormatDSN()
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	c.wg.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	buf := make([]byte, 4096)
	for {
		n, err := server.Read(buf)
		if n > 0 {
			c.mu.Lock()
			c.seen += n
			cut := c.left >= 0 && n >= c.left
			if cut {
				n = c.left
			}
			if c.left >= 0 {
				c.left -= n
			}
			c.mu.Unlock()
			if _, werr := client.Write(buf[:n]); werr != nil || cut {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *cutter) cutAfter(n int) { c.mu.Lock(); c.left, c.seen = n, 0; c.mu.Unlock() }
func (c *cutter) passed() int    { c.mu.Lock(); defer c.mu.Unlock(); return c.seen }

func Test_a_connection_cut_at_any_byte_is_never_a_complete_read(t *testing.T) {
	s := start(t, "CREATE TABLE t (id INT, v VARCHAR(10))", "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, 'c')")
	proxy, dsn := newCutter(t, s.dsn)
	src := openSource(t, dsn)
	q := connector.Query{SQL: "SELECT id, v FROM t"}
	proxy.cutAfter(-1)
	if _, rows, err := readAll(t.Context(), src, q); err != nil || len(rows) != 3 {
		t.Fatal(rows, err)
	}
	total := proxy.passed()
	for n := range total {
		proxy.cutAfter(n)
		_, rows, err := readAll(t.Context(), src, q)
		if err == nil {
			t.Fatalf("cut after %d of %d bytes: %d rows and no error", n, total, len(rows))
		}
		if f := fault.As(err); f.Code != fault.SourceIncomplete && f.Code != fault.SourceUnreachable {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
}

func Test_a_write_cut_at_any_byte_says_whether_it_may_have_landed(t *testing.T) {
	s := start(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	proxy, dsn := newCutter(t, s.dsn)
	o := s.object("t")
	to := target(o, connector.OpUpsert, []string{"id"}, []string{"v"})
	try := func() (*connector.Outcomes, error) {
		dst := openDestination(t, dsn)
		defer dst.Close()
		dst.packet = 1 << 20 // neither this nor the catalogue is asked for again: the cuts fall into the write
		if known, ok := s.dst.tables.Load("t"); ok {
			dst.tables.Store("t", known)
		}
		out := connector.NewOutcomes(2)
		return out, dst.Write(t.Context(), to, toBatch(to.Match, to.Fields, ints(0, 2, "v", func(int) row.Value { return num(1) })), out)
	}
	if _, err := try(); err != nil {
		t.Fatal(err)
	}
	total, maybe := proxy.passed(), 0
	for n := 0; n < total; n++ {
		s.run("TRUNCATE t")
		proxy.cutAfter(n)
		out, err := try()
		landed := s.table("SELECT COUNT(*) FROM t")[0] != "0"
		switch {
		case err == nil && (!landed || out.Result(0).Status != connector.Delivered):
			t.Fatalf("cut after %d: success without rows", n)
		case err != nil && landed && fault.As(err).Landed == fault.LandedNo:
			t.Fatalf("cut after %d: says nothing landed, and rows are there: %v", n, err)
		case err != nil && fault.As(err).GetClass() != fault.ClassTransient:
			t.Fatalf("cut after %d: %s %v", n, fault.As(err).GetClass(), err)
		case err != nil && fault.As(err).Landed == fault.LandedMaybe:
			maybe++
		}
	}
	if maybe == 0 || maybe > 250 {
		t.Errorf("%d of %d cuts may have landed", maybe, total)
	}
}

func Test_leaving_and_cancelling_end_the_servers_work(t *testing.T) {
	s := start(t)
	busy := func() string {
		return s.table("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID() AND COMMAND <> 'Sleep'")[0]
	}
	endless := connector.Query{SQL: "SELECT a.seq FROM seq_1_to_1000000000 a"}
	for range s.src.Read(t.Context(), endless) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for _, err := range s.src.Read(ctx, endless) {
		cancel()
		last = err
	}
	if !fault.Is(last, fault.Cancelled) || !errors.Is(last, context.Canceled) {
		t.Error(last)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := readAll(ctx, s.src, connector.Query{SQL: "SELECT COUNT(*) AS n FROM seq_1_to_100000 a JOIN seq_1_to_100000 b ON MOD(a.seq * b.seq, 7) = 8"})
	if !fault.Is(err, fault.Cancelled) {
		t.Error(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for busy() != "0" {
		if time.Now().After(deadline) {
			t.Fatal("the server still works:", s.table("SELECT INFO FROM information_schema.PROCESSLIST WHERE DB = DATABASE()"))
		}
	}
}

func Test_a_lock_of_the_applications_is_waited_for_and_then_transient(t *testing.T) {
	s := start(t, people, "INSERT INTO people VALUES (1, 'a@x', 'Ann', 1)")
	to := target(s.object("people"), connector.OpUpsert, []string{"id"}, peopleFields)
	tx, err := s.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE people SET score = 7 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	_, err = s.write(to, record{"id": num(1), "score": num(2)})
	if f := fault.As(err); f == nil || f.GetClass() != fault.ClassTransient || f.Landed != fault.LandedNo || !strings.Contains(f.Message, "1205") {
		t.Errorf("%v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	same(t, "afterwards", s.mustWrite(to, record{"id": num(1), "score": num(2)}), "delivered updated")
}

func Test_batches_side_by_side_neither_deadlock_nor_lose_rows(t *testing.T) {
	s := start(t, people)
	to := target(s.object("people"), connector.OpUpsert, []string{"id"}, peopleFields)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for round := range 5 {
				var records []record
				for i := range 50 {
					records = append(records, record{"id": num(int64(i*4 + w + round*1000)), "score": num(int64(w))})
				}
				out := connector.NewOutcomes(len(records))
				if err := s.dst.Write(t.Context(), to, toBatch(to.Match, to.Fields, records), out); err != nil {
					t.Errorf("%v", err)
				}
				for i := range records {
					if line(out.Result(i)) != "delivered created" {
						t.Errorf("%s", line(out.Result(i)))
					}
				}
			}
		})
	}
	wg.Wait()
	same(t, "table", s.table("SELECT COUNT(*) FROM people"), "1000")
}

func Test_logins_and_rights_are_named(t *testing.T) {
	s := start(t, people)
	cfg, err := driver.ParseDSN(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	user := "u" + cfg.DBName[len(cfg.DBName)-12:]
	s.run("CREATE USER "+user+" IDENTIFIED BY 's3cret-canary'", "GRANT SELECT ON "+cfg.DBName+".* TO "+user)
	t.Cleanup(func() { _, _ = s.db.Exec("DROP USER " + user) })
	cfg.User, cfg.Passwd = user, "wr0ng-canary"
	bad := cfg.FormatDSN()
	if err := openSource(t, bad).Check(t.Context()); !fault.Is(err, fault.SourceAuth) || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	if _, err := openDestination(t, bad).Check(t.Context()); !fault.Is(err, fault.DestAuth) || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	cfg.Passwd = "s3cret-canary"
	dst := openDestination(t, cfg.FormatDSN())
	acc, err := dst.Check(t.Context())
	if err != nil || !strings.Contains(acc.ID, cfg.DBName) || !strings.Contains(acc.Version, "MariaDB 1") {
		t.Errorf("%+v %v", acc, err)
	}
	objects, err := dst.Objects(t.Context(), []string{"people"})
	if err != nil || objects[0].Fields[0].Creatable {
		t.Errorf("%+v %v", objects, err)
	}
	to := target(s.object("people"), connector.OpUpdate, []string{"id"}, nil)
	err = dst.Write(t.Context(), to, toBatch(to.Match, nil, []record{{"id": num(1)}}), connector.NewOutcomes(1))
	if f := fault.As(err); f == nil || f.Code != fault.DestAuth && f.Code != fault.DestForbidden || !strings.Contains(f.GetFix(), "CREATE TEMPORARY TABLES") {
		t.Errorf("%v %s", err, fault.As(err).GetFix())
	}
	s.run("GRANT SELECT, INSERT, UPDATE, DELETE ON "+cfg.DBName+".people TO "+user, "GRANT CREATE TEMPORARY TABLES ON "+cfg.DBName+".* TO "+user)
	able := openDestination(t, cfg.FormatDSN())
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpInsert, connector.OpDelete} {
		to := target(s.object("people"), op, []string{"id"}, []string{"score"})
		if err := able.Write(t.Context(), to, toBatch(to.Match, to.Fields, []record{{"id": num(1), "score": num(1)}}), connector.NewOutcomes(1)); err != nil {
			t.Errorf("%s with the rights of the documentation: %v", op, err)
		}
	}
	cfg.Addr = "127.0.0.1:1"
	if err := openSource(t, cfg.FormatDSN()).Check(t.Context()); !fault.Is(err, fault.SourceUnreachable) || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	if _, err := openDestination(t, cfg.FormatDSN()).Check(t.Context()); !fault.Is(err, fault.DestUnreachable) || fault.As(err).Landed != fault.LandedNo {
		t.Error(err)
	}
}

func Test_queries_are_refused_in_the_servers_words(t *testing.T) {
	s := start(t, people)
	for sql, words := range map[string]string{
		"SELECT 1,\n  2 frm people\n WHER": "line 2", "SELECT * FROM nothing": "nothing", "SELECT nothing FROM people": "nothing",
		"DELETE FROM people": "READ ONLY", "CREATE TABLE x (i INT)": "READ ONLY", "SELECT 1 AS a, 2 AS a": `two columns named "a"`, "SELECT ?": "parameter", "SELECT 1; SELECT 2": "syntax",
	} {
		_, _, err := readAll(t.Context(), s.src, connector.Query{SQL: sql})
		if !fault.Is(err, fault.SourceQueryFailed) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	_, _, err := readAll(t.Context(), s.src, connector.Query{SQL: "SELECT 1 AS id,\n 2 frm people\n WHER", Where: "id > 0"})
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Error("the line of a filtered model:", err)
	}
}

func Test_a_filter_a_limit_and_columns_are_applied(t *testing.T) {
	s := start(t, people, "INSERT INTO people (id, score) VALUES (1, 1), (2, 2), (3, 3)", "SET GLOBAL sql_select_limit = 18446744073709551615")
	_, rows, err := readAll(t.Context(), s.src, connector.Query{SQL: "WITH p AS (SELECT * FROM people) SELECT * FROM p -- all", Columns: []string{"score"}, Where: "score > 1 -- some", Limit: 1})
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		t.Error(rows, err)
	}
}

func Test_settings_make_a_connection(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]string
		want     string
	}{
		"host":        {map[string]string{"host": "db.example", "user": "u", "password": "p@:/", "database": "d"}, "u:p@:/@tcp(db.example:3306)/d"},
		"IPv6":        {map[string]string{"host": "::1", "port": "3307"}, "tcp([::1]:3307)/"},
		"socket":      {map[string]string{"host": "/run/mysqld/mysqld.sock", "user": "u"}, "u@unix(/run/mysqld/mysqld.sock)/"},
		"URL":         {map[string]string{"dsn": "mysql://u:p%40@db.example/d?tls=skip-verify"}, "u:p@@tcp(db.example:3306)/d"},
		"DSN":         {map[string]string{"dsn": "u:p@tcp(db.example)/d?parseTime=true&multiStatements=true"}, "u:p@tcp(db.example:3306)/d"},
		"both":        {map[string]string{"dsn": "/", "host": "x"}, "PROJECT_MISSING_KEY"},
		"neither":     {map[string]string{}, "PROJECT_MISSING_KEY"},
		"unreadable":  {map[string]string{"dsn": "u:canary@nonsense"}, "PROJECT_VALUE"},
		"no CA file":  {map[string]string{"host": "x", "sslrootcert": "nothing.pem"}, "PROJECT_VALUE"},
		"verify-full": {map[string]string{"host": "x", "sslmode": "verify-full"}, "tcp(x:3306)/"},
	} {
		d, err := newDialer(connector.NewConfig(c.settings, nil, nil), t.TempDir(), sourceSession())
		if err != nil {
			if !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if got := d.config.FormatDSN(); !strings.HasPrefix(got, c.want) || d.config.ParseTime || d.config.MultiStatements {
			t.Errorf("%s: %s", name, got)
		}
		if name == "verify-full" && (d.config.TLS == nil || d.config.TLS.InsecureSkipVerify || d.config.TLS.ServerName != "x") {
			t.Errorf("%+v", d.config.TLS)
		}
	}
}

func Test_a_record_made_by_another_session_meanwhile_is_tried_again(t *testing.T) {
	tab := &table{name: "people", columns: []*slot{{name: "id"}, {name: "email"}}, indexes: []index{{name: "PRIMARY", columns: []string{"id"}}, {name: "email", columns: []string{"email"}}}}
	for op, want := range map[connector.Op]string{
		connector.OpUpsert: "retry DESTINATION_UNAVAILABLE", connector.OpInsert: "rejected ALREADY_EXISTS", connector.OpAppend: "delivered updated", connector.OpUpdate: "rejected 1062/23000 id",
	} {
		l := &load{d: &destination{dialer: &dialer{}}, t: tab, key: &tab.indexes[0], to: connector.Target{Op: op, Match: []string{"id"}}}
		for _, name := range []string{"PRIMARY", "people.PRIMARY"} { // MariaDB's form, MySQL's form
			got := line(l.verdict(&driver.MySQLError{Number: 1062, SQLState: [5]byte{'2', '3', '0', '0', '0'}, Message: "Duplicate entry '1' for key '" + name + "'"}))
			if got != want {
				t.Errorf("%s, %s: %s, want %s", op, name, got, want)
			}
		}
		if got := line(l.verdict(&driver.MySQLError{Number: 1062, SQLState: [5]byte{'2', '3', '0', '0', '0'}, Message: "Duplicate entry 'for key x' for key 'people.email'"})); got != "rejected 1062/23000 email" {
			t.Errorf("%s: %s", op, got)
		}
	}
}
