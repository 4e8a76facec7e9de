package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/webhook/webhooktest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect opens a destination; settings without a value are left out.
func connect(t *testing.T, settings map[string]string) *Destination {
	t.Helper()
	d, err := tryOpen(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func tryOpen(t *testing.T, settings map[string]string) (*Destination, error) {
	secrets := map[string]bool{"url": true}
	for k, v := range settings {
		switch {
		case v == "":
			delete(settings, k)
		case k == "auth.token", k == "auth.password", k == "auth.value", k == "signing_secret", strings.HasPrefix(k, "headers."):
			secrets[k] = true
		}
	}
	d, err := Connector().Open(t.Context(), connector.NewConfig(settings, nil, secrets), connector.Env{ProjectDir: t.TempDir(), Gate: connector.OpenGate{}})
	if err != nil {
		return nil, err
	}
	return d.(*Destination), nil
}

func standIn(t *testing.T) *webhooktest.Server {
	t.Helper()
	s, err := webhooktest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func with(base map[string]string, more ...string) map[string]string {
	out := maps.Clone(base)
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func target(op connector.Op) connector.Target {
	return connector.Target{Object: connector.Object{Name: "customers"}, Op: op, Match: []string{"id"}, Fields: []string{"name", "score"}, Sync: "scores", RunID: "01RUN"}
}

// people makes n rows with ids from 1.
func people(n int) *row.Batch {
	b := row.NewBatch([]string{"id"}, []string{"name", "score"}, n)
	for i := 1; i <= n; i++ {
		b.Add(row.Meta{Key: []byte{byte(i)}, IdempotencyKey: fmt.Sprintf("key%029d", i)}, []row.Value{row.IntValue(int64(i))},
			[]row.Value{row.TextValue(fmt.Sprintf("name %d", i)), row.FloatValue(float64(i) + 0.5)})
	}
	return b
}

func write(t *testing.T, d *Destination, op connector.Op, rows *row.Batch) (*connector.Outcomes, error) {
	t.Helper()
	out := connector.NewOutcomes(rows.Len())
	err := d.Write(t.Context(), target(op), rows, out)
	return out, err
}

func statuses(out *connector.Outcomes) string {
	var s []string
	for i := range out.Len() {
		s = append(s, out.Result(i).Status.String())
	}
	return strings.Join(s, " ")
}

// capture is a receiver that keeps the last request and answers as told.
type capture struct {
	*httptest.Server
	mu     sync.Mutex
	header http.Header
	body   string
	status int
	kind   string
	answer string
	method string
}

func receiver(t *testing.T) *capture {
	c := &capture{status: 200, kind: "application/json", answer: `{}`}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := r.Body.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				break
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.header, c.body, c.method = r.Header.Clone(), b.String(), r.Method
		if c.kind != "" {
			w.Header().Set("Content-Type", c.kind)
		} else {
			w.Header()["Content-Type"] = nil
		}
		w.WriteHeader(c.status)
		fmt.Fprint(w, c.answer)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *capture) settings(more ...string) map[string]string {
	return with(map[string]string{"url": c.URL + "/hook", "allow_private": "true"}, more...)
}

func Test_a_request_is_what_the_contract_says(t *testing.T) {
	c := receiver(t)
	d := connect(t, c.settings())
	b := row.NewBatch([]string{"id", "region"}, []string{"score", "note", "left_out", "when", "exact", "doc", "ok"}, 2)
	b.Add(row.Meta{IdempotencyKey: "k1"}, []row.Value{row.IntValue(math.MaxInt64), row.TextValue("a\"b")}, []row.Value{
		row.FloatValue(71.5), row.TextValue("é\n\u2028<"),
		{},
		row.InstantValue(1_800_000_000, 5), row.DecimalValue("12345678901234567890.10"),
		row.StringKind(row.JSON, `{"a":[1,2]}`), row.BoolValue(true),
	})
	b.Add(row.Meta{IdempotencyKey: "k2", RemoteID: "rec_9"}, []row.Value{row.NullValue(), row.TextValue("")}, []row.Value{
		row.NullValue(), {}, {}, {}, {}, {}, row.BytesValue([]byte{0, 1}),
	})
	out := connector.NewOutcomes(2)
	if err := d.Write(t.Context(), target(connector.OpUpsert), b, out); err != nil {
		t.Fatal(err)
	}
	want := `{"sync":"scores","run_id":"01RUN","object":"customers","operation":"upsert","rows":[` +
		`{"key":{"id":9223372036854775807,"region":"a\"b"},"fields":{"score":71.5,"note":"é\n` + "\u2028" + `<","when":"2027-01-15T08:00:00.000000005Z","exact":12345678901234567890.10,"doc":{"a":[1,2]},"ok":true},"idempotency_key":"k1"},` +
		`{"key":{"id":null,"region":""},"fields":{"score":null,"ok":"AAE="},"id":"rec_9","idempotency_key":"k2"}]}`
	if c.body != want {
		t.Errorf("body\n got %s\nwant %s", c.body, want)
	}
	if c.method != "POST" || c.header.Get("Content-Type") != "application/json" || c.header.Get("User-Agent") == "" {
		t.Errorf("%s %v", c.method, c.header)
	}
	if !json.Valid([]byte(c.body)) {
		t.Error("the body is not JSON")
	}
	for _, op := range []connector.Op{connector.OpDelete, connector.OpClear, connector.OpInsert, connector.OpUpdate, connector.OpAppend} {
		if _, err := write(t, d, op, people(1)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(c.body, `"operation":"`+string(op)+`"`) || strings.Contains(c.body, `"fields"`) != (op != connector.OpDelete) {
			t.Errorf("%s: %s", op, c.body)
		}
	}
}

func Test_records_arrive_in_every_mode(t *testing.T) {
	s := standIn(t)
	d := connect(t, s.Settings())
	step := func(op connector.Op, rows *row.Batch, want string) {
		t.Helper()
		out, err := write(t, d, op, rows)
		if err != nil || statuses(out) != want {
			t.Errorf("%s: %s, %v; want %s", op, statuses(out), err, want)
		}
	}
	step(connector.OpUpsert, people(3), "delivered delivered delivered")
	step(connector.OpUpsert, people(3), "delivered delivered delivered")
	step(connector.OpInsert, people(4).Slice(2, 4), "rejected delivered")
	step(connector.OpInsert, people(4).Slice(3, 4), "delivered")
	step(connector.OpUpdate, people(5).Slice(3, 5), "delivered skipped")
	step(connector.OpDelete, people(2), "delivered delivered")
	step(connector.OpDelete, people(2), "delivered delivered")
	clearing := row.NewBatch([]string{"id"}, []string{"name", "score"}, 1)
	clearing.Add(row.Meta{IdempotencyKey: "c"}, []row.Value{row.IntValue(3)}, []row.Value{row.NullValue(), row.NullValue()})
	step(connector.OpClear, clearing, "delivered")
	var got []map[string]any
	for _, r := range s.Records("customers") {
		got = append(got, map[string]any{"id": r.Key["id"], "name": r.Fields["name"], "score": r.Fields["score"]})
	}
	want := []map[string]any{
		{"id": json.Number("3"), "name": nil, "score": nil},
		{"id": json.Number("4"), "name": "name 4", "score": json.Number("4.5")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out, err := write(t, d, connector.OpUpsert, people(4).Slice(3, 4))
	if r := out.Result(0); err != nil || r.RemoteID == "" || r.Created != connector.No {
		t.Errorf("%+v %v", r, err)
	}
}

func Test_an_empty_batch_makes_no_call(t *testing.T) {
	s := standIn(t)
	if _, err := write(t, connect(t, s.Settings()), connector.OpUpsert, people(0)); err != nil || s.Stats().Requests != 0 {
		t.Errorf("%d requests, %v", s.Stats().Requests, err)
	}
}

func Test_what_json_cannot_carry_is_rejected_and_the_rest_goes(t *testing.T) {
	s := standIn(t)
	d := connect(t, s.Settings())
	b := people(3)
	b.Values(1)[1] = row.FloatValue(math.NaN())
	out, err := write(t, d, connector.OpUpsert, b)
	if err != nil || statuses(out) != "delivered rejected delivered" {
		t.Fatalf("%s %v", statuses(out), err)
	}
	if r := out.Result(1); r.Code != fault.ValueNotNumber || r.Field != "score" {
		t.Errorf("%+v", r)
	}
	if got := s.Records("customers"); len(got) != 2 || got[1].Key["id"] != json.Number("3") {
		t.Errorf("%v", got)
	}
	b = people(1)
	b.Values(0)[1] = row.FloatValue(math.Inf(-1))
	before := s.Stats().Requests
	if out, err := write(t, d, connector.OpUpsert, b); err != nil || statuses(out) != "rejected" || s.Stats().Requests != before {
		t.Errorf("%s %v", statuses(out), err)
	}
}

func Test_a_request_beyond_max_bytes_is_split_or_the_row_refused(t *testing.T) {
	s := standIn(t)
	d := connect(t, with(s.Settings(), "batch.max_bytes", "1024"))
	_, err := write(t, d, connector.OpUpsert, people(40))
	if f := fault.As(err); f.GetClass() != fault.ClassBatchRefused || f.Landed != fault.LandedNo {
		t.Errorf("%v", err)
	}
	b := people(1)
	b.Values(0)[0] = row.TextValue(strings.Repeat("x", 2000))
	out, err := write(t, d, connector.OpUpsert, b)
	if err != nil || out.Result(0).Code != fault.RowTooLarge || s.Stats().Requests != 0 {
		t.Errorf("%+v %v", out.Result(0), err)
	}
}

func Test_rows_are_sized_as_they_are_written(t *testing.T) {
	d := connect(t, standIn(t).Settings())
	rows := people(3)
	rows.Values(0)[0] = row.TextValue("\"quoted\"\n\x01 ünï \xff")
	rows.Values(1)[0] = row.NullValue()
	rows.Values(2)[1] = row.Value{}
	rows.Meta(1).RemoteID = "r\"1"
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpDelete} {
		for i := range rows.Len() {
			told := d.RowBytes(target(op), rows, i)
			rows.Meta(i).IdempotencyKey = strings.Repeat("0", idempotencyKeyBytes) // given when the batch is complete
			if is := len(newEncoder(rows).appendRow(nil, op, rows, i)) + 1; told != is {
				t.Errorf("%s: row %d is said to have %d bytes and has %d", op, i, told, is)
			}
			rows.Meta(i).IdempotencyKey = ""
		}
	}
}

func Test_the_same_writes_carry_the_same_idempotency_key(t *testing.T) {
	s := standIn(t)
	d := connect(t, s.Settings())
	for _, rows := range []*row.Batch{people(3), people(3), people(3).Slice(0, 2)} {
		if _, err := write(t, d, connector.OpUpsert, rows); err != nil {
			t.Fatal(err)
		}
	}
	k := s.Stats().Keys
	if len(k) != 3 || k[0] != k[1] || k[1] == k[2] || len(k[0]) != 32 {
		t.Errorf("keys %q", k)
	}
	if s.Stats().Requests != 3 {
		t.Errorf("%d requests for 3 writes", s.Stats().Requests)
	}
}

func Test_requests_are_signed_as_standard_webhooks_describe(t *testing.T) {
	c := receiver(t)
	const next = "bmV4dC1zaWduaW5nLXNlY3JldC0wMTIzNDU2Nzg5"
	d := connect(t, c.settings("signing_secret", webhooktest.SigningSecret+" "+next))
	at := time.Unix(1_800_000_000, 0)
	d.now = func() time.Time { return at }
	if _, err := write(t, d, connector.OpUpsert, people(2)); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{webhooktest.SigningSecret, next} {
		if err := webhooktest.Verify(secret, c.header, []byte(c.body), at.Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if webhooktest.Verify(secret, c.header, []byte(c.body+" "), at) == nil {
			t.Error("a changed body verifies")
		}
	}
	if id := c.header.Get("Webhook-Id"); id != "msg_"+c.header.Get("Idempotency-Key") {
		t.Errorf("webhook-id %q", id)
	}
	// The example of the specification's reference libraries.
	s, err := newSigner(connector.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	s.sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got := h.Get("Webhook-Signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signature %s", got)
	}
}
