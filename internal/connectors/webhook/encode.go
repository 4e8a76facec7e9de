package webhook

import (
	"math"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// encoder writes rows as JSON straight from the batch: no maps, no boxed values.
type encoder struct {
	match, fields []string // `"name":`
}

func newEncoder(rows *row.Batch) encoder {
	quoted := func(names []string) []string {
		out := make([]string, len(names))
		for i, n := range names {
			out[i] = string(row.AppendJSONString(nil, n)) + ":"
		}
		return out
	}
	return encoder{quoted(rows.MatchFields()), quoted(rows.Fields())}
}

// appendStandard appends the standard body for the rows that index names.
func (e encoder) appendStandard(b []byte, to connector.Target, rows *row.Batch, index []int) []byte {
	b = append(b, `{"sync":`...)
	b = row.AppendJSONString(b, to.Sync)
	b = append(b, `,"run_id":`...)
	b = row.AppendJSONString(b, to.RunID)
	b = append(b, `,"object":`...)
	b = row.AppendJSONString(b, to.Object.Name)
	b = append(b, `,"operation":`...)
	b = row.AppendJSONString(b, string(to.Op))
	b = append(b, `,"rows":[`...)
	for n, i := range index {
		if n > 0 {
			b = append(b, ',')
		}
		b = e.appendRow(b, to.Op, rows, i)
	}
	return append(b, "]}"...)
}

func (e encoder) appendRow(b []byte, op connector.Op, rows *row.Batch, i int) []byte {
	b = append(b, `{"key":`...)
	b = appendObject(b, e.match, rows.Match(i))
	if op != connector.OpDelete {
		b = append(b, `,"fields":`...)
		b = appendObject(b, e.fields, rows.Values(i))
	}
	m := rows.Meta(i)
	if m.RemoteID != "" {
		b = append(b, `,"id":`...)
		b = row.AppendJSONString(b, m.RemoteID)
	}
	if m.IdempotencyKey != "" {
		b = append(b, `,"idempotency_key":`...)
		b = row.AppendJSONString(b, m.IdempotencyKey)
	}
	return append(b, '}')
}

// appendObject leaves absent values out; null is a value.
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
		b = append(b, names[i]...)
		b = v.AppendJSON(b)
	}
	return append(b, '}')
}

// sendable gives the indexes of rows that JSON can carry and rejects the others: JSON has no NaN and no infinity, and a text in
// their place would be another value.
func sendable(rows *row.Batch, index []int, out *connector.Outcomes) []int {
	for i := range rows.Len() {
		if field := notNumber(rows.MatchFields(), rows.Match(i)); field != "" {
			out.Rejected(i, fault.ValueNotNumber, field, "JSON has no NaN and no infinity")
		} else if field := notNumber(rows.Fields(), rows.Values(i)); field != "" {
			out.Rejected(i, fault.ValueNotNumber, field, "JSON has no NaN and no infinity")
		} else {
			index = append(index, i)
		}
	}
	return index
}

func notNumber(names []string, values []row.Value) string {
	for i, v := range values {
		if v.Kind() == row.Float {
			if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
				return names[i]
			}
		}
	}
	return ""
}

// RowBytes is the size of row i in the standard body. It is asked for every row of a plan, so nothing is written.
func (d *Destination) RowBytes(to connector.Target, rows *row.Batch, i int) int {
	n := len(`{"key":},`) + objectBytes(rows.MatchFields(), rows.Match(i))
	if to.Op != connector.OpDelete {
		n += len(`,"fields":`) + objectBytes(rows.Fields(), rows.Values(i))
	}
	m := rows.Meta(i)
	if m.RemoteID != "" {
		n += len(`,"id":`) + row.JSONLen(m.RemoteID)
	}
	return n + len(`,"idempotency_key":""`) + idempotencyKeyBytes
}

// idempotencyKeyBytes: keys are given when the batch is complete, after it was sized. They are 128 bits in hexadecimal.
const idempotencyKeyBytes = 32

func objectBytes(names []string, values []row.Value) int {
	n, fields := len("{}"), 0
	var buf [256]byte
	for i, v := range values {
		switch {
		case v.IsAbsent():
			continue
		case v.Kind() == row.Text:
			n += row.JSONLen(v.Str())
		default:
			n += len(v.AppendJSON(buf[:0]))
		}
		n += row.JSONLen(names[i]) + len(":")
		fields++
	}
	return n + max(0, fields-1)
}
