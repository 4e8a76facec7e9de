// Command compare runs the benchmarks of bench/run: each job by a bare program and by upwell, in turn, and prints medians,
// ratios, memory and disk.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

type options struct {
	rows, repeat int
	write        bool
	only         *regexp.Regexp
}

type measure struct {
	seconds float64
	cpu     float64 // seconds of processor time, user and system, all threads
	rss     float64 // MiB, peak
}

type line struct {
	name       string
	most       float64 // times the bare program, at most; 0 = no target, the two are compared
	of         string  // what the bare program is
	bare, ours []measure
	note       string
}

func main() {
	var o options
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows of the workload")
	flag.IntVar(&o.repeat, "repeat", 5, "runs of each side")
	flag.BoolVar(&o.write, "write", false, "append the table to bench/results.md")
	only := flag.String("only", "", "run only benchmarks whose name matches this regular expression")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench: --only:", err)
		os.Exit(2)
	}
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	options
	dir      string
	src, dst string // DSNs
	sink     string
	conn     *pgx.Conn
	out      io.Writer
	lines    []line
	readings []reading
}

// wants reports whether a benchmark is to run.
func (b *bench) wants(name string) bool { return b.only.MatchString(name) }

func run(ctx context.Context, o options) (err error) {
	b := &bench{options: o}
	if err := roomFor(os.TempDir(), o.rows); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "upwell-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir) //nolint:errcheck // a temporary folder
	if err := b.databases(ctx); err != nil {
		return err
	}
	stop, err := b.startSink(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, f := range []func(context.Context) error{b.postgresToPostgres, b.warehouse, b.duckdb, b.http, b.fingerprints} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return b.report()
}

// databases makes the workload's database and an empty one.
func (b *bench) databases(ctx context.Context) error {
	var err error
	if b.src, err = b.database(ctx, "bench_source"); err != nil {
		return fmt.Errorf("on the server of scripts/with-servers: %w", err)
	}
	if b.dst, err = b.database(ctx, "bench_target"); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "generating %d rows\n", b.rows)
	if b.conn, err = pgx.Connect(ctx, b.src); err != nil {
		return err
	}
	sql, err := os.ReadFile("bench/workload.sql")
	if err != nil {
		return err
	}
	for _, stmt := range strings.Split(strings.ReplaceAll(string(sql), "$ROWS", fmt.Sprint(b.rows)), ";\n") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		if _, err := b.conn.Exec(ctx, stmt); err != nil {
			return err
		}
	}
	return b.onTarget(ctx, `CREATE TABLE accounts (id bigint PRIMARY KEY, email text, name text, seats int, health_score double precision,
		mrr numeric(12,2), is_active boolean, last_seen timestamptz, plan text, country text, tickets_30d int)`)
}

func (b *bench) onTarget(ctx context.Context, sql string) error {
	c, err := pgx.Connect(ctx, b.dst)
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // done with it
	_, err = c.Exec(ctx, sql)
	return err
}

func (b *bench) startSink(ctx context.Context) (func(), error) {
	cmd := exec.CommandContext(ctx, "bin/sink")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fscanln(out, &b.sink); err != nil {
		return nil, err
	}
	return func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
	}, nil
}

// timed runs a command and measures the whole process.
func timed(name string, args ...string) (measure, error) { return timedInto(nil, name, args...) }

func timedInto(out io.Writer, name string, args ...string) (measure, error) {
	cmd := exec.Command(name, args...) //nolint:noctx,gosec // programs of bench/run, bounded by the benchmark itself
	var errOut strings.Builder
	cmd.Stdout, cmd.Stderr = out, &errOut
	begun := time.Now()
	err := cmd.Run()
	m := measure{seconds: time.Since(begun).Seconds()}
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.rss = float64(ru.Maxrss) / 1024
		m.cpu = time.Duration(ru.Utime.Nano() + ru.Stime.Nano()).Seconds()
	}
	if err != nil {
		return m, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errOut.String())
	}
	return m, nil
}

const fields = `
      email: email
      name: name
      seats: seats
      health_score: health_score
      mrr: mrr
      is_active: is_active
      last_seen: last_seen
      plan: plan
      country: country
      tickets_30d: tickets_30d
`

func (b *bench) project(name, source, destination, object string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	yml := fmt.Sprintf(`version: 1
name: bench
sources:
  warehouse: {%s}
destinations:
  target: {%s}
models:
  accounts: {source: warehouse, table: accounts, key: id}
syncs:
  accounts:
    model: accounts
    destination: target
    object: %s
    mode: upsert
    removed: %s
    match: {id: id}
    fields:%s`, source, destination, object, map[bool]string{true: "keep", false: "delete"}[strings.Contains(destination, "webhook")], fields)
	return dir, os.WriteFile(filepath.Join(dir, "upwell.yml"), []byte(yml), 0o600)
}

func (b *bench) upwell(dir string) (measure, error) {
	return timed("bin/upwell", "-C", dir, "run", "--json")
}

// pair measures both sides in turn. before runs ahead of each measured command.
func (b *bench) pair(l line, beforeBare, beforeOurs func(i int) error, bare, ours func() (measure, error)) error {
	if !b.wants(l.name) {
		return nil
	}
	for i := range b.repeat {
		for side, f := range []func() (measure, error){bare, ours} {
			before := []func(int) error{beforeBare, beforeOurs}[side]
			if before != nil {
				if err := before(i); err != nil {
					return err
				}
			}
			m, err := f()
			if err != nil {
				return err
			}
			if side == 0 {
				l.bare = append(l.bare, m)
			} else {
				l.ours = append(l.ours, m)
			}
			fmt.Fprintf(os.Stderr, "%-44s %-6s %6.2f s %5.0f MiB\n", l.name, []string{"bare", "upwell"}[side], m.seconds, m.rss)
		}
	}
	b.lines = append(b.lines, l)
	return nil
}

const (
	firstSync = "PostgreSQL -> PostgreSQL, first sync"
	nothing   = "PostgreSQL, nothing changed"
	little    = "PostgreSQL, 1 % changed + 0.1 % removed or back"
)

func (b *bench) postgresToPostgres(ctx context.Context) error {
	if !b.wants(firstSync) && !b.wants(nothing) && !b.wants(little) {
		return nil
	}
	dir, err := b.project("pg", "type: postgres, dsn: '"+b.src+"'", "type: postgres, dsn: '"+b.dst+"'", "accounts")
	if err != nil {
		return err
	}
	empty := func(int) error { return b.onTarget(ctx, "TRUNCATE accounts") }
	fresh := func(i int) error {
		if err := os.RemoveAll(filepath.Join(dir, ".upwell")); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, "upwell.lock")); err != nil {
			return err
		}
		return empty(i)
	}
	read := func() (measure, error) { return timed("bin/ref", "read", b.src) }
	ours := func() (measure, error) { return b.upwell(dir) }
	if err := b.pair(line{name: firstSync, most: 1.25, of: "COPY + ON CONFLICT"}, empty, fresh,
		func() (measure, error) { return timed("bin/ref", "upsert", b.src, b.dst) }, ours); err != nil {
		return err
	}
	if !b.wants(firstSync) {
		if _, err := b.upwell(dir); err != nil {
			return err
		}
	}
	if err := b.pair(line{name: nothing, most: 1.3, of: "bare reader"}, nil, nil, read, ours); err != nil {
		return err
	}
	if !b.wants(little) {
		return b.disk(dir)
	}
	if _, err := b.conn.Exec(ctx, "CREATE TABLE away AS SELECT * FROM accounts WHERE id % 1000 = 500"); err != nil {
		return err
	}
	change := func(i int) error {
		sql := "UPDATE accounts SET mrr = mrr + 1 WHERE id % 100 = 37"
		if _, err := b.conn.Exec(ctx, sql); err != nil {
			return err
		}
		sql = "DELETE FROM accounts WHERE id % 1000 = 500"
		if i%2 == 1 {
			sql = "INSERT INTO accounts SELECT * FROM away"
		}
		if _, err := b.conn.Exec(ctx, sql); err != nil {
			return err
		}
		_, err := b.conn.Exec(ctx, "VACUUM ANALYZE accounts")
		return err
	}
	if err := b.pair(line{name: little, most: 1.7, of: "bare reader"}, nil, change, read, ours); err != nil {
		return err
	}
	return b.disk(dir)
}

func (b *bench) duckdb(ctx context.Context) error {
	const name = "DuckDB, nothing changed"
	if !b.wants(name) {
		return nil
	}
	csv, err := b.export(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "warehouse.duckdb")
	// Another process loads it: a child's peak memory is at least that of the process that started it.
	if _, err := timed("bin/ref", "load", csv, file); err != nil {
		return err
	}
	dir, err := b.project("duck", "type: duckdb, path: '"+file+"'", "type: postgres, dsn: '"+b.dst+"'", "accounts")
	if err != nil {
		return err
	}
	if err := b.onTarget(ctx, "TRUNCATE accounts"); err != nil {
		return err
	}
	if _, err := b.upwell(dir); err != nil {
		return err
	}
	return b.pair(line{name: name, most: 1.3, of: "bare reader"}, nil, nil,
		func() (measure, error) { return timed("bin/ref", "duck", file) }, func() (measure, error) { return b.upwell(dir) })
}

// export writes the workload to a file, once.
func (b *bench) export(ctx context.Context) (path string, err error) {
	path = filepath.Join(b.dir, "accounts.csv")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = b.conn.PgConn().CopyTo(ctx, f, "COPY accounts TO STDOUT (FORMAT csv, HEADER)")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return path, err
}

func (b *bench) http(context.Context) error {
	dir, err := b.project("http", "type: postgres, dsn: '"+b.src+"'",
		"type: webhook, url: '"+b.sink+"', allow_private: true, limits: {concurrency: 8}", "accounts")
	if err != nil {
		return err
	}
	return b.pair(line{name: "HTTP, first sync, 100 rows/request, 8 at a time", most: 1 / 0.95, of: "bare poster (95 % of its rate)"}, nil, func(int) error {
		return os.RemoveAll(filepath.Join(dir, ".upwell"))
	}, func() (measure, error) { return timed("bin/ref", "post", b.src, b.sink) }, func() (measure, error) {
		if err := os.RemoveAll(filepath.Join(dir, "upwell.lock")); err != nil {
			return measure{}, err
		}
		return b.upwell(dir)
	})
}
