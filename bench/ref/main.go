// Command ref holds the bare programs the benchmarks compare with: the least code that does the job, without change detection,
// state, retries or accounting.
//
//	ref read   DSN          read the workload with a typed scan
//	ref duck   FILE         the same from a DuckDB file, through database/sql
//	ref sql    DSN FILE     run the statements of a file in one transaction, as psql -f would
//	ref upsert SRC DST      COPY into a staging table, then one INSERT ... ON CONFLICT
//	ref load   CSV FILE     load the workload into a DuckDB file
//	ref post   DSN URL      post the workload in batches of 100, 8 at a time
package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/sync/errgroup"
)

const columns = "id, email, name, seats, health_score, mrr, is_active, last_seen, plan, country, tickets_30d"

type account struct {
	id                         int64
	email, name, plan, country string
	seats, tickets             int32
	health                     float64
	mrr                        pgtype.Numeric
	active                     bool
	seen                       time.Time
}

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: ref read|duck|load|sql|upsert|post ARGUMENT"))
	}
	ctx := context.Background()
	var n int64
	var err error
	switch os.Args[1] {
	case "read":
		n, err = each(ctx, os.Args[2], func(*account) error { return nil })
	case "duck":
		n, err = duck(ctx, os.Args[2])
	case "sql":
		err = script(ctx, os.Args[2], os.Args[3])
	case "load":
		err = load(ctx, os.Args[2], os.Args[3])
	case "upsert":
		n, err = upsert(ctx, os.Args[2], os.Args[3])
	case "post":
		n, err = post(ctx, os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("unknown program %q", os.Args[1])
	}
	fail(err)
	fmt.Println(n)
}

func script(ctx context.Context, dsn, file string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // the program ends
	sql, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = c.PgConn().Exec(ctx, "BEGIN; "+string(sql)+" COMMIT").ReadAll()
	return err
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func each(ctx context.Context, dsn string, do func(*account) error) (n int64, err error) {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer c.Close(ctx) //nolint:errcheck // the program ends
	rows, err := c.Query(ctx, "SELECT "+columns+" FROM accounts")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var a account
	for rows.Next() {
		if err := rows.Scan(&a.id, &a.email, &a.name, &a.seats, &a.health, &a.mrr, &a.active, &a.seen, &a.plan, &a.country, &a.tickets); err != nil {
			return n, err
		}
		if err := do(&a); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func duck(ctx context.Context, path string) (n int64, err error) {
	db, err := sql.Open("duckdb", path+"?access_mode=READ_ONLY")
	if err != nil {
		return 0, err
	}
	defer db.Close() //nolint:errcheck // the program ends
	rows, err := db.QueryContext(ctx, "SELECT id, email, name, seats, health_score, mrr::DOUBLE, is_active, last_seen, plan, country, tickets_30d FROM accounts")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var a account
	var mrr float64
	for rows.Next() {
		if err := rows.Scan(&a.id, &a.email, &a.name, &a.seats, &a.health, &mrr, &a.active, &a.seen, &a.plan, &a.country, &a.tickets); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func upsert(ctx context.Context, src, dst string) (int64, error) {
	from, err := pgx.Connect(ctx, src)
	if err != nil {
		return 0, err
	}
	to, err := pgx.Connect(ctx, dst)
	if err != nil {
		return 0, err
	}
	if _, err := to.Exec(ctx, "CREATE TEMP TABLE staging (LIKE accounts)"); err != nil {
		return 0, err
	}
	r, w := io.Pipe()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		buf := bufio.NewWriterSize(w, 256<<10)
		_, err := from.PgConn().CopyTo(ctx, buf, "COPY (SELECT "+columns+" FROM accounts) TO STDOUT (FORMAT binary)")
		if err == nil {
			err = buf.Flush()
		}
		return w.CloseWithError(err)
	})
	tag, err := to.PgConn().CopyFrom(ctx, r, "COPY staging ("+columns+") FROM STDIN (FORMAT binary)")
	if err != nil {
		return 0, err
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	_, err = to.Exec(context.Background(), `INSERT INTO accounts SELECT * FROM staging ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name,
		seats = excluded.seats, health_score = excluded.health_score, mrr = excluded.mrr, is_active = excluded.is_active, last_seen = excluded.last_seen,
		plan = excluded.plan, country = excluded.country, tickets_30d = excluded.tickets_30d`)
	return tag.RowsAffected(), err
}

const (
	postBatch = 100
	posters   = 8
)

func post(ctx context.Context, dsn, url string) (int64, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posters, MaxConnsPerHost: posters}}
	bodies := make(chan []byte, posters)
	var g errgroup.Group
	var once sync.Once
	var failed error
	for range posters {
		g.Go(func() error {
			for b := range bodies {
				if err := send(ctx, client, url, b); err != nil {
					once.Do(func() { failed = err })
				}
			}
			return nil
		})
	}
	var buf []byte
	rows := 0
	n, err := each(ctx, dsn, func(a *account) error {
		if rows == 0 {
			buf = append(make([]byte, 0, 32<<10), '[')
		} else {
			buf = append(buf, ',')
		}
		buf = appendAccount(buf, a)
		if rows++; rows == postBatch {
			bodies <- append(buf, ']')
			rows = 0
		}
		return failed
	})
	if rows > 0 {
		bodies <- append(buf, ']')
	}
	close(bodies)
	if werr := g.Wait(); err == nil {
		err = werr
	}
	if err == nil {
		err = failed
	}
	return n, err
}

func send(ctx context.Context, c *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return err
}

func appendAccount(b []byte, a *account) []byte {
	mrr, _ := a.mrr.MarshalJSON() //nolint:errcheck // a finite number
	b = strconv.AppendInt(append(b, `{"id":`...), a.id, 10)
	b = strconv.AppendQuote(append(b, `,"email":`...), a.email)
	b = strconv.AppendQuote(append(b, `,"name":`...), a.name)
	b = strconv.AppendInt(append(b, `,"seats":`...), int64(a.seats), 10)
	b = strconv.AppendFloat(append(b, `,"health_score":`...), a.health, 'g', -1, 64)
	b = append(append(b, `,"mrr":`...), mrr...)
	b = strconv.AppendBool(append(b, `,"is_active":`...), a.active)
	b = a.seen.UTC().AppendFormat(append(b, `,"last_seen":"`...), time.RFC3339Nano)
	b = strconv.AppendQuote(append(b, `","plan":`...), a.plan)
	b = strconv.AppendQuote(append(b, `,"country":`...), a.country)
	b = strconv.AppendInt(append(b, `,"tickets_30d":`...), int64(a.tickets), 10)
	return append(b, '}')
}
