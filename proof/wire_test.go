package proof_test

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Limits of the wire destination. So a kill repeats at most wireWorkers x wireRows rows.
const (
	wireRows        = 200
	wireConcurrency = 4
	wireWorkers     = wireConcurrency + (wireConcurrency+1)/2
	wireTimeout     = 300 * time.Millisecond
)

// wire is a destination that speaks the webhook form of the contract to an oracle.
type wire struct{ http *httpkit.Client }

func wireDestination() connector.DestinationConnector {
	limit := wireTimeout
	if d, err := time.ParseDuration(os.Getenv(timeoutVar)); err == nil {
		limit = d
	}
	return connector.DestinationConnector{
		Spec: connector.Spec{
			Type: "wire", Title: "Wire", HTTP: true, Timeout: limit,
			Settings: []connector.Setting{{Name: "url", Type: connector.TypeString, Required: true, Doc: "Address of the oracle."}},
			Modes:    []connector.Mode{connector.ModeUpsert, connector.ModeMirror, connector.ModeInsert},
			Removed:  []connector.Removal{connector.RemovedKeep, connector.RemovedDelete},
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
			c, err := httpkit.New(httpkit.Options{BaseURL: cfg.String("url"), Gate: env.Gate, Timeout: limit, AllowPrivate: cfg.Bool("allow_private")})
			return &wire{c}, err
		},
	}
}

func (w *wire) Check(ctx context.Context) (connector.Account, error) {
	_, err := w.http.Do(ctx, httpkit.Request{Path: "/check"})
	return connector.Account{ID: "oracle"}, err
}

func (w *wire) Close() error {
	w.http.Close()
	return nil
}

func (w *wire) Objects(context.Context, []string) ([]connector.Object, error) {
	field := func(name string, k row.Kind) connector.Field {
		return connector.Field{Name: name, Kind: k, Creatable: true, Updatable: true, Nullable: true}
	}
	id := field("Id", row.Int)
	id.Match, id.Unique = true, true
	op := connector.Operation{MaxRows: wireRows, Concurrency: wireConcurrency, Idempotent: true, Partial: true}
	ins := op
	ins.Idempotent = false
	return []connector.Object{{
		Name: "Account", Kind: connector.KindRecord, Keys: [][]string{{"Id"}}, Fields: []connector.Field{id, field("V", row.Int), field("Name", row.Text)},
		Ops: map[connector.Op]connector.Operation{connector.OpUpsert: op, connector.OpDelete: op, connector.OpInsert: ins},
	}}, nil
}

func (w *wire) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	body := append([]byte(`{"run_id":`), row.AppendJSONString(nil, to.RunID)...)
	body = append(append(body, `,"operation":"`...), to.Op...)
	body = append(body, `","rows":[`...)
	for i := range rows.Len() {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(rows.Match(i)[0].AppendJSON(append(body, `{"id":`...)), `,"idem":"`...)
		body = append(append(body, rows.Meta(i).IdempotencyKey...), '"')
		for j, v := range rows.Values(i) {
			if to.Fields[j] == "V" && !v.IsAbsent() {
				body = v.AppendJSON(append(body, `,"v":`...))
			}
		}
		body = append(body, '}')
	}
	body = append(body, "]}"...)
	resp, err := w.http.Do(ctx, httpkit.Request{Method: http.MethodPost, Path: "/write", ContentType: "application/json", Body: body})
	if err != nil {
		return err
	}
	var answer struct {
		Results []struct{ Status, Code, Message string } `json:"results"`
	}
	if err := w.http.JSON(resp, &answer); err != nil {
		return err
	}
	for i, r := range answer.Results {
		switch r.Status {
		case "delivered":
			out.Delivered(i, "", connector.NotTold)
		case "rejected":
			out.Rejected(i, fault.Code(r.Code), "", r.Message)
		case "retry":
			out.Retry(i, 0, fault.DestTransient, r.Message)
		}
	}
	return nil
}
