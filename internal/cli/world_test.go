package cli_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // makes the source

	"github.com/upwelldata/upwell/internal/cli"
)

var update = flag.Bool("update", false, "rewrite golden files")

// world is a project over a SQLite file, with a webhook and a file destination.
type world struct {
	t     *testing.T
	dir   string
	hook  *hook
	con   cli.Console
	stdin io.Reader
}

const sources = `version: 1
name: acme
sources:
  app: {type: sqlite, path: app.db}
destinations:
  out: {type: file, path: out}
  hook: {type: webhook, url: "${env:UPWELL_TEST_HOOK}", allow_private: true}
`

const models = `
models:
  health:
    source: app
    table: health
    key: account_id
    tests:
      - not_null: account_id
      - accepted_values: {column: tier, values: [healthy, watch, at_risk]}
        severity: warn
`

const toFile = `
syncs:
  health_to_file:
    model: health
    destination: out
    object: accounts
    mode: mirror
    match: {id: account_id}
    fields: {score: score, tier: tier}
`

const toHook = `
syncs:
  health_to_hook:
    model: health
    destination: hook
    object: accounts
    mode: mirror
    match: {id: account_id}
    fields: {score: score, tier: tier}
    schedule: {every: 1h}
`

// newWorld makes a project of the parts; the model has four rows.
func newWorld(t *testing.T, parts ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), hook: newHook(t), stdin: strings.NewReader("")}
	t.Cleanup(w.con.Wait) // nothing writes to the folder while it is removed
	t.Setenv("UPWELL_TEST_HOOK", w.hook.url)
	w.write("upwell.yml", sources+strings.Join(parts, ""))
	w.exec(`create table health (account_id text, score integer, tier text)`,
		`insert into health values ('A1', 71, 'watch'), ('A2', 93, 'healthy'), ('A3', 12, 'at_risk'), ('A4', 55, 'watch')`)
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// exec changes the source.
func (w *world) exec(statements ...string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "app.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			w.t.Fatalf("%s: %v", s, err)
		}
	}
}

// answer is what a command said.
type answer struct {
	code     int
	out, err string
}

// do runs a command in the project.
func (w *world) do(args ...string) answer {
	w.t.Helper()
	return w.outside(append([]string{"-C", w.dir}, args...)...)
}

func (w *world) outside(args ...string) answer {
	w.t.Helper()
	var out, err bytes.Buffer
	code := w.con.Main(args, w.stdin, &out, &err)
	return answer{code, out.String(), err.String()}
}

// must runs a command and wants its exit code.
func (w *world) must(code int, args ...string) answer {
	w.t.Helper()
	a := w.do(args...)
	if a.code != code {
		w.t.Fatalf("upwell %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), a.code, code, a.out, a.err)
	}
	return a
}

// decoded is a command's document.
func (a answer) decoded(t *testing.T) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(a.out))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		t.Fatalf("no JSON document: %v\n%s", err, a.out)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Fatalf("more than one document: %s", a.out)
	}
	if doc["schema_version"] != json.Number("1") {
		t.Fatalf("schema_version is %v", doc["schema_version"])
	}
	return doc
}

// at digs in a document: names, and list positions as numbers.
func at(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := doc.(map[string]any)
			if !ok {
				t.Fatalf("%v: %v is no object", path, doc)
			}
			if doc, ok = m[p]; !ok {
				t.Fatalf("%v: no %q in %v", path, p, m)
			}
		case int:
			l, ok := doc.([]any)
			if !ok || p >= len(l) {
				t.Fatalf("%v: no element %d in %v", path, p, doc)
			}
			doc = l[p]
		}
	}
	return doc
}

// Whatever differs from run to run, by what stands for it in golden files.
var volatile = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`01[0-9A-HJKMNP-TV-Z]{24}`), "RUN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HOST"},
	{regexp.MustCompile(`("plan_hash|definition)": "[0-9a-f]+"`), `$1": "HASH"`},
	{regexp.MustCompile(`("freshness_seconds": )[0-9.e-]+`), "${1}N"},
	{regexp.MustCompile(`"excerpt": ".*"`), `"excerpt": "EXCERPT"`},
	{regexp.MustCompile(`\b(\d+ ms|\d+(\.\d+)? s|just now|\d+ min \d+ s)\b( ago)?`), "SPAN"},
	{regexp.MustCompile(` *\b(SPAN|RUN|TIME|HOST|STARTED|TOOK|LAST RUN|FRESHNESS|DUE)\b *`), " $1 "},
}

// golden compares text with a file, what is volatile taken out.
func (w *world) golden(name, text string) {
	w.t.Helper()
	text = strings.ReplaceAll(text, w.dir, "DIR")
	for _, v := range volatile {
		text = v.re.ReplaceAllString(text, v.with)
	}
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// hook is an endpoint that holds records and can refuse and stall.
type hook struct {
	url     string
	close   func()
	mu      sync.Mutex
	records map[string]map[string]any
	reject  map[string]string // key -> code
	down    int               // answer with this status
	stall   chan struct{}     // non-nil: writes wait until it is closed
	stalled chan struct{}     // one signal per waiting write
}

func newHook(t *testing.T) *hook {
	h := &hook{records: map[string]map[string]any{}, reject: map[string]string{}, stalled: make(chan struct{}, 100)}
	srv := httptest.NewServer(h)
	h.url, h.close = srv.URL, srv.Close
	t.Cleanup(srv.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	h.mu.Lock()
	stall, down := h.stall, h.down
	h.mu.Unlock()
	if stall != nil {
		h.stalled <- struct{}{}
		<-stall
	}
	if down != 0 {
		http.Error(w, "no", down)
		return
	}
	var req struct {
		Operation string `json:"operation"`
		Rows      []struct {
			Key, Fields map[string]any
		} `json:"rows"`
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var results []map[string]string
	for _, row := range req.Rows {
		id := fmt.Sprint(row.Key["id"])
		if code, bad := h.reject[id]; bad {
			results = append(results, map[string]string{"status": "rejected", "code": code, "field": "score", "message": "no score like this"})
			continue
		}
		if req.Operation == "delete" {
			delete(h.records, id)
		} else {
			h.records[id] = row.Fields
		}
		results = append(results, map[string]string{"status": "delivered"})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
}

// release lets waiting writes go on.
func (w *world) release() {
	w.hook.set(func() {
		if w.hook.stall != nil {
			close(w.hook.stall)
			w.hook.stall = nil
		}
	})
}

func (h *hook) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *hook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.records)
}
