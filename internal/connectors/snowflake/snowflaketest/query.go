package snowflaketest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/standin"
	"github.com/upwelldata/upwell/internal/warehousetest"
)

// running is one statement, from its request until its answer is fetched. A request that is repeated with the same id joins it.
type running struct {
	id      string
	stop    context.CancelFunc
	done    chan struct{}
	queue   int // answers "not ready" still to be given while the warehouse resumes; under session.mu
	session *session

	data    any // when done
	refused *refusal
}

type queryRequest struct {
	SQL          string             `json:"sqlText"`
	Async        bool               `json:"asyncExec"`
	DescribeOnly bool               `json:"describeOnly"`
	Parameters   map[string]any     `json:"parameters"`
	Bindings     map[string]binding `json:"bindings"`
}

type binding struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// query answers a statement: its result, or "not ready" and where to ask for it.
func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	one := s.of(w, r)
	if one == nil {
		return
	}
	var req queryRequest
	if err := readJSON(r, &req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	requestID := r.URL.Query().Get("requestId")
	f := faultOf(r)
	one.mu.Lock()
	q, again := one.queries[requestID]
	if !again {
		ctx, stop := context.WithCancel(one.ctx)
		q = &running{id: id(), stop: stop, done: make(chan struct{}), session: one, queue: f.Queue}
		one.queries[requestID], one.queries[q.id] = q, q
		go func() {
			defer close(q.done)
			defer stop()
			q.data, q.refused = s.run(ctx, one, &req, q, f, "http://"+r.Host)
		}()
	}
	one.mu.Unlock()
	s.mu.Lock()
	s.stats.Statements = append(s.stats.Statements, Statement{SQL: req.SQL, DescribeOnly: req.DescribeOnly, Repeated: again, Session: one.id})
	s.mu.Unlock()
	s.wait(w, r, q)
}

// result is asked for what was not ready.
func (s *Server) result(w http.ResponseWriter, r *http.Request) {
	one := s.of(w, r)
	if one == nil {
		return
	}
	one.mu.Lock()
	q := one.queries[r.PathValue("id")]
	one.mu.Unlock()
	if q == nil {
		s.refuse(w, refusal{code: "000707", message: "Query result not found"})
		return
	}
	s.wait(w, r, q)
}

// wait answers when the statement is done, or that it is not: a synchronous client asks again at once.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, q *running) {
	s.mu.Lock()
	patience := s.options.Patience
	s.mu.Unlock()
	q.session.mu.Lock()
	queued := q.queue > 0
	if queued {
		q.queue--
	}
	q.session.mu.Unlock()
	if !queued {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-q.done:
			if q.refused != nil {
				bad := *q.refused
				bad.query = q.id
				s.refuse(w, bad)
				return
			}
			s.succeed(w, q.data)
			return
		case <-r.Context().Done():
			return
		case <-timer.C:
		}
	}
	code, message := "333333", "Query execution in progress"
	standin.Answer(w, http.StatusOK, answer{Code: &code, Message: &message, Data: map[string]any{"queryId": q.id, "getResultUrl": "/queries/" + q.id + "/result"}})
}

// abort ends a statement.
func (s *Server) abort(w http.ResponseWriter, r *http.Request) {
	one := s.of(w, r)
	if one == nil {
		return
	}
	var req struct{ RequestID string }
	if err := readJSON(r, &req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	one.mu.Lock()
	q := one.queries[req.RequestID]
	one.mu.Unlock()
	if q != nil {
		select {
		case <-q.done:
		default:
			q.stop()
			<-q.done
			s.succeed(w, nil)
			return
		}
	}
	s.refuse(w, refusal{code: "000605", message: "Identified SQL statement is not currently executing."})
}

// Kill ends every statement that is running, as an administrator would, and reports whether there was one.
func (s *Server) Kill() (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.masters {
		one.mu.Lock()
		for _, q := range one.queries {
			select {
			case <-q.done:
			default:
				found = true
				q.stop()
			}
		}
		one.mu.Unlock()
	}
	return found
}

// run computes one statement.
func (s *Server) run(ctx context.Context, one *session, req *queryRequest, q *running, f *Fault, base string) (any, *refusal) {
	f.arrive()
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
		}
	}
	if f.Code != "" {
		return nil, &refusal{code: f.Code, state: f.State, message: f.Message}
	}
	tokens, err := lex.Split(req.SQL)
	if err != nil {
		return nil, syntax(err.Error())
	}
	stmts := statements(tokens)
	switch {
	case len(stmts) == 0:
		return nil, &refusal{code: "000900", state: "42601", message: "SQL compilation error:\nempty statement"}
	case len(stmts) > 1:
		return nil, &refusal{code: "000008", state: "0A000", message: "Actual statement count " + strconv.Itoa(len(stmts)) + " did not match the desired statement count 1."}
	}
	if bad := s.allowed(one, stmts[0], req.DescribeOnly); bad != nil {
		return nil, bad
	}
	data, err := s.answer(ctx, one, stmts[0], req, q, f, base)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, context.Canceled) {
			return nil, &refusal{code: "000604", state: "57014", message: "SQL execution canceled"}
		}
		var bad *refusal
		if errors.As(err, &bad) {
			return nil, bad
		}
		return nil, inWords(err.Error())
	}
	return data, nil
}

// answer runs one statement by its kind.
func (s *Server) answer(ctx context.Context, one *session, stmt []warehousetest.Token, req *queryRequest, q *running, f *Fault, base string) (any, error) {
	verb := stmt[warehousetest.Next(stmt, 0)]
	if verb.Is("USE") {
		return s.use(ctx, one, stmt, q)
	}
	duck, err := translate(stmt, req.Bindings, one)
	if err != nil {
		return nil, err
	}
	switch verb.Value {
	case "SELECT", "WITH", "VALUES", "":
		if req.DescribeOnly {
			cols, err := one.engine.Describe(ctx, duck)
			if err != nil {
				return nil, err
			}
			return described(cols, q.id), nil
		}
		r, err := one.engine.Query(ctx, duck)
		if err != nil {
			return nil, err
		}
		return s.rows(ctx, one, r, q.id, base, f)
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		if req.DescribeOnly {
			return described([]warehousetest.Column{{Name: "number of rows changed", Type: "BIGINT"}}, q.id), nil
		}
		n, err := one.engine.Exec(ctx, duck)
		if err != nil {
			return nil, err
		}
		return changed(verb.Value, n, q.id), nil
	}
	if !req.DescribeOnly {
		if duck = one.transacts(verb, duck); duck == "" {
			return said("Statement executed successfully.", q.id), nil
		}
		if _, err := one.engine.Exec(ctx, duck); err != nil {
			return nil, err
		}
	}
	return said("Statement executed successfully.", q.id), nil
}

// transacts gives the statement as it is in or out of a transaction (https://docs.snowflake.com/en/sql-reference/transactions):
// beginning one in another and ending none have no effect, and what makes or drops something ends one.
func (s *session) transacts(verb warehousetest.Token, duck string) string {
	open := s.open
	switch {
	case verb.Is("BEGIN"):
		s.open = true
		if open {
			return ""
		}
	case verb.Is("COMMIT"), verb.Is("ROLLBACK"):
		s.open = false
		if !open {
			return ""
		}
	case open:
		s.open = false
		return "COMMIT; " + duck
	}
	return duck
}

// allowed refuses what the role, the warehouse or its state does not let through. A statement over no table needs no warehouse.
func (s *Server) allowed(one *session, stmt []warehousetest.Token, describeOnly bool) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	reads := false
	for i, t := range stmt {
		if t.Is("FROM") || t.Is("JOIN") || t.Is("INTO") {
			reads = true
			name, _ := qualified(stmt, warehousetest.Next(stmt, i+1))
			parts := strings.Split(name, ".")
			full := name
			if len(parts) < 3 && one.database != "" {
				full = strings.Join(append(strings.Split(one.database+"."+one.schema, ".")[:3-len(parts)], parts...), ".")
			}
			if name != "" && (s.hidden[strings.ToUpper(name)] || s.hidden[strings.ToUpper(full)]) {
				return noObject(full)
			}
		}
	}
	if describeOnly || !reads {
		return nil
	}
	suspended, known := s.warehouses[one.warehouse]
	switch {
	case one.warehouse == "" || !known:
		return &refusal{code: "000606", state: "57P03", message: "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."}
	case suspended:
		return &refusal{code: "000607", state: "57P03", message: "Warehouse '" + one.warehouse + "' is suspended and cannot be resumed automatically."}
	}
	return nil
}

// use changes the session's place (https://docs.snowflake.com/en/sql-reference/sql/use).
func (s *Server) use(ctx context.Context, one *session, stmt []warehousetest.Token, q *running) (any, error) {
	i := warehousetest.Next(stmt, warehousetest.Next(stmt, 0)+1)
	if i >= len(stmt) {
		return nil, syntax("a name is missing")
	}
	kind := ""
	if t := stmt[i]; t.Is("WAREHOUSE") || t.Is("ROLE") || t.Is("SCHEMA") || t.Is("DATABASE") {
		kind = t.Value
		i = warehousetest.Next(stmt, i+1)
	}
	name, _ := qualified(stmt, i)
	switch kind {
	case "WAREHOUSE":
		s.mu.Lock()
		_, known := s.warehouses[name]
		s.mu.Unlock()
		if !known {
			return nil, noObject(name)
		}
		one.warehouse = name
	case "ROLE":
		one.role = name
	default:
		parts := strings.Split(name, ".")
		switch {
		case kind == "SCHEMA" && len(parts) == 1:
			parts = []string{one.database, parts[0]}
		case len(parts) == 1:
			parts = append(parts, Schema)
		}
		if _, err := one.engine.Exec(ctx, place(parts[0], parts[1])); err != nil {
			return nil, &refusal{code: "002043", state: "02000", message: "SQL compilation error:\nObject does not exist, or operation cannot be performed."}
		}
		one.database, one.schema = parts[0], parts[1]
	}
	return said("Statement executed successfully.", q.id), nil
}
