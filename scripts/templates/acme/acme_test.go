package acme

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/scripts/templates/acme/acmetest"
)

func Test_the_answer_of_each_record_becomes_its_outcome(t *testing.T) {
	s, d := start(t, nil)
	out := write(t, d, connector.OpUpsert, contact("a@example.org", "A"), contact("b@example.org", strings.Repeat("b", 101)), contact("c@example.org", "C"))
	if out.Result(0).Created != connector.Yes || out.Result(0).RemoteID == "" {
		t.Errorf("the first record: %+v; want created with an id", out.Result(0))
	}
	if r := out.Result(1); r.Status != connector.Rejected || r.Code != "TOO_LONG" || r.Field != "name" || r.Message == "" {
		t.Errorf("the second record: %+v; want rejected in the tool's words", r)
	}
	if out.Result(2).Status != connector.Delivered {
		t.Errorf("the third record: %+v; want delivered", out.Result(2))
	}
	if got := s.Records("contacts"); len(got) != 2 {
		t.Errorf("the tool holds %v; want a and c", got)
	}
}

func Test_null_clears_and_absent_leaves(t *testing.T) {
	s, d := start(t, nil)
	write(t, d, connector.OpUpsert, contact("a@example.org", "A", row.IntValue(7)))
	write(t, d, connector.OpUpsert, []row.Value{row.TextValue("a@example.org"), row.NullValue(), {}})
	got := s.Records("contacts")["a@example.org"].Fields
	if _, there := got["name"]; there || got["score"] == nil {
		t.Errorf("the tool holds %v; want no name, and the score as it was", got)
	}
}

func Test_deleting_twice_is_delivered_twice(t *testing.T) {
	s, d := start(t, nil)
	write(t, d, connector.OpUpsert, contact("a@example.org", "A"))
	for range 2 {
		if out := write(t, d, connector.OpDelete, contact("a@example.org", "A")); out.Result(0).Status != connector.Delivered {
			t.Fatalf("got %+v; want delivered", out.Result(0))
		}
	}
	if got := s.Records("contacts"); len(got) != 0 {
		t.Errorf("the tool still holds %v", got)
	}
}

func Test_a_record_the_answer_leaves_out_stays_unknown(t *testing.T) {
	s, d := start(t, nil)
	s.Inject(acmetest.Fault{DropResults: 1})
	out := write(t, d, connector.OpUpsert, contact("a@example.org", "A"), contact("b@example.org", "B"))
	if out.Result(0).Status != connector.Delivered || out.Marked(1) {
		t.Errorf("got %+v and %+v; want delivered and unknown", out.Result(0), out.Result(1))
	}
}

func Test_refusals_are_classified(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault acmetest.Fault
		code  fault.Code
	}{
		{"asked to slow down", acmetest.Fault{Status: 429, Headers: map[string]string{"Retry-After": "3"}}, fault.DestThrottled},
		{"temporary error", acmetest.Fault{Status: 502}, fault.DestTransient},
		{"a page instead of an answer", acmetest.Fault{Status: 200, Headers: map[string]string{"Content-Type": "text/html"}, Body: "<html>"}, fault.DestAnswer},
		{"batch refused", acmetest.Fault{Status: 422, Body: `{"message":"no"}`}, fault.DestRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, d := start(t, nil)
			s.Inject(c.fault)
			out := connector.NewOutcomes(1)
			err := d.Write(t.Context(), target(connector.OpUpsert), batch(contact("a@example.org", "A")), out)
			if !fault.Is(err, c.code) || out.Marked(0) {
				t.Errorf("got %v, row %+v; want %s and an unmarked row", err, out.Result(0), c.code)
			}
		})
	}
}

func Test_an_empty_batch_makes_no_call(t *testing.T) {
	s, d := start(t, nil)
	write(t, d, connector.OpUpsert)
	if s.Writes() != 0 {
		t.Errorf("%d requests were made", s.Writes())
	}
}

func Test_check_names_the_account_and_refuses_a_bad_token_without_showing_it(t *testing.T) {
	_, d := start(t, nil)
	if a, err := d.Check(t.Context()); err != nil || a.ID != "acct_1" || len(a.Windows) == 0 {
		t.Errorf("got %+v, %v; want the account and its windows", a, err)
	}
	_, d = start(t, map[string]string{"token": "wrong-and-secret"})
	_, err := d.Check(t.Context())
	if !fault.Is(err, fault.DestAuth) || strings.Contains(err.Error(), "wrong-and-secret") {
		t.Errorf("got %v; want DESTINATION_AUTH without the token", err)
	}
}

func Test_objects_come_from_the_account(t *testing.T) {
	_, d := start(t, nil)
	objects, err := d.Objects(t.Context(), []string{"contacts", "nothing"})
	if err != nil || len(objects) != 1 {
		t.Fatalf("got %d objects, %v; want contacts alone", len(objects), err)
	}
	if diff := cmp.Diff([][]string{{"email"}}, objects[0].Keys); diff != "" {
		t.Error(diff)
	}
	for _, f := range objects[0].Fields {
		if f.Kind == row.Absent {
			t.Errorf("the type of %s is not known", f.Name)
		}
	}
}

// start runs a stand-in and opens a destination on it; settings replace the stand-in's own.
func start(t *testing.T, settings map[string]string) (*acmetest.Server, connector.Destination) {
	t.Helper()
	s, err := acmetest.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	values := s.Settings()
	for k, v := range settings {
		values[k] = v
	}
	cfg := connector.NewConfig(values, nil, map[string]bool{"token": true})
	d, err := Destination().Open(t.Context(), cfg, connector.Env{Gate: connector.OpenGate{}, Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return s, d
}

func contact(email, name string, score ...row.Value) []row.Value {
	v := []row.Value{row.TextValue(email), row.TextValue(name), {}}
	copy(v[2:], score)
	return v
}

func batch(rows ...[]row.Value) *row.Batch {
	b := row.NewBatch([]string{"email"}, []string{"name", "score"}, len(rows))
	for _, r := range rows {
		b.Add(row.Meta{}, r[:1], r[1:])
	}
	return b
}

func target(op connector.Op) connector.Target {
	return connector.Target{Object: connector.Object{Name: "contacts"}, Op: op, Match: []string{"email"}, Fields: []string{"name", "score"}}
}

func write(t *testing.T, d connector.Destination, op connector.Op, rows ...[]row.Value) *connector.Outcomes {
	t.Helper()
	out := connector.NewOutcomes(len(rows))
	if err := d.Write(t.Context(), target(op), batch(rows...), out); err != nil {
		t.Fatal(err)
	}
	return out
}
