package webhook_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/webhook"
	"github.com/upwelldata/upwell/internal/connectors/webhook/webhooktest"
	"github.com/upwelldata/upwell/internal/row"
)

// The endpoint refuses a bad row by name, or the whole batch it is in.
func Test_the_destination_keeps_the_contract(t *testing.T) {
	for name, refusal := range map[string]webhooktest.RowFault{
		"an endpoint that judges rows":    {Status: "rejected", Code: "BAD_TIER", Message: "this is no tier", At: "tier"},
		"an endpoint that judges batches": {Status: "422", Code: "BAD_TIER", Message: "some row has no tier"},
	} {
		t.Run(name, func(t *testing.T) { conformance.Destination(t, harness(refusal)) })
	}
}

func harness(refusal webhooktest.RowFault) conformance.Harness {
	refusal.Field, refusal.Equals, refusal.Times = "tier", "none", -1
	fields, kinds := map[row.Kind]string{}, map[string]row.Kind{"id": row.Text}
	for _, k := range []row.Kind{
		row.Bool, row.Int, row.Uint, row.Float, row.Decimal, row.Text, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant, row.Interval, row.UUID, row.JSON, row.Array,
	} {
		fields[k] = "f_" + k.String()
		kinds[fields[k]] = k
	}
	return conformance.Harness{
		Connector: webhook.Connector(), Object: "things", Match: "id", Fields: fields,
		Bad:   conformance.Record{"tier": row.TextValue("none")},
		Wrong: map[string]string{"auth.token": "wrong-token-0815"},
		Shown: map[string]string{"url": "host and short path segments are shown, so that people know which endpoint it is"},
		New: func(t testing.TB) conformance.World {
			s, err := webhooktest.Start("")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			s.InjectRow(refusal)
			settings := s.Settings()
			settings["url"] += "/a-long-segment-is-a-key-0815?key=query-key-0815"
			return conformance.World{
				Settings: settings, Secrets: []string{"a-long-segment-is-a-key-0815", "query-key-0815"},
				Records: func() (out []conformance.Record) {
					for _, rec := range s.Records("things") {
						all := maps.Clone(rec.Key)
						maps.Copy(all, rec.Fields)
						r := conformance.Record{}
						for name, raw := range all {
							r[name] = conformance.Value(kinds[name], raw)
						}
						out = append(out, r)
					}
					return out
				},
			}
		},
		Live: &conformance.Live[conformance.World]{Without: "a webhook is its owner's own endpoint: nothing tells what it holds"},
		HTTP: &conformance.HTTP{
			URL: "url", Silent: true,
			Shorter: func(b []byte) []byte {
				return edit(b, func(l []json.RawMessage) []json.RawMessage { return l[:len(l)-1] })
			},
			Longer: func(b []byte) []byte {
				return edit(b, func(l []json.RawMessage) []json.RawMessage { return append(l, l[0]) })
			},
		},
	}
}

func edit(b []byte, change func([]json.RawMessage) []json.RawMessage) []byte {
	var answer struct {
		Results []json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		panic(err)
	}
	answer.Results = change(answer.Results)
	out, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return out
}
