package proof_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // looks at the table past the program

	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/testdb"
)

const loadRows = 3000

// loadProject is a project that loads a generated model into a table of a real PostgreSQL.
func loadProject(t *testing.T, table string) (dir string, db *sql.DB) {
	t.Helper()
	dsn := testdb.Postgres(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	write(t, dir, "upwell.yml", fmt.Sprintf(`version: 1
name: proof
sources: {wh: {type: generator, rows: %d}}
destinations: {tool: {type: postgres, dsn: %q, statement_timeout: 1s}}
models: {m: {source: wh, table: t, key: id}}
syncs:
  s: {model: m, destination: tool, object: accounts, mode: mirror, match: {id: id}, fields: {v: v, name: name}, guards: {max_removed: 100}}
`, loadRows, dsn))
	setVersion(t, dir, 1)
	return dir, db
}

// inStep checks that the table holds exactly the model's rows of a version.
func inStep(t *testing.T, db *sql.DB, version int, without ...int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT id, v FROM accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[int]int{}
	for rows.Next() {
		var id, v int
		if err := rows.Scan(&id, &v); err != nil {
			t.Fatal(err)
		}
		got[id] = v
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	wrong := 0
	for id := range loadRows {
		want := valueAt(id, version)
		if slices.Contains(without, id) {
			want = 0
		}
		if got[id] != want {
			wrong++
		}
		delete(got, id)
	}
	if wrong+len(got) > 0 {
		t.Errorf("%d rows are wrong or missing, %d should not be there", wrong, len(got))
	}
}

// expire lets the time pass in which a request of a dead process could still land: two minutes, for PostgreSQL.
func expire(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, ".upwell", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE intents SET deadline = 0"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

const accounts = "CREATE TABLE accounts (id bigint PRIMARY KEY, v int, name text)"

// Invariant 1, Invariant 5. A process may end at every step of a load that fills an empty table: before the commit nothing is
// there, and the next run brings the table in step, also with a model that changed meanwhile.
func Test_a_process_may_end_at_every_step_of_a_first_load(t *testing.T) {
	for _, point := range []string{
		failpoint.RunBegun, failpoint.Adopted, failpoint.Publishing, failpoint.Published, failpoint.Planned, failpoint.Intended, failpoint.Departing,
		failpoint.Answered, failpoint.Delivered, failpoint.RunFinishing, failpoint.RunFinished,
	} {
		for n := 1; n <= 2; n++ {
			t.Run(fmt.Sprintf("%s %d", point, n), func(t *testing.T) {
				t.Parallel()
				dir, db := loadProject(t, accounts)
				p := start(t, dir, fmt.Sprintf("%s=%s:%d", failpoint.Variable, point, n))
				_ = p.cmd.Wait()
				if code := p.cmd.ProcessState.ExitCode(); code != failpoint.Exit && (code != 0 || n == 1) {
					t.Fatalf("the child did not end at %s: %v %s %s", point, p.cmd.ProcessState, p.out.String(), p.err.String())
				}
				expire(t, dir)
				setVersion(t, dir, 2)
				if r := start(t, dir).wait(); r.Code != "" || r.Record.Status != run.Succeeded {
					t.Fatalf("the next run: %+v %+v", r, r.Record)
				}
				inStep(t, db, 2)
				r := start(t, dir).wait()
				if r.Code != "" || r.Record.Counts.Planned != (run.Planned{}) {
					t.Errorf("a further run found work: %+v", r.Record)
				}
			})
		}
	}
}

// A first load that the table cannot be filled with ends as one that was staged: the bad row is refused and the rest is there.
func Test_a_row_that_spoils_a_first_load_does_not_sink_the_rest(t *testing.T) {
	dir, db := loadProject(t, "CREATE TABLE accounts (id bigint PRIMARY KEY CHECK (id <> 1234), v int, name text)")
	r := start(t, dir).wait()
	if r.Code != "" || r.Record.Status != run.Partial || r.Record.Counts.Rejected != 1 {
		t.Fatalf("%+v", r)
	}
	inStep(t, db, 1, 1234)
	if r := start(t, dir).wait(); r.Code != "" || r.Record.Counts.Waiting != 1 || r.Record.Counts.Planned != (run.Planned{}) {
		t.Errorf("a further run: %+v", r.Record)
	}
}
