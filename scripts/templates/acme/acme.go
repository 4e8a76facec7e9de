// Package acme writes records to Acme.
//
// Every rule below names the page of the vendor's documentation it comes from.
package acme

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/scripts/templates/acme/acmetest"
)

// Limits of one request and of the account (https://developers.acme.example/limits).
const (
	maxRows           = 100
	maxBytes          = 1 << 20
	concurrency       = 4
	requestsPerSecond = 10
	timeout           = 30 * time.Second
)

// Destination is the registration of the acme destination.
func Destination() connector.DestinationConnector {
	return connector.DestinationConnector{
		Spec: connector.Spec{
			Type:       "acme",
			Title:      "Acme",
			Summary:    "Creates, updates and deletes records in Acme.",
			APIVersion: "v1",
			HTTP:       true,
			Settings: []connector.Setting{
				{Name: "url", Type: connector.TypeString, Default: "https://api.acme.example", Doc: "Address of the API.", Example: "https://api.acme.example"},
				{Name: "token", Type: connector.TypeString, Required: true, Secret: true, Doc: "API token with the right to write records.", Example: "${env:ACME_TOKEN}"},
			},
			Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeMirror},
			Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
			Timeout: timeout,
			Sandbox: true,
		},
		Open: open,
		Sandbox: func(ctx context.Context, listen string) (connector.Sandbox, error) {
			return acmetest.Start(ctx, listen)
		},
	}
}

type destination struct{ http *httpkit.Client }

func open(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
	client, err := httpkit.New(httpkit.Options{
		BaseURL: cfg.String("url"), Gate: env.Gate, Timeout: timeout,
		AllowPrivate: cfg.Bool("allow_private"), Secrets: cfg.Secrets(),
	})
	if err != nil {
		return nil, err
	}
	return &destination{client.WithBearer(cfg.Secret("token").Reveal())}, nil
}

// Check asks whose token it is (https://developers.acme.example/account).
func (d *destination) Check(ctx context.Context) (connector.Account, error) {
	var answer struct{ ID, Name string }
	if err := d.get(ctx, "/v1/account", &answer); err != nil {
		return connector.Account{}, err
	}
	if answer.ID == "" {
		return connector.Account{}, fault.New(fault.DestAnswer, "asking for the account: the answer names no id")
	}
	return connector.Account{
		ID: answer.ID, Name: answer.Name, Version: "v1",
		Windows: []connector.Window{{Name: "second", Requests: requestsPerSecond, Per: time.Second}},
	}, nil
}

// kinds says what a field type of the tool holds (https://developers.acme.example/fields).
var kinds = map[string]row.Kind{
	"text": row.Text, "integer": row.Int, "number": row.Decimal, "boolean": row.Bool, "date": row.Date, "datetime": row.Instant,
}

// Objects asks for the schema (https://developers.acme.example/objects).
func (d *destination) Objects(ctx context.Context, names []string) ([]connector.Object, error) {
	var answer struct {
		Objects []struct {
			Name, Label string
			Fields      []struct {
				Name, Label, Type string
				Unique, ReadOnly  bool
				MaxLength         int
			}
		}
	}
	if err := d.get(ctx, "/v1/objects", &answer); err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	var objects []connector.Object
	for _, o := range answer.Objects {
		if names != nil && !wanted[o.Name] {
			continue
		}
		one := connector.Object{
			Name: o.Name, Label: o.Label, Kind: connector.KindRecord,
			Ops: map[connector.Op]connector.Operation{
				connector.OpUpsert: operation(true), connector.OpClear: operation(true), connector.OpDelete: operation(false),
			},
		}
		for _, f := range o.Fields {
			one.Fields = append(one.Fields, connector.Field{
				Name: f.Name, Label: f.Label, Kind: kinds[f.Type], MaxLength: f.MaxLength, Unique: f.Unique, Match: f.Unique,
				Creatable: !f.ReadOnly, Updatable: !f.ReadOnly, Nullable: !f.Unique, NoNaN: true,
			})
			if f.Unique {
				one.Keys = append(one.Keys, []string{f.Name})
			}
		}
		objects = append(objects, one)
	}
	return objects, nil
}

func operation(partial bool) connector.Operation {
	return connector.Operation{MaxRows: maxRows, MaxBytes: maxBytes, Concurrency: concurrency, Idempotent: true, Partial: partial}
}

// Write sends one batch (https://developers.acme.example/batches). The tool answers per record, by the record's index.
func (d *destination) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	if rows.Len() == 0 {
		return nil
	}
	var verb string
	switch to.Op {
	case connector.OpUpsert, connector.OpClear:
		verb = "upsert"
	case connector.OpDelete:
		verb = "delete"
	default:
		return fault.New(fault.Internal, "writing to acme: operation %s is not offered", to.Op).NotLanded()
	}
	request := httpkit.Request{
		Method: http.MethodPost, Path: "/v1/objects/" + url.PathEscape(to.Object.Name) + "/" + verb,
		ContentType: "application/json", Body: encode(rows, to.Op != connector.OpDelete),
	}
	response, err := d.http.Do(ctx, request)
	out.Request, out.Response = d.http.Excerpts(request, response, 2000)
	if err != nil {
		return err
	}
	var answer struct {
		Results []struct {
			Index                            *int
			Status, ID, Code, Field, Message string
		}
	}
	if err := d.http.JSON(response, &answer); err != nil {
		return err
	}
	for _, r := range answer.Results {
		i := -1 // a result that belongs to no row counts as extra
		if r.Index != nil {
			i = *r.Index
		}
		switch r.Status {
		case "created":
			out.Delivered(i, r.ID, connector.Yes)
		case "updated", "deleted", "missing": // deleting what is gone already is done
			out.Delivered(i, r.ID, connector.No)
		case "locked":
			out.Retry(i, 0, fault.Code(r.Code), r.Message)
		case "refused":
			out.Rejected(i, fault.Code(r.Code), r.Field, r.Message)
		}
		// Any other word leaves the row Unknown: it is never taken for success.
	}
	return nil
}

// encode writes {"records":[{"match":{...},"fields":{...}},...]}. An absent field is left out, a null clears.
func encode(rows *row.Batch, fields bool) []byte {
	b := []byte(`{"records":[`)
	for i := range rows.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"match":`...)
		b = appendObject(b, rows.MatchFields(), rows.Match(i))
		if fields {
			b = append(b, `,"fields":`...)
			b = appendObject(b, rows.Fields(), rows.Values(i))
		}
		b = append(b, '}')
	}
	return append(b, `]}`...)
}

func appendObject(b []byte, names []string, values []row.Value) []byte {
	b = append(b, '{')
	first := true
	for i, v := range values {
		if v.IsAbsent() {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = row.AppendJSONString(b, names[i])
		b = append(b, ':')
		b = v.AppendJSON(b)
	}
	return append(b, '}')
}

func (d *destination) get(ctx context.Context, path string, into any) error {
	response, err := d.http.Do(ctx, httpkit.Request{Path: path})
	if err != nil {
		return err
	}
	return d.http.JSON(response, into)
}

// Close drops idle connections.
func (d *destination) Close() error {
	d.http.Close()
	return nil
}
