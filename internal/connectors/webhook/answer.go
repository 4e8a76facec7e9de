package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// readResults reads an answer that says the batch was taken. What cannot be understood is never taken for success:
//
//   - no body, or a body that is neither JSON nor HTML ("ok"): the status speaks for all rows;
//   - HTML: a proxy or login page answered, nobody knows; unless the setting success vouches for the endpoint;
//   - JSON, by content type or by its first character: it must be read to its end. With a list `results` the rows are judged
//     one by one, without any `results` the status speaks for all.
func (d *Destination) readResults(resp *httpkit.Response, to connector.Target, rows *row.Batch, index []int, out *connector.Outcomes) error {
	if d.results != nil {
		list, err := d.results.json(d.http, resp)
		if err != nil {
			return d.unreadable(resp, err)
		}
		return d.mark(resp, list, to, rows, index, out)
	}
	body := bytes.TrimSpace(resp.Body)
	if len(body) == 0 {
		return all(index, out)
	}
	if resp.IsHTML() {
		if d.success != nil {
			return all(index, out)
		}
		return d.unreadable(resp, errors.New("the answer is an HTML page"))
	}
	if !resp.SaysJSON() && body[0] != '{' && body[0] != '[' {
		return all(index, out)
	}
	if body[0] != '{' {
		var whole json.RawMessage
		if err := httpkit.DecodeJSON(body, &whole); err != nil {
			return d.unreadable(resp, err)
		}
		return all(index, out)
	}
	var answer struct {
		Results json.RawMessage `json:"results"`
	}
	if err := httpkit.DecodeJSON(body, &answer); err != nil {
		return d.unreadable(resp, err)
	}
	if answer.Results == nil {
		return all(index, out)
	}
	return d.mark(resp, answer.Results, to, rows, index, out)
}

func all(index []int, out *connector.Outcomes) error {
	for _, i := range index {
		out.Delivered(i, "", connector.NotTold)
	}
	return nil
}

// outcome is one entry of results.
type outcome struct {
	Status   word   `json:"status"`
	Code     word   `json:"code"`
	Field    word   `json:"field"`
	Message  word   `json:"message"`
	ID       word   `json:"id"`
	Key      word   `json:"idempotency_key"` // an echo: the entry is about the row with this key, whatever its place
	Created  *bool  `json:"created"`
	After    word   `json:"retry_after"` // seconds
	Warnings []word `json:"warnings"`
}

// UnmarshalJSON also takes a bare status.
func (o *outcome) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return o.Status.UnmarshalJSON(b)
	}
	type plain outcome
	return json.Unmarshal(b, (*plain)(o))
}

// word takes any JSON value as text: receivers write codes and ids as numbers or texts.
type word string

// UnmarshalJSON implements json.Unmarshaler.
func (w *word) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var s string
		err := json.Unmarshal(b, &s)
		*w = word(s)
		return err
	}
	if string(b) != "null" {
		*w = word(b)
	}
	return nil
}

// mark reads one outcome per row in order. Rows without an outcome stay unknown; outcomes without a row are counted as extra.
func (d *Destination) mark(resp *httpkit.Response, list []byte, to connector.Target, rows *row.Batch, index []int, out *connector.Outcomes) error {
	var results []json.RawMessage
	if err := json.Unmarshal(list, &results); err != nil || results == nil {
		return d.unreadable(resp, errors.New("results is not a list"))
	}
	parsed := make([]outcome, len(results))
	var bad error
	echoes := 0
	for n, raw := range results {
		if err := json.Unmarshal(raw, &parsed[n]); err != nil {
			parsed[n] = outcome{}
			bad = fmt.Errorf("result %d cannot be understood", n+1)
		}
		if parsed[n].Key != "" {
			echoes++
		}
	}
	place := func(n int) int { return n }
	if echoes == len(results) && echoes > 0 {
		place = byKey(parsed, rows, index)
	}
	for n := range parsed {
		at := out.Len() // beyond the batch: counted as extra
		if p := place(n); p >= 0 && p < len(index) {
			at = index[p]
		}
		r, err := d.result(&parsed[n])
		if err != nil {
			bad = fmt.Errorf("result %d: %w", n+1, err)
			if at < out.Len() {
				continue
			}
		}
		if to.Op == connector.OpInsert && to.SkipExists && r.Status == connector.Rejected && r.Code == fault.AlreadyExists {
			r.Status = connector.Skipped
		}
		out.Set(at, r)
	}
	switch {
	case len(results) != len(index):
		return d.unreadable(resp, fmt.Errorf("the answer has %d results for %d rows", len(results), len(index)))
	case bad != nil:
		return d.unreadable(resp, bad)
	}
	return nil
}

// byKey correlates by the echoed idempotency keys.
func byKey(parsed []outcome, rows *row.Batch, index []int) func(int) int {
	at := make(map[word]int, len(index))
	for p, i := range index {
		at[word(rows.Meta(i).IdempotencyKey)] = p
	}
	return func(n int) int {
		if p, ok := at[parsed[n].Key]; ok {
			return p
		}
		return -1
	}
}

func (d *Destination) result(o *outcome) (connector.Result, error) {
	r := connector.Result{Code: fault.Code(d.http.Hide(string(o.Code))), Field: d.http.Hide(string(o.Field)), Message: d.http.Redact(string(o.Message))}
	switch strings.ToLower(string(o.Status)) {
	case "delivered":
		r = connector.Result{Status: connector.Delivered, RemoteID: d.http.Hide(string(o.ID))}
		if o.Created != nil {
			r.Created = connector.No
			if *o.Created {
				r.Created = connector.Yes
			}
		}
		for _, w := range o.Warnings {
			r.Warnings = append(r.Warnings, d.http.Redact(string(w)))
		}
		return r, nil
	case "skipped":
		r.Status = connector.Skipped
	case "rejected":
		r.Status = connector.Rejected
	case "retry":
		r.Status = connector.Retry
		if s, err := strconv.ParseFloat(string(o.After), 64); err == nil && s > 0 {
			r.After = time.Duration(math.Min(s, 86400) * float64(time.Second))
		}
		if r.Code == "" {
			r.Code = fault.DestTransient
		}
	case "":
		return r, errors.New("it has no status")
	default:
		return r, errors.New("its status is none of delivered, rejected, retry, skipped")
	}
	if r.Code == "" {
		r.Code = fault.DestRowRefused
	}
	return r, nil
}
