package acme

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/scripts/templates/acme/acmetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The kit tries everything the Spec and the object declare, and reads results from the stand-in.
func Test_the_destination_keeps_the_contract(t *testing.T) {
	kinds := map[string]row.Kind{"email": row.Text, "name": row.Text, "note": row.Text, "score": row.Decimal, "visits": row.Int, "active": row.Bool, "since": row.Date, "seen": row.Instant}
	conformance.Destination(t, conformance.Harness{
		Connector: Destination(), Object: "contacts", Match: "email",
		Fields: map[row.Kind]string{row.Text: "note", row.Decimal: "score", row.Int: "visits", row.Bool: "active", row.Date: "since", row.Instant: "seen"},
		Bad:    conformance.Record{"name": row.TextValue(strings.Repeat("x", 101))},
		Wrong:  map[string]string{"token": "wrong-and-secret"},
		Needs:  []string{"token"},
		New: func(t testing.TB) conformance.World {
			s, err := acmetest.Start(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return conformance.World{
				Settings: s.Settings(),
				Records: func() (out []conformance.Record) {
					for _, stored := range s.Records("contacts") {
						r := conformance.Record{}
						for name, raw := range stored.Fields {
							r[name] = conformance.Value(kinds[name], raw)
						}
						out = append(out, r)
					}
					return out
				},
			}
		},
		HTTP: &conformance.HTTP{
			URL: "url",
			Shorter: func(b []byte) []byte {
				return edit(b, func(list []map[string]any) []map[string]any { return list[:len(list)-1] })
			},
			Longer: func(b []byte) []byte {
				return edit(b, func(list []map[string]any) []map[string]any {
					one := maps.Clone(list[0])
					one["index"] = len(list)
					return append(list, one)
				})
			},
		},
	})
}

// edit changes the results in an answer.
func edit(b []byte, change func([]map[string]any) []map[string]any) []byte {
	var answer struct {
		Results []map[string]any `json:"results"`
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

// What only this tool does is tested beside the kit.
func Test_a_record_somebody_edits_is_tried_again(t *testing.T) {
	s, err := acmetest.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Lock("a@example.org")
	cfg := connector.NewConfig(s.Settings(), nil, map[string]bool{"token": true})
	d, err := Destination().Open(t.Context(), cfg, connector.Env{Gate: connector.OpenGate{}, Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	objects, err := d.Objects(t.Context(), []string{"contacts"})
	if err != nil {
		t.Fatal(err)
	}
	b := row.NewBatch([]string{"email"}, []string{"name"}, 1)
	b.Add(row.Meta{}, []row.Value{row.TextValue("a@example.org")}, []row.Value{row.TextValue("A")})
	out := connector.NewOutcomes(1)
	to := connector.Target{Object: objects[0], Op: connector.OpUpsert, Match: []string{"email"}, Fields: []string{"name"}}
	if err := d.Write(t.Context(), to, b, out); err != nil {
		t.Fatal(err)
	}
	if r := out.Result(0); r.Status != connector.Retry || r.Code != fault.Code("LOCKED") {
		t.Errorf("got %+v; want another try", r)
	}
}
