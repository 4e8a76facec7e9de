package salesforce

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// layout is how the rows of a batch are written: which columns, in which form.
type layout struct {
	op      connector.Op
	object  string
	head    []byte // `{"attributes":{"type":"Account"}`
	columns []column
	lookup  int // match position of Id, -1 when the match is something else
	byID    bool
}

// column is one field of the record: a match field (match >= 0) or a value.
type column struct {
	name  string
	key   []byte // `,"Name":`
	field *connector.Field
	match bool
	at    int
}

// plan lays out a batch. Update, clear and delete name records by id; the match is written with an update too, which moves a
// record whose match changed.
func plan(to *connector.Target, rows *row.Batch) layout {
	l := layout{op: to.Op, object: to.Object.Name, lookup: -1}
	l.byID = to.Op == connector.OpUpdate || to.Op == connector.OpClear || to.Op == connector.OpDelete
	l.head = row.AppendJSONString([]byte(`{"attributes":{"type":`), l.object)
	l.head = append(l.head, '}')
	add := func(name string, match bool, at int) {
		key := append(row.AppendJSONString([]byte{','}, name), ':')
		l.columns = append(l.columns, column{name, key, fieldOf(&to.Object, name), match, at})
	}
	for i, name := range rows.MatchFields() {
		switch {
		case name == "Id":
			l.lookup = i
		case to.Op == connector.OpClear || to.Op == connector.OpDelete:
		case l.byID && !writable(&to.Object, name):
		default:
			add(name, true, i)
		}
	}
	if to.Op != connector.OpDelete {
		for i, name := range rows.Fields() {
			add(name, false, i)
		}
	}
	return l
}

func writable(o *connector.Object, name string) bool {
	f := fieldOf(o, name)
	return f == nil || f.Updatable
}

func (l *layout) value(rows *row.Batch, i int, c *column) row.Value {
	if c.match {
		return rows.Match(i)[c.at]
	}
	return rows.Values(i)[c.at]
}

// id gives the record's id: the ledger's, or the match itself when rows are matched by Id.
func (l *layout) id(rows *row.Batch, i int) string {
	if id := rows.Meta(i).RemoteID; id != "" {
		return id
	}
	if l.lookup >= 0 {
		return rows.Match(i)[l.lookup].Str()
	}
	return ""
}

// refusal of a row before it is sent.
type refused struct {
	code    fault.Code
	field   string
	message string
}

// record appends row i as JSON. warned names the fields whose value Salesforce cannot hold to the last digit of a second.
func (l *layout) record(b []byte, rows *row.Batch, i int) (out []byte, warned []string, bad *refused) {
	b = append(b, l.head...)
	if l.byID {
		id := l.id(rows, i)
		if bad := checkID(id); bad != nil {
			return b, nil, bad
		}
		b = append(b, `,"id":`...)
		b = row.AppendJSONString(b, id)
	}
	for n := range l.columns {
		c := &l.columns[n]
		v := l.value(rows, i, c)
		if v.IsAbsent() {
			continue
		}
		b = append(b, c.key...)
		var fine bool
		if b, fine, bad = appendJSON(b, c, v, l.op); bad != nil {
			return b, nil, bad
		}
		if !fine {
			warned = append(warned, c.name+": Salesforce keeps milliseconds; the digits behind them were not sent")
		}
	}
	return append(b, '}'), warned, nil
}

// checkID wants the 15 or 18 characters of an id: anything else never came from Salesforce.
func checkID(id string) *refused {
	if id == "" {
		return &refused{fault.LookupMissing, "Id", "the record's Salesforce id is not known"}
	}
	if len(id) != 15 && len(id) != 18 {
		return &refused{fault.ValueType, "Id", "this is not a Salesforce id"}
	}
	for i := range len(id) {
		if c := id[i]; c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z' {
			return &refused{fault.ValueType, "Id", "this is not a Salesforce id"}
		}
	}
	return nil
}

// appendJSON writes a value the way its field is read. null clears. A number goes into a text field as text, because Salesforce
// takes a number there for a syntax error of the whole request; nothing else changes its kind.
func appendJSON(b []byte, c *column, v row.Value, op connector.Op) ([]byte, bool, *refused) {
	if v.IsNull() {
		if c.field != nil && c.field.Kind == row.Bool {
			if op == connector.OpClear {
				return append(b, "false"...), true, nil
			}
			return b, true, &refused{fault.ValueNull, c.name, "a checkbox cannot be empty"}
		}
		return append(b, "null"...), true, nil
	}
	quoted := false
	switch kindOf(c, v) {
	case row.Bool, row.Int, row.Decimal, row.Float, row.Uint:
	default:
		quoted = true
	}
	var buf [64]byte
	text, fine, bad := appendText(buf[:0], c, v)
	switch {
	case bad != nil:
		return b, true, bad
	case quoted:
		return row.AppendJSONString(b, string(text)), fine, nil
	}
	return append(b, text...), fine, nil
}

func kindOf(c *column, v row.Value) row.Kind {
	if c.field == nil || c.field.Kind == row.Absent {
		return v.Kind()
	}
	return c.field.Kind
}

// appendText writes a value's text for JSON and CSV alike; fine is false where digits behind the millisecond were left out.
func appendText(b []byte, c *column, v row.Value) ([]byte, bool, *refused) {
	k := v.Kind()
	switch kindOf(c, v) {
	case row.Text:
		switch k {
		case row.Bytes:
		case row.Float:
			if !finite(v) {
				return b, true, notNumber(c)
			}
			return v.AppendText(b), true, nil
		case row.Array:
			if s, ok := joinChoices(c, v); ok {
				return append(b, s...), true, nil
			}
			return v.AppendText(b), true, nil
		default:
			return v.AppendText(b), true, nil
		}
	case row.Int:
		if k == row.Int || k == row.Uint || k.Numeric() && integral(v) {
			return v.AppendText(b), true, nil
		}
	case row.Decimal, row.Float, row.Uint:
		switch {
		case k == row.Float && !finite(v):
			return b, true, notNumber(c)
		case k.Numeric():
			return v.AppendText(b), true, nil
		}
	case row.Bool:
		if k == row.Bool {
			return v.AppendText(b), true, nil
		}
	case row.Date:
		if k == row.Date {
			return v.AppendText(b), true, nil
		}
	case row.Time:
		if k == row.Time && v.Int() < int64(24*time.Hour) { // 24:00:00 would be written as the day's beginning
			t := time.Unix(0, v.Int()).UTC()
			return t.AppendFormat(b, "15:04:05.000Z"), t.Nanosecond()%1e6 == 0, nil
		}
	case row.Instant:
		if k == row.Instant {
			t := v.GoTime()
			return t.AppendFormat(b, "2006-01-02T15:04:05.000Z"), t.Nanosecond()%1e6 == 0, nil
		}
	case row.UUID, row.Interval, row.JSON, row.Array:
		return v.AppendText(b), true, nil
	case row.Bytes, row.Timestamp, row.Absent, row.Null: // a time without zone is no instant
	}
	want := "a value Salesforce takes"
	if c.field != nil {
		want = "a value of kind " + c.field.Kind.String()
	}
	return b, true, &refused{fault.ValueType, c.name, "the field takes " + want + ", not one of kind " + k.String()}
}

func notNumber(c *column) *refused {
	return &refused{fault.ValueNotNumber, c.name, "NaN and infinity have no place in Salesforce"}
}

func finite(v row.Value) bool { f := v.Float(); return !math.IsNaN(f) && !math.IsInf(f, 0) }

// integral reports a number without a fraction that AppendText writes without a point or an exponent.
func integral(v row.Value) bool {
	if v.Kind() == row.Float {
		f := v.Float()
		return f == math.Trunc(f) && math.Abs(f) < 1e15
	}
	return !strings.Contains(row.NormalDecimal(v.Str()), ".") && !strings.Contains(v.Str(), ".")
}

// joinChoices writes an array of texts as Salesforce writes several choices: "a;b"
// (https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/field_types.htm, "Multi-Select Picklist Field Type").
func joinChoices(c *column, v row.Value) (string, bool) {
	if c.field == nil || c.field.Choices == nil {
		return "", false
	}
	var parts []string
	if json.Unmarshal([]byte(v.Str()), &parts) != nil {
		return "", false
	}
	for _, p := range parts {
		if strings.Contains(p, ";") {
			return "", false
		}
	}
	return strings.Join(parts, ";"), true
}

// RowBytes is the size of row i in a collection, or a few bytes more; its line of CSV is no longer but for commas of absent
// fields. It is asked for every row of a plan, so nothing is looked up.
func (d *Destination) RowBytes(to connector.Target, rows *row.Batch, i int) int {
	n := len(`{"attributes":{"type":""}},`) + len(to.Object.Name)
	if to.Op == connector.OpUpdate || to.Op == connector.OpClear || to.Op == connector.OpDelete {
		n += len(`,"id":"001000000000000AAA"`)
	}
	var buf [256]byte
	add := func(names []string, values []row.Value) {
		for at, v := range values {
			if v.IsAbsent() {
				continue
			}
			n += len(`,"":`) + len(names[at])
			switch v.Kind() { //nolint:exhaustive // the rest is no longer than its JSON
			case row.Text:
				n += row.JSONLen(v.Str())
				continue
			case row.Bool, row.Int, row.Uint, row.Float, row.Decimal:
				n += 2 // quotes, should the field be a text
			case row.Instant, row.Time:
				n += len(".000Z")
			case row.JSON, row.Array:
				n += 2 + strings.Count(v.Str(), `"`) + strings.Count(v.Str(), `\`)
			}
			n += len(v.AppendJSON(buf[:0]))
		}
	}
	add(rows.MatchFields(), rows.Match(i))
	if to.Op != connector.OpDelete {
		add(rows.Fields(), rows.Values(i))
	}
	return n
}
