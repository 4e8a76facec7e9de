package webhook

import (
	"math"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_a_body_of_the_users_making(t *testing.T) {
	c := receiver(t)
	for expr, want := range map[string]string{
		`{"op": operation, "of": object, "records": rows.map(r, {"id": r.key.id, "n": r.fields.name})}`: `{"of":"customers","op":"upsert","records":[{"id":1,"n":"a\"\n}"},{"id":2,"n":null}]}`,
		`rows.map(r, r.fields.amount)`: `[1234567890123456789.10,0.5]`,
		`{"a": string(rows[0].fields.amount), "d": double(rows[1].fields.amount) * 2.0}`: `{"a":"1234567890123456789.10","d":1}`,
		`rows.map(r, r.fields.doc)`:                                            `[{"a":[9223372036854775807,0.10000000000000000001]},null]`,
		`rows.map(r, r.idempotency_key).join(",")`:                             `k1,k2`,
		`{"sync": sync, "run": run_id}`:                                        `{"run":"01RUN","sync":"scores"}`,
		`rows.map(r, has(r.fields.gone))`:                                      `[false,false]`,
		`{"b": b"\x00\x01", "u": 18446744073709551615u, "o": optional.none()}`: `{"b":"AAE=","o":null,"u":18446744073709551615}`,
	} {
		d := connect(t, c.settings("body", expr))
		b := row.NewBatch([]string{"id"}, []string{"name", "amount", "doc", "gone"}, 2)
		b.Add(row.Meta{IdempotencyKey: "k1"}, []row.Value{row.IntValue(1)}, []row.Value{
			row.TextValue("a\"\n}"), row.DecimalValue("1234567890123456789.10"), row.StringKind(row.JSON, `{"a":[9223372036854775807,0.10000000000000000001]}`), {},
		})
		b.Add(row.Meta{IdempotencyKey: "k2"}, []row.Value{row.IntValue(2)}, []row.Value{row.NullValue(), row.DecimalValue("0.5"), row.NullValue(), {}})
		out := connector.NewOutcomes(2)
		if err := d.Write(t.Context(), target(connector.OpUpsert), b, out); err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if c.body != want {
			t.Errorf("%s\n got %s\nwant %s", expr, c.body, want)
		}
	}
}

func Test_a_body_that_fails_finds_the_row_by_splitting(t *testing.T) {
	c := receiver(t)
	d := connect(t, c.settings("body", `rows.map(r, int(r.fields.name))`))
	_, err := write(t, d, connector.OpUpsert, people(2))
	f := fault.As(err)
	if f.Code != fault.Expression || f.GetClass() != fault.ClassBatchRefused || f.Landed != fault.LandedNo {
		t.Errorf("%v", err)
	}
	_, err = write(t, d, connector.OpUpsert, people(1))
	if f := fault.As(err); f.GetClass() != fault.ClassRow || f.Landed != fault.LandedNo {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "name 1") {
		t.Errorf("the message quotes data: %v", err)
	}
	for _, expr := range []string{`{1: 2}`, `{"a": 0.0/0.0}`, `type(1)`} {
		if _, err := write(t, connect(t, c.settings("body", expr)), connector.OpUpsert, people(1)); !fault.Is(err, fault.Expression) {
			t.Errorf("%s: %v", expr, err)
		}
	}
	if c.body != "" {
		t.Error("something was sent")
	}
}

func Test_success_and_results_of_the_users_making(t *testing.T) {
	c := receiver(t)
	cases := []struct {
		name, success, results string
		status                 int
		kind, answer           string
		want                   string
		code                   fault.Code
	}{
		{"success holds", `status == 200 && body.ok`, "", 200, "application/json", `{"ok":true}`, "delivered delivered", ""},
		{"success does not hold", `status == 200 && body.ok`, "", 200, "application/json", `{"ok":false}`, "unknown unknown", fault.DestRefused},
		{"success takes a 404", `status == 200 || status == 404`, "", 404, "text/plain", `gone`, "delivered delivered", ""},
		{"a status decides where success does not hold", `status == 200`, "", 429, "", ``, "unknown unknown", fault.DestThrottled},
		{"success over headers", `headers["content-type"].startsWith("application/json")`, "", 200, "application/json", `{}`, "delivered delivered", ""},
		{"success that fails", `body.ok`, "", 200, "application/json", `{}`, "unknown unknown", fault.DestAnswer},
		{"success that is no bool", `body`, "", 200, "application/json", `{}`, "unknown unknown", fault.DestAnswer},
		{"success vouches for html", `status == 200`, "", 200, "text/html", `OK`, "delivered delivered", ""},
		{"success does not vouch for broken json", `status == 200`, "", 200, "application/json", `{"a`, "unknown unknown", fault.DestAnswer},
		{"results", "", `body.items.map(i, {"status": i.ok ? "delivered" : "rejected", "message": i.why, "id": i.n})`, 200, "application/json", `{"items":[{"ok":true,"why":"","n":5},{"ok":false,"why":"bad","n":6}]}`, "delivered rejected", ""},
		{"results as texts", "", `body.map(i, i == 1 ? "delivered" : "retry")`, 200, "application/json", `[1,0]`, "delivered retry", ""},
		{"results too short", "", `body.items`, 200, "application/json", `{"items":["delivered"]}`, "delivered unknown", fault.DestAnswer},
		{"results that fail", "", `body.items`, 200, "application/json", `{}`, "unknown unknown", fault.DestAnswer},
		{"results that are no list", "", `body.items`, 200, "application/json", `{"items":{}}`, "unknown unknown", fault.DestAnswer},
		{"results of a page", "", `body.items`, 200, "text/html", `<html>`, "unknown unknown", fault.DestAnswer},
		{"partial success with a 400", `status in [200, 400]`, `body.r`, 400, "application/json", `{"r":["delivered","rejected"]}`, "delivered rejected", ""},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			c.status, c.kind, c.answer = k.status, k.kind, k.answer
			out, err := write(t, connect(t, c.settings("success", k.success, "results", k.results)), connector.OpUpsert, people(2))
			if statuses(out) != k.want {
				t.Errorf("rows are %s, want %s (%v)", statuses(out), k.want, err)
			}
			if k.code == "" && err != nil || k.code != "" && !fault.Is(err, k.code) {
				t.Errorf("got %v, want %q", err, k.code)
			}
		})
	}
}

func Test_every_kind_reaches_a_template_unchanged_or_fails(t *testing.T) {
	for _, v := range []row.Value{
		row.NullValue(), row.BoolValue(true), row.IntValue(math.MinInt64), row.UintValue(math.MaxUint64), row.FloatValue(0.1), row.DecimalValue("0.10"),
		row.TextValue("a"), row.BytesValue([]byte{1}), row.DateValue(1), row.TimeValue(1), row.TimestampValue(1, 2), row.InstantValue(1, 2),
		row.StringKind(row.Interval, "P1D"), row.StringKind(row.UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"), row.StringKind(row.JSON, `{"a":1}`), row.StringKind(row.Array, `[1,"2"]`),
	} {
		tpl, err := newTemplate("rows[0].fields.v")
		if err != nil {
			t.Fatal(err)
		}
		b := row.NewBatch(nil, []string{"v"}, 1)
		b.Add(row.Meta{}, nil, []row.Value{v})
		got, err := tpl.append(t.Context(), nil, target(connector.OpUpsert), b, []int{0})
		if err != nil {
			t.Errorf("%s: %v", v.Kind(), err)
			continue
		}
		want := string(v.AppendJSON(nil))
		if strings.HasPrefix(want, `"`) {
			want = strings.Trim(want, `"`) // a text is the body itself
		}
		if string(got) != want {
			t.Errorf("%s: got %s, want %s", v.Kind(), got, want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`{"results":[{"status":"delivered"}]}`, `{"results":["rejected"]}`, `{}`, `[`, "<html>", "\xff", `{"results":[null]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := receiver(t)
		c.answer = body
		out, err := write(t, connect(t, c.settings()), connector.OpUpsert, people(2))
		for i := range out.Len() {
			if out.Result(i).Status == connector.Unknown && err == nil {
				t.Errorf("%q leaves row %d unknown without a word", body, i)
			}
		}
	})
}
