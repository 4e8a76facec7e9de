package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// good is a connector that keeps every promise. bug, when not empty, names the one it breaks; see mutants_test.go.
type good struct {
	http *httpkit.Client
	cfg  connector.Config
	bug  string
	mu   sync.Mutex
	jobs map[string]bool // known to this process, for one of the bugs
	stop chan struct{}
	busy atomic.Bool
}

func goodConnector(bug string) connector.DestinationConnector {
	c := connector.DestinationConnector{
		Spec: connector.Spec{
			Type: "good", Title: "Good", Summary: "Keeps every promise.", HTTP: true,
			Settings: []connector.Setting{
				{Name: "url", Type: connector.TypeString, Required: true, Doc: "Address of the tool."},
				{Name: "token", Type: connector.TypeString, Required: true, Secret: true, Doc: "Token of the tool."},
			},
			Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror},
			Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
			Timeout: 30 * time.Second, Stages: true,
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
			return openGood(cfg, env, bug)
		},
	}
	switch bug {
	case "has a setting without a word":
		c.Spec.Settings[0].Doc = ""
	case "hides that it stages":
		c.Spec.Stages = false
	}
	return c
}

func openGood(cfg connector.Config, env connector.Env, bug string) (connector.Destination, error) {
	for _, name := range []string{"url", "token"} {
		if cfg.String(name) == "" && bug != "does without its settings" {
			return nil, fault.New(fault.ProjectMissing, "the setting %s is missing", name).NotLanded()
		}
	}
	o := httpkit.Options{BaseURL: cfg.String("url"), Gate: env.Gate, AllowPrivate: true, Secrets: cfg.Secrets()}
	switch bug {
	case "passes no gate":
		o.Gate = connector.OpenGate{}
	case "unpacks whatever comes":
		o.MaxResponse = 4 << 30
	}
	client, err := httpkit.New(o)
	if err != nil {
		return nil, err
	}
	d := &good{http: client.WithBearer(cfg.String("token")), cfg: cfg, bug: bug, jobs: map[string]bool{}, stop: make(chan struct{})}
	switch bug {
	case "leaks a goroutine":
		go func() { <-d.stop }()
	case "connects when it is opened":
		_, err = d.Check(context.Background())
	}
	return d, err
}

func (d *good) Close() error {
	d.http.Close()
	return nil
}

func (d *good) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fault.Wrap(fault.Internal, err, "encoding").NotLanded()
		}
	}
	if d.bug == "does not hear the interruption" {
		ctx = context.WithoutCancel(ctx)
	}
	if d.bug == "follows redirects" {
		return d.plainly(ctx, method, path, body, out)
	}
	r := httpkit.Request{Method: method, Path: path, Body: body, ContentType: "application/json"}
	res, err := d.http.Do(ctx, r)
	if d.bug == "repeats by itself" && err != nil {
		res, err = d.http.Do(ctx, r)
	}
	if err != nil {
		return d.worse(err)
	}
	if d.bug == "takes any 200 for success" && (res.IsHTML() || len(res.Body) == 0) {
		return nil
	}
	err = d.http.JSON(res, out)
	if d.bug == "forgives JSON that ends too early" && err != nil && len(res.Body) > 0 {
		return json.Unmarshal(append(bytes.TrimSpace(res.Body), '}'), out)
	}
	return err
}

// worse breaks a promise about faults.
func (d *good) worse(err error) error {
	f := *fault.As(err)
	switch {
	case d.bug == "shows the secret" && f.Code == fault.DestAuth:
		f.Message += " (token " + d.cfg.String("token") + ")"
	case d.bug == "takes a refused login for a mistake of the project" && f.Code == fault.DestAuth:
		f.Class = fault.ClassConfig
	case d.bug == "says nothing landed after a server error" && f.Code == fault.DestTransient:
		f.Landed = fault.LandedNo
	case d.bug == "forgets how long to wait":
		f.RetryAfter = 0
	case d.bug == "takes an outage for a mistake of the project" && f.Code == fault.DestUnreachable:
		f.Class = fault.ClassConfig
	case d.bug == "takes a call that was broken off for nothing sent" && f.Code == fault.Cancelled:
		f.Landed = fault.LandedNo
	case d.bug == "takes a lost answer for nothing sent" && f.Code == fault.DestUnreachable:
		f.Landed = fault.LandedNo
	}
	return &f
}

// plainly is what httpkit is there to prevent.
func (d *good) plainly(ctx context.Context, method, path string, body []byte, out any) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		r.Header.Set("Authorization", "Bearer "+d.cfg.String("token"))
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, method, d.cfg.String("url")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.cfg.String("token"))
	res, err := client.Do(req)
	if err != nil {
		return fault.Wrap(fault.DestUnreachable, err, "calling")
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		return fault.New(fault.DestTransient, "status %d, %v", res.StatusCode, err)
	}
	if len(b) == 0 {
		return fault.New(fault.DestRedirect, "no answer").NotLanded()
	}
	return json.Unmarshal(b, out)
}

func (d *good) Check(ctx context.Context) (connector.Account, error) {
	var a struct{ ID string }
	if err := d.call(ctx, "GET", "/account", nil, &a); err != nil {
		return connector.Account{}, err
	}
	if d.bug == "names no account" {
		a.ID = ""
	}
	return connector.Account{ID: a.ID}, nil
}

func (d *good) Objects(ctx context.Context, names []string) ([]connector.Object, error) {
	if _, err := d.Check(ctx); err != nil {
		return nil, err
	}
	if names == nil && d.bug != "lists nothing" {
		names = []string{"things"}
	}
	var out []connector.Object
	for _, n := range names {
		if n == "things" || d.bug == "knows objects that are not there" {
			out = append(out, d.things(n))
		}
	}
	return out, nil
}

func (d *good) things(name string) connector.Object {
	op := connector.Operation{MaxRows: toolRows, Concurrency: 4, Idempotent: true, Partial: true, JobAbove: 1000, JobRows: 10000}
	if d.bug == "declares more rows than the tool takes" {
		op.MaxRows = 2 * toolRows
	}
	insert := op
	insert.Idempotent = false
	o := connector.Object{
		Name: name, Kind: connector.KindRecord, Keys: [][]string{{"key"}}, ReadBatch: 50, Ops: map[connector.Op]connector.Operation{
			connector.OpUpsert: op, connector.OpUpdate: op, connector.OpInsert: insert, connector.OpDelete: op, connector.OpClear: op,
			connector.OpAppend: insert,
		},
		Fields: []connector.Field{{Name: "key", Kind: row.Text, Creatable: true, Match: true, Unique: true}, {Name: "tier", Kind: row.Text, Creatable: true, Updatable: true, Nullable: true}},
	}
	for _, k := range kinds {
		o.Fields = append(o.Fields, connector.Field{Name: "f_" + k.String(), Kind: k, Creatable: true, Updatable: true, Nullable: true})
	}
	if d.bug == "describes fields by other kinds" {
		o.Fields[len(o.Fields)-1].Kind = row.Text
	}
	return o
}

func (d *good) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	if rows.Len() == 0 && d.bug != "calls for nothing" {
		return nil
	}
	if _, ok := to.Object.Ops[to.Op]; !ok && d.bug != "does what was not offered" {
		return fault.New(fault.Internal, "good does not offer %s", to.Op).NotLanded()
	}
	if d.bug == "splits by itself" && rows.Len() > 1 {
		for i := range rows.Len() {
			one := connector.NewOutcomes(1)
			if err := d.Write(ctx, to, rows.Slice(i, i+1), one); err != nil {
				return err
			}
			out.Set(i, one.Result(0))
		}
		return nil
	}
	if d.bug == "cannot write twice at once" {
		if !d.busy.CompareAndSwap(false, true) {
			return fault.New(fault.DestTransient, "the connection is busy").NotLanded()
		}
		defer d.busy.Store(false)
	}
	request := d.request(to, rows)
	if d.bug == "shows the secret with what was sent" {
		out.Request = "Authorization: Bearer " + d.cfg.String("token")
	}
	var answer struct{ Results []toolResult }
	if err := d.call(ctx, "POST", "/write", request, &answer); err != nil {
		if d.bug == "takes a cut answer for success" && fault.Is(err, fault.DestAnswer) {
			out.DeliveredAll()
			return nil
		}
		return err
	}
	d.judge(to, rows, answer.Results, out)
	return nil
}

func (d *good) request(to connector.Target, rows *row.Batch) toolWrite {
	w := toolWrite{Op: string(to.Op), Skip: to.SkipExists}
	for i := range rows.Len() {
		r := toolRow{Key: encodeValue(rows.Match(i)[0]), Fields: map[string]*string{}}
		for k, name := range rows.Fields() {
			d.put(r.Fields, name, rows.Values(i)[k])
		}
		w.Rows = append(w.Rows, r)
	}
	d.spoil(to, &w)
	return w
}

func (d *good) judge(to connector.Target, rows *row.Batch, results []toolResult, out *connector.Outcomes) {
	if d.bug == "drops the last row" {
		out.DeliveredAll()
		return
	}
	for _, r := range results {
		if r.I >= rows.Len() && (d.bug == "overhears answers to no row" || d.bug == "appends twice") {
			continue
		}
		switch r.Status {
		case "created":
			out.Delivered(r.I, r.ID, connector.Yes)
		case "updated", "deleted":
			out.Delivered(r.I, r.ID, connector.No)
		case "missing":
			if to.Op != connector.OpDelete {
				out.Skipped(r.I, "MISSING", "there is no such record")
			} else if d.bug == "refuses to delete what is gone" {
				out.Rejected(r.I, "MISSING", "", "there is no such record")
			} else {
				out.Delivered(r.I, "", connector.NotTold)
			}
		case "exists":
			if to.SkipExists && d.bug != "never skips what exists" {
				out.Skipped(r.I, fault.AlreadyExists, "the record is there")
			} else {
				out.Rejected(r.I, fault.AlreadyExists, "", "the record is there")
			}
		case "refused":
			message := r.Message
			if d.bug == "rejects without a word" {
				message = ""
			}
			out.Rejected(r.I, fault.Code(r.Code), r.Field, message)
		}
	}
	if d.bug == "takes silence for success" || d.bug == "takes any 200 for success" {
		for i := range rows.Len() {
			if !out.Marked(i) {
				out.Delivered(i, "", connector.NotTold)
			}
		}
	}
}

func goodHarness(bug string) Harness {
	h := Harness{
		Connector: goodConnector(bug), Object: "things", Match: "key", Fields: map[row.Kind]string{}, AnyBy: true,
		Bad:   Record{"tier": row.TextValue("none")},
		Needs: []string{"url", "token"},
		Wrong: map[string]string{"token": "wrong-token-0815"},
		New: func(t testing.TB) World {
			s := newTool(t)
			return World{Settings: map[string]string{"url": s.URL, "token": toolToken}, Records: s.all, Forget: s.forget}
		},
		HTTP: &HTTP{
			URL: "url", Write: func(r *http.Request) bool { return r.URL.Path == "/write" },
			Shorter: func(b []byte) []byte {
				return editResults(b, func(list []toolResult) []toolResult { return list[:len(list)-1] })
			},
			Longer: func(b []byte) []byte {
				return editResults(b, func(list []toolResult) []toolResult { return append(list, toolResult{I: len(list), Status: "created"}) })
			},
		},
	}
	for _, k := range kinds {
		h.Fields[k] = "f_" + k.String()
	}
	return h
}

func editResults(b []byte, edit func([]toolResult) []toolResult) []byte {
	var answer struct {
		Results []toolResult `json:"results"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		panic(err)
	}
	answer.Results = edit(answer.Results)
	out, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return out
}

func Test_a_destination_that_keeps_every_promise_passes(t *testing.T) {
	Destination(t, goodHarness(""))
}
