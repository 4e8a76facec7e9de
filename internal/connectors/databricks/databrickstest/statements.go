package databrickstest

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// kept is how many results the stand-in remembers; the service keeps each for an hour.
const kept = 24

// maxInline is the largest result given inline, 25 MiB
// (https://docs.databricks.com/api/workspace/statementexecution/executestatement).
const maxInline = 25 << 20

type statement struct {
	id     string
	inline bool
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended

	// Once done, or under the server's lock.
	state    string
	code     string
	message  string
	sqlState string
	columns  []column
	rows     int64
	chunks   []chunkInfo
	session  *warehousetest.Session
	result   *warehousetest.Result
	told     [][]*string // rows of a statement that writes
	pending  int         // looks until it runs
	links    map[string]*linked
}

type chunkInfo struct {
	Index  int   `json:"chunk_index"`
	Offset int64 `json:"row_offset"`
	Rows   int64 `json:"row_count"`
	Bytes  int64 `json:"byte_count,omitempty"`
}

type submission struct {
	Statement   string `json:"statement"`
	WarehouseID string `json:"warehouse_id"`
	Catalog     string `json:"catalog"`
	Schema      string `json:"schema"`
	Disposition string `json:"disposition"`
	Format      string `json:"format"`
	WaitTimeout string `json:"wait_timeout"`
	OnWait      string `json:"on_wait_timeout"`
	RowLimit    int64  `json:"row_limit"`
	ByteLimit   int64  `json:"byte_limit"`
	Parameters  []struct {
		Name  string  `json:"name"`
		Type  string  `json:"type"`
		Value *string `json:"value"`
	} `json:"parameters"`
}

var waitForm = regexp.MustCompile(`^(0|[5-9]|[1-4][0-9]|50)s$`)

// submit takes a statement (https://docs.databricks.com/api/workspace/statementexecution/executestatement).
func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	var q submission
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	bad := func(message string) { refuse(w, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", message) }
	switch err := d.Decode(&q); {
	case err != nil:
		bad("Could not parse request object: " + err.Error())
		return
	case q.WarehouseID != Warehouse:
		bad(q.WarehouseID + " is not a valid endpoint id.")
		return
	case q.Statement == "":
		bad("statement is required")
		return
	case len(q.Statement) > 16<<20:
		bad("The maximum query text size is 16 MiB.")
		return
	case q.WaitTimeout != "" && !waitForm.MatchString(q.WaitTimeout):
		bad("wait_timeout must be 0s or between 5s and 50s")
		return
	case q.Disposition == "INLINE" && q.Format != "JSON_ARRAY":
		bad("The format field must be JSON_ARRAY when the disposition field is INLINE.")
		return
	case q.Disposition == "EXTERNAL_LINKS" && q.Format != "ARROW_STREAM", q.Disposition != "INLINE" && q.Disposition != "EXTERNAL_LINKS":
		bad("The stand-in knows INLINE with JSON_ARRAY, and EXTERNAL_LINKS with ARROW_STREAM.")
		return
	case q.RowLimit != 0 || q.ByteLimit != 0:
		bad("The stand-in knows no row_limit and no byte_limit.")
		return
	}
	st := s.accept(q)
	if q.WaitTimeout != "0s" {
		wait := 10 * time.Second
		if q.WaitTimeout != "" {
			wait, _ = time.ParseDuration(q.WaitTimeout) //nolint:errcheck // its form was checked
		}
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-st.done:
		case <-t.C:
		case <-r.Context().Done():
		}
		s.tell(w, r, st)
		return
	}
	answer(w, http.StatusOK, map[string]any{"statement_id": st.id, "status": map[string]string{"state": "PENDING"}})
}

// accept starts a statement. A warehouse that is stopped starts by itself
// (https://docs.databricks.com/aws/en/compute/sql-warehouse/create#auto-stop), and statements are PENDING until it runs.
func (s *Server) accept(q submission) *statement {
	ctx, cancel := context.WithCancel(s.ctx)
	st := &statement{id: uuid(), inline: q.Disposition == "INLINE", cancel: cancel, done: make(chan struct{}), state: "RUNNING", links: map[string]*linked{}}
	s.mu.Lock()
	if s.stopped {
		s.stopped = false
		st.pending = s.warming
	}
	if st.pending > 0 {
		st.state = "PENDING"
	}
	s.statements[st.id] = st
	s.order = append(s.order, st.id)
	var old *statement
	if len(s.order) > kept {
		old = s.statements[s.order[0]]
		delete(s.statements, s.order[0])
		s.order = s.order[1:]
	}
	s.mu.Unlock()
	s.work.Go(func() {
		if old != nil {
			old.free()
		}
		s.execute(ctx, st, q)
	})
	return st
}

// execute runs a statement and settles its state.
func (s *Server) execute(ctx context.Context, st *statement, q submission) {
	defer close(st.done)
	defer st.cancel()
	params := map[string]string{}
	for _, p := range q.Parameters {
		params[p.Name] = literal(p.Type, p.Value)
	}
	err := s.refused(q.Statement)
	if err == nil {
		err = s.compute(ctx, st, q, params)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case st.state == "CANCELED":
	case s.faults.kill > 0 && !st.inline:
		s.faults.kill--
		st.state = "CANCELED"
	case err != nil && ctx.Err() != nil:
		st.state = "CANCELED"
	case err != nil:
		st.state, st.code, st.message, st.sqlState = "FAILED", "BAD_REQUEST", words(err), ""
	case st.pending == 0:
		st.state = "SUCCEEDED"
	}
}

func (s *Server) compute(ctx context.Context, st *statement, q submission, params map[string]string) error {
	catalog := q.Catalog
	if catalog == "" {
		catalog = Catalog
	}
	text, kind, err := translate(q.Statement, params, catalog)
	if err != nil {
		return err
	}
	s.fault(func(f *faults) {
		if f.late { // what was made is in no view of tables yet
			text = strings.ReplaceAll(text, tables+"WHERE ", tables+"WHERE FALSE AND ")
		}
	})
	session, err := s.session(ctx, q.Catalog, q.Schema)
	if err != nil {
		return err
	}
	st.session = session
	if kind != "" {
		n, err := session.Exec(ctx, text)
		if err != nil {
			return err
		}
		st.columns, st.told = counts(kind, n)
		st.rows = int64(len(st.told))
		st.chunks = []chunkInfo{{Rows: st.rows}}
		return nil
	}
	if st.result, err = session.Query(ctx, text); err != nil {
		return err
	}
	st.rows = st.result.Rows
	for _, c := range st.result.Columns {
		st.columns = append(st.columns, columnOf(c))
	}
	var bytes int64
	if st.rows > 0 { // chunks are of one size here; the first tells it
		first, err := st.encode(ctx, 0, min(st.rows, int64(s.ChunkRows)), nil)
		if err != nil {
			return err
		}
		bytes = int64(len(first))
	}
	if st.inline && bytes*(st.rows/int64(s.ChunkRows)) > maxInline {
		return said("Inline byte limit exceeded. Statements executed with disposition=INLINE can have a result size of at most 26214400 bytes. " +
			"Please execute the statement with disposition=EXTERNAL_LINKS if you want to download the full result.")
	}
	for from := int64(0); from < st.rows; from += int64(s.ChunkRows) {
		n := min(int64(s.ChunkRows), st.rows-from)
		st.chunks = append(st.chunks, chunkInfo{Index: len(st.chunks), Offset: from, Rows: n, Bytes: bytes})
	}
	return nil
}

// counts is what statements that write answer, https://docs.databricks.com/aws/en/sql/language-manual/delta-update and the pages
// of the others beside it.
func counts(kind string, n int64) (columns []column, rows [][]*string) {
	text := strconv.FormatInt(n, 10)
	row := []*string{&text}
	add := func(names ...string) {
		for _, name := range names {
			columns = append(columns, column{name: name, sql: "BIGINT", java: "LONG"})
		}
	}
	switch kind {
	case "UPDATE", "DELETE":
		add("num_affected_rows")
	case "INSERT", "CREATE TABLE":
		add("num_affected_rows", "num_inserted_rows")
		row = append(row, &text)
	case "MERGE":
		add("num_affected_rows", "num_updated_rows", "num_deleted_rows", "num_inserted_rows")
		row = append(row, nil, nil, nil) // DuckDB counts them together
	default:
		return nil, nil
	}
	return columns, [][]*string{row}
}

// session opens a session with a statement's current catalog and schema.
func (s *Server) session(ctx context.Context, catalog, schema string) (*warehousetest.Session, error) {
	if catalog == "" {
		catalog = Catalog
	}
	if schema == "" {
		schema = Schema
	}
	session, err := s.engine.Session(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := session.Exec(ctx, "USE "+warehousetest.Ident(catalog)+"."+warehousetest.Ident(strings.ToLower(schema))); err != nil {
		session.Close()
		return nil, err
	}
	return session, nil
}

func (st *statement) free() {
	st.cancel()
	<-st.done
	if st.session != nil {
		st.session.Close()
	}
}

// find gives the statement of a path, or answers that there is none.
func (s *Server) find(w http.ResponseWriter, r *http.Request) *statement {
	s.mu.Lock()
	st := s.statements[r.PathValue("id")]
	s.mu.Unlock()
	if st == nil {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "The statement "+r.PathValue("id")+" was not found.")
	}
	return st
}

// look tells of a statement (https://docs.databricks.com/api/workspace/statementexecution/getstatement).
func (s *Server) look(w http.ResponseWriter, r *http.Request) {
	st := s.find(w, r)
	if st == nil {
		return
	}
	if s.Patient {
		select {
		case <-st.done:
		case <-r.Context().Done():
		}
	}
	s.mu.Lock()
	if st.state == "PENDING" {
		if st.pending--; st.pending <= 0 {
			st.state = "RUNNING"
			select {
			case <-st.done:
				st.state = "SUCCEEDED"
			default:
			}
		}
	}
	s.mu.Unlock()
	s.tell(w, r, st)
}

func (s *Server) tell(w http.ResponseWriter, r *http.Request, st *statement) {
	s.mu.Lock()
	state := map[string]any{"state": st.state}
	if st.state == "FAILED" {
		state["error"] = map[string]string{"error_code": st.code, "message": st.message}
	}
	succeeded, truncated, more := st.state == "SUCCEEDED", s.faults.truncated, s.faults.miscount
	s.mu.Unlock()
	out := map[string]any{"statement_id": st.id, "status": state}
	if succeeded {
		<-st.done
		format := "ARROW_STREAM"
		if st.inline {
			format = "JSON_ARRAY"
		}
		out["manifest"] = map[string]any{
			"format": format, "schema": map[string]any{"column_count": len(st.columns), "columns": manifestColumns(st.columns, st.inline)},
			"total_chunk_count": len(st.chunks), "total_row_count": st.rows + more, "truncated": truncated, "chunks": st.chunks,
		}
		part, err := s.part(r, st, 0)
		if err != nil {
			out = map[string]any{"statement_id": st.id, "status": map[string]any{"state": "FAILED", "error": map[string]string{"error_code": "BAD_REQUEST", "message": err.Error()}}}
		} else {
			out["result"] = part
		}
	}
	answer(w, http.StatusOK, out)
}

// chunk tells of one chunk; what it is stands at the top level
// (https://docs.databricks.com/api/workspace/statementexecution/getstatementresultchunkn).
func (s *Server) chunk(w http.ResponseWriter, r *http.Request) {
	st := s.find(w, r)
	if st == nil {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	s.mu.Lock()
	succeeded := st.state == "SUCCEEDED"
	s.mu.Unlock()
	if err != nil || !succeeded || n < 0 || n >= len(st.chunks) {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "The requested chunk of statement "+st.id+" does not exist.")
		return
	}
	part, err := s.part(r, st, n)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	answer(w, http.StatusOK, part)
}

// cancel ends a statement; one that has ended stays as it is
// (https://docs.databricks.com/api/workspace/statementexecution/cancelexecution).
func (s *Server) cancel(w http.ResponseWriter, r *http.Request) {
	st := s.find(w, r)
	if st == nil {
		return
	}
	s.mu.Lock()
	if st.state == "RUNNING" || st.state == "PENDING" {
		st.state = "CANCELED"
	}
	s.mu.Unlock()
	st.cancel()
	answer(w, http.StatusOK, map[string]any{})
}

// warehouse tells of the warehouse (https://docs.databricks.com/api/workspace/warehouses/get).
func (s *Server) warehouse(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != Warehouse {
		refuse(w, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "SQL warehouse "+r.PathValue("id")+" does not exist.")
		return
	}
	state := "RUNNING"
	s.mu.Lock()
	for _, st := range s.statements {
		if st.state == "PENDING" {
			state = "STARTING"
		}
	}
	if s.stopped {
		state = "STOPPED"
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"id": Warehouse, "name": "Stand-in", "state": state, "enable_serverless_compute": true})
}

// States gives the states of the statements it remembers, old to new.
func (s *Server) States() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, len(s.order))
	for i, id := range s.order {
		out[i] = s.statements[id].state
	}
	return out
}

func uuid() string {
	h := random(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
