package databricks

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	requestTimeout  = 30 * time.Second
	downloadTimeout = 10 * time.Minute
	submitGrace     = 7 * time.Second // how long an interrupted submission is waited for, to learn what has to be cancelled
	cancelTimeout   = 5 * time.Second

	maxAnswer    = 64 << 20 // inline results are at most 25 MiB, before JSON
	maxStatement = 16 << 20 // the longest statement the API takes
)

// rhythm is how long is waited between looks at a statement, and before a request is repeated.
type rhythm struct {
	look, lookMost   time.Duration
	again, againMost time.Duration
	attempts         int
}

// pace of the real service. A statement is looked at often at first, as most of the ledger's take a fraction of a second; results
// are lost when nobody looks for 15 minutes.
var pace = rhythm{look: 10 * time.Millisecond, lookMost: 5 * time.Second, again: 250 * time.Millisecond, againMost: 8 * time.Second, attempts: 6}

// statement is what is to be run.
type statement struct {
	sql    string
	params []row.Value
	inline bool   // the result as JSON in the answer, else as links to Arrow streams
	doing  string // for messages
}

const api = "/api/2.0/sql/statements"

// run submits a statement and waits for its end. It gives the answer of a statement that succeeded; one that is left early, by ctx
// or by a limit, is cancelled at the server.
func (s *source) run(ctx context.Context, st statement) (*answer, error) {
	a, err := s.submit(ctx, st)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	var running time.Time
	for wait := s.pace.look; ; wait = min(2*wait, s.pace.lookMost) {
		switch a.Status.State {
		case "SUCCEEDED":
			return a, nil
		case "PENDING":
			if time.Since(started) > s.startTimeout {
				s.cancel(ctx, a.StatementID)
				return nil, s.notStarted(ctx)
			}
		case "RUNNING":
			if running.IsZero() {
				running = time.Now()
			}
			if s.statementTimeout > 0 && time.Since(running) > s.statementTimeout {
				s.cancel(ctx, a.StatementID)
				return nil, fault.New(fault.SourceQueryFailed, "%s: the query ran longer than %s and was cancelled", st.doing, s.statementTimeout).
					WithFix("Make the query faster, or raise statement_timeout on the source.")
			}
		default:
			return nil, s.statementFault(st, a)
		}
		if err := pause(ctx, wait); err != nil {
			s.cancel(ctx, a.StatementID)
			return nil, fault.Wrap(fault.Cancelled, err, "%s", st.doing)
		}
		next := &answer{}
		if err := s.get(ctx, api+"/"+a.StatementID, st.doing, next); err != nil {
			s.cancel(ctx, a.StatementID)
			return nil, err
		}
		next.StatementID = a.StatementID
		a = next
	}
}

// submit sends a statement. One that reads is not waited for, so that its id is known from the start; small ones mostly end within
// the five seconds that are the shortest wait there is, and need no second request. An interrupted context is obeyed a moment later:
// a statement whose id is not known cannot be cancelled.
func (s *source) submit(ctx context.Context, st statement) (*answer, error) {
	body := submission{
		Statement: st.sql, WarehouseID: s.warehouse, Catalog: s.catalog, Schema: s.schema,
		Disposition: "EXTERNAL_LINKS", Format: "ARROW_STREAM", WaitTimeout: "0s",
	}
	if st.inline {
		body.Disposition, body.Format, body.WaitTimeout = "INLINE", "JSON_ARRAY", "5s"
	}
	if len(st.sql) > maxStatement {
		return nil, fault.New(fault.SourceQueryFailed, "%s: the statement has %d bytes, Databricks takes at most 16 MiB", st.doing, len(st.sql))
	}
	var err error
	if body.Parameters, err = parameters(st.params); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "%s: writing the request", st.doing)
	}
	if ctx.Err() != nil {
		return nil, fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", st.doing)
	}
	patient, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		t := time.NewTimer(submitGrace)
		defer t.Stop()
		select {
		case <-t.C:
			stop()
		case <-patient.Done():
		}
	})()
	a := &answer{}
	// Only a refusal to take it now is worth another try: what may have arrived is not sent twice.
	again := func(f *fault.Error) bool {
		return f.Landed == fault.LandedNo && (f.Code == fault.DestThrottled || f.Code == fault.DestTransient) && ctx.Err() == nil
	}
	if err := s.call(patient, httpkit.Request{Method: http.MethodPost, Path: api, Body: raw, ContentType: "application/json"}, a, again); err != nil {
		if ctx.Err() != nil {
			return nil, fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", st.doing)
		}
		return nil, s.requestFault(err, st.doing)
	}
	if a.StatementID == "" || a.Status.State == "" {
		return nil, fault.New(fault.SourceUnreachable, "%s: the answer of %s names no statement", st.doing, s.base.Host)
	}
	return a, nil
}

// get asks for a document about a statement, again where that may help.
func (s *source) get(ctx context.Context, path, doing string, into any) error {
	if err := s.call(ctx, httpkit.Request{Path: path}, into, passing); err != nil {
		return s.requestFault(err, doing)
	}
	return nil
}

// passing reports a failure that may be gone a moment later.
func passing(f *fault.Error) bool {
	switch f.Code { //nolint:exhaustive // the rest stays
	case fault.DestUnreachable, fault.DestTimeout, fault.DestTransient, fault.DestThrottled, fault.DestAnswer:
		return true
	}
	return false
}

// call sends a request, and again while again allows it, and decodes the answer. Its faults are httpkit's.
func (s *source) call(ctx context.Context, r httpkit.Request, into any, again func(*fault.Error) bool) error {
	r.Header = http.Header{"Accept": {"application/json"}}
	return s.repeat(ctx, again, func() error {
		resp, err := s.client.Do(ctx, r)
		if err != nil {
			return s.refusal(resp, err)
		}
		return s.client.JSON(resp, into)
	})
}

// repeat calls do until it succeeds, fails for good, or has failed too often.
func (s *source) repeat(ctx context.Context, again func(*fault.Error) bool, do func() error) error {
	wait := s.pace.again
	for attempt := 1; ; attempt++ {
		err := do()
		f := fault.As(err)
		if f == nil || attempt >= s.pace.attempts || !again(f) {
			return err
		}
		if pause(ctx, max(min(f.RetryAfter, time.Minute), wait/2+rand.N(wait/2+1))) != nil { //nolint:gosec // spread, not secrecy
			return err
		}
		wait = min(2*wait, s.pace.againMost)
	}
}

// cancel ends a statement at the server. It need not succeed: the statement ends by itself, and whoever left it has their error.
func (s *source) cancel(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer stop()
	r := httpkit.Request{Method: http.MethodPost, Path: api + "/" + id + "/cancel", Timeout: cancelTimeout}
	_, _ = s.client.Do(ctx, r) //nolint:errcheck // see above
}

// pause waits, or gives why it did not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
