package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/webhook/webhooktest"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_an_answer_is_read_as_the_contract_says(t *testing.T) {
	const json, plain, html = "application/json", "text/plain", "text/html"
	cases := []struct {
		name         string
		status       int
		kind, answer string
		want         string // statuses of three rows
		code         fault.Code
	}{
		{"per row", 200, json, `{"results":[{"status":"delivered","id":7},{"status":"rejected","code":42,"field":"score","message":"no"},{"status":"retry"}]}`, "delivered rejected retry", ""},
		{"nothing", 200, "", "", "delivered delivered delivered", ""},
		{"nothing but blanks", 200, json, " \r\n", "delivered delivered delivered", ""},
		{"204", 204, "", "", "delivered delivered delivered", ""},
		{"202", 202, json, "{}", "delivered delivered delivered", ""},
		{"json without results", 200, json, `{"ok":true}`, "delivered delivered delivered", ""},
		{"a json list", 200, json, `[1]`, "delivered delivered delivered", ""},
		{"a json text", 200, json, `"ok"`, "delivered delivered delivered", ""},
		{"text", 200, plain, "ok\n", "delivered delivered delivered", ""},
		{"text without a type", 200, "", "ok", "delivered delivered delivered", ""},
		{"too few", 200, json, `{"results":[{"status":"delivered"},{"status":"rejected"}]}`, "delivered rejected unknown", fault.DestAnswer},
		{"none", 200, json, `{"results":[]}`, "unknown unknown unknown", fault.DestAnswer},
		{"null", 200, json, `{"results":null}`, "unknown unknown unknown", fault.DestAnswer},
		{"no list", 200, json, `{"results":{"status":"delivered"}}`, "unknown unknown unknown", fault.DestAnswer},
		{"an unknown status", 200, json, `{"results":[{"status":"delivered"},{"status":"fine"},{"status":"delivered"}]}`, "delivered unknown delivered", fault.DestAnswer},
		{"no status", 200, json, `{"results":[{},{"status":"delivered"},null]}`, "unknown delivered unknown", fault.DestAnswer},
		{"an entry that is none", 200, json, `{"results":[3,{"status":"delivered"},{"status":"delivered"}]}`, "unknown delivered delivered", fault.DestAnswer},
		{"bare statuses", 200, json, `{"results":["delivered","rejected","skipped"]}`, "delivered rejected skipped", ""},
		{"html", 200, html, "<html>sign in</html>", "unknown unknown unknown", fault.DestAnswer},
		{"html said to be json", 200, json, "<!DOCTYPE html>", "unknown unknown unknown", fault.DestAnswer},
		{"cut json", 200, json, `{"results":[{"status":"deliv`, "unknown unknown unknown", fault.DestAnswer},
		{"cut json said to be text", 200, plain, `{"results":[{"status":"deliv`, "unknown unknown unknown", fault.DestAnswer},
		{"garbage said to be json", 200, json, "\x00\x01garbage", "unknown unknown unknown", fault.DestAnswer},
		{"json and more", 200, json, `{"ok":true}{"ok":false}`, "unknown unknown unknown", fault.DestAnswer},
		{"400", 400, json, `{"error":"bad"}`, "unknown unknown unknown", fault.DestRefused},
		{"409", 409, json, ``, "unknown unknown unknown", fault.DestRefused},
		{"413", 413, json, ``, "unknown unknown unknown", fault.DestRefused},
		{"422", 422, json, ``, "unknown unknown unknown", fault.DestRefused},
		{"401", 401, json, ``, "unknown unknown unknown", fault.DestAuth},
		{"403", 403, json, ``, "unknown unknown unknown", fault.DestForbidden},
		{"429", 429, json, ``, "unknown unknown unknown", fault.DestThrottled},
		{"503", 503, json, ``, "unknown unknown unknown", fault.DestThrottled},
		{"408", 408, json, ``, "unknown unknown unknown", fault.DestTransient},
		{"500", 500, json, `{"results":[{"status":"delivered"},{"status":"delivered"},{"status":"delivered"}]}`, "unknown unknown unknown", fault.DestTransient},
		{"404", 404, json, ``, "unknown unknown unknown", fault.DestConfig},
		{"410", 410, json, ``, "unknown unknown unknown", fault.DestConfig},
		{"302", 302, html, ``, "unknown unknown unknown", fault.DestRedirect},
	}
	c := receiver(t)
	d := connect(t, c.settings())
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			c.status, c.kind, c.answer = k.status, k.kind, k.answer
			out, err := write(t, d, connector.OpUpsert, people(3))
			if statuses(out) != k.want {
				t.Errorf("rows are %s, want %s (%v)", statuses(out), k.want, err)
			}
			if k.code == "" && err != nil || k.code != "" && !fault.Is(err, k.code) {
				t.Errorf("got %v, want %q", err, k.code)
			}
			if k.code == fault.DestAnswer && fault.As(err).Landed != fault.LandedMaybe {
				t.Error("an unreadable answer claims that nothing landed")
			}
			if err != nil && (out.Request == "" || out.Response == "") {
				t.Errorf("the exchange is not kept: %q %q", out.Request, out.Response)
			}
		})
	}
}

func Test_an_outcome_carries_all_the_receiver_says(t *testing.T) {
	c := receiver(t)
	d := connect(t, c.settings())
	c.answer = `{"results":[{"status":"delivered","id":"r1","created":true,"warnings":["cut"]},{"status":"rejected","code":"BAD","field":"score","message":"too high"},{"status":"retry","message":"locked","retry_after":2.5}]}`
	out, err := write(t, d, connector.OpUpsert, people(3))
	if err != nil {
		t.Fatal(err)
	}
	if r := out.Result(0); r.RemoteID != "r1" || r.Created != connector.Yes || len(r.Warnings) != 1 {
		t.Errorf("%+v", r)
	}
	if r := out.Result(1); r.Code != "BAD" || r.Field != "score" || r.Message != "too high" {
		t.Errorf("%+v", r)
	}
	if r := out.Result(2); r.After != 2500*time.Millisecond || r.Message != "locked" || r.Code == "" {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(out.Request, "name 2") || !strings.Contains(out.Response, "too high") {
		t.Errorf("%q %q", out.Request, out.Response)
	}
}

func Test_echoed_keys_beat_the_order_of_results(t *testing.T) {
	c := receiver(t)
	d := connect(t, c.settings())
	key := func(i int) string { return fmt.Sprintf("key%029d", i) }
	c.answer = `{"results":[{"status":"rejected","idempotency_key":"` + key(3) + `"},{"status":"delivered","idempotency_key":"` + key(1) + `"}]}`
	out, err := write(t, d, connector.OpUpsert, people(3))
	if statuses(out) != "delivered unknown rejected" || !fault.Is(err, fault.DestAnswer) {
		t.Errorf("%s %v", statuses(out), err)
	}
	c.answer = `{"results":[{"status":"delivered","idempotency_key":"stranger"},{"status":"delivered","idempotency_key":"` + key(1) + `"},{"status":"delivered","idempotency_key":"` + key(1) + `"}]}`
	if out, _ = write(t, d, connector.OpUpsert, people(3)); out.Extra() == 0 || out.Result(0).Status != connector.Unknown {
		t.Errorf("%s, extra %d", statuses(out), out.Extra())
	}
}

func Test_weather(t *testing.T) {
	cases := []struct {
		name   string
		fault  webhooktest.Fault
		code   fault.Code
		landed fault.Landed
		stored int
	}{
		{"cut before", webhooktest.Fault{ResetBefore: true}, fault.DestUnreachable, fault.LandedMaybe, 0},
		{"cut after the rows were applied", webhooktest.Fault{ResetAfterApply: true}, fault.DestUnreachable, fault.LandedMaybe, 3},
		{"answer cut", webhooktest.Fault{Truncate: 20}, fault.DestAnswer, fault.LandedMaybe, 3},
		{"a bomb", webhooktest.Fault{Bomb: 64 << 20}, fault.DestAnswer, fault.LandedMaybe, 3},
		{"a page of a proxy", webhooktest.Fault{HTML: true}, fault.DestAnswer, fault.LandedMaybe, 0},
		{"a redirect", webhooktest.Fault{Redirect: "http://127.0.0.1:1/else", Status: 307}, fault.DestRedirect, fault.LandedNo, 0},
		{"throttled", webhooktest.Fault{Status: 429, RetryAfter: "3"}, fault.DestThrottled, fault.LandedNo, 0},
		{"down", webhooktest.Fault{Status: 502}, fault.DestTransient, fault.LandedMaybe, 0},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			s := standIn(t)
			d := connect(t, s.Settings())
			s.Inject(k.fault)
			out, err := write(t, d, connector.OpUpsert, people(3))
			f := fault.As(err)
			if f == nil || f.Code != k.code || f.Landed != k.landed {
				t.Fatalf("got %v, want %s", err, k.code)
			}
			if statuses(out) != "unknown unknown unknown" {
				t.Errorf("rows are %s", statuses(out))
			}
			if k.code == fault.DestThrottled && f.RetryAfter != 3*time.Second {
				t.Errorf("retry after %v", f.RetryAfter)
			}
			if n := len(s.Records("customers")); n != k.stored {
				t.Errorf("%d records are stored, want %d", n, k.stored)
			}
			if strings.Contains(err.Error()+out.Request+out.Response, webhooktest.Token) {
				t.Error("the token can be read")
			}
			if out, err := write(t, d, connector.OpUpsert, people(3)); err != nil || statuses(out) != "delivered delivered delivered" || len(s.Records("customers")) != 3 {
				t.Errorf("the destination does not recover: %s %v", statuses(out), err)
			}
		})
	}
}

func Test_a_slow_receiver_is_left_in_time(t *testing.T) {
	s := standIn(t)
	hold := make(chan struct{})
	defer close(hold)
	s.Inject(webhooktest.Fault{Hold: hold})
	start := time.Now()
	_, err := write(t, connect(t, with(s.Settings(), "timeout", "60ms")), connector.OpUpsert, people(1))
	if f := fault.As(err); f == nil || f.Code != fault.DestTimeout || f.Landed != fault.LandedMaybe || time.Since(start) > time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func Test_short_and_long_answers_of_the_stand_in(t *testing.T) {
	s := standIn(t)
	d := connect(t, s.Settings())
	s.Inject(webhooktest.Fault{DropResults: 2})
	if out, err := write(t, d, connector.OpUpsert, people(3)); statuses(out) != "delivered unknown unknown" || !fault.Is(err, fault.DestAnswer) {
		t.Errorf("%s %v", statuses(out), err)
	}
	s.Inject(webhooktest.Fault{ExtraResults: 2})
	if out, err := write(t, d, connector.OpUpsert, people(3)); out.Extra() != 2 || !fault.Is(err, fault.DestAnswer) {
		t.Errorf("extra %d %v", out.Extra(), err)
	}
	s.InjectRow(webhooktest.RowFault{Field: "name", Equals: "name 2", Status: "rejected", Code: "BAD", Message: "no", At: "name"})
	if out, err := write(t, d, connector.OpUpsert, people(3)); err != nil || statuses(out) != "delivered rejected delivered" || out.Result(1).Field != "name" {
		t.Errorf("%s %v", statuses(out), err)
	}
	s.InjectRow(webhooktest.RowFault{Field: "id", Equals: "3", Status: "422", Times: -1})
	if _, err := write(t, d, connector.OpUpsert, people(3)); !fault.Is(err, fault.DestRefused) {
		t.Errorf("%v", err)
	}
	s.ClearFaults()
	for _, style := range []webhooktest.Style{webhooktest.StyleOK, webhooktest.StyleText, webhooktest.StyleEmpty} {
		s.SetStyle(style)
		if out, err := write(t, d, connector.OpUpsert, people(2)); err != nil || statuses(out) != "delivered delivered" {
			t.Errorf("%s: %s %v", style, statuses(out), err)
		}
	}
}

func Test_the_secret_parts_of_an_address_are_not_shown(t *testing.T) {
	c := receiver(t)
	c.status, c.answer = 404, `{"path":"`+"/services/T000/xoxb0123456789abcdef?key=qqqqqq1"+`"}`
	set := c.settings()
	set["url"] = c.URL + "/services/T000/xoxb0123456789abcdef?key=qqqqqq1"
	out, err := write(t, connect(t, set), connector.OpUpsert, people(1))
	all := fmt.Sprint(err, out.Request, out.Response)
	if strings.Contains(all, "xoxb0123456789abcdef") || strings.Contains(all, "qqqqqq1") || !strings.Contains(all, "/services/T000/") {
		t.Error(all)
	}
}
