package salesforce

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// maxQuery keeps a query's address under the 16,384 bytes an address and its headers may have together
// (https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-api.html).
const maxQuery = 10_000

// ReadBack finds records by SOQL. It asks as many queries as the length of an address demands, and for every page of each.
func (d *Destination) ReadBack(ctx context.Context, object connector.Object, by []string, matches [][]row.Value, fields []string) ([]connector.Found, error) {
	for _, names := range [][]string{{object.Name}, by, fields} {
		for _, name := range names {
			if !nameForm.MatchString(name) {
				return nil, fault.New(fault.DestFieldMissing, "%q is not a name in Salesforce", name).NotLanded()
			}
		}
	}
	q := &lookup{d: d, object: &object, by: by, fields: fields, found: make([]connector.Found, len(matches)), rows: map[string][]int{}}
	for _, name := range by {
		q.byFields = append(q.byFields, fieldOf(&object, name))
	}
	for _, name := range fields {
		q.valueFields = append(q.valueFields, fieldOf(&object, name))
	}
	for i, match := range matches {
		condition, key, ok := q.condition(match)
		if !ok { // no record can have such a value
			continue
		}
		list := q.rows[key]
		q.rows[key] = append(list, i)
		if list != nil {
			continue
		}
		if q.length+len(condition) > maxQuery {
			if err := q.ask(ctx); err != nil {
				return nil, err
			}
		}
		q.parts, q.length = append(q.parts, condition), q.length+len(condition)+12
	}
	if err := q.ask(ctx); err != nil {
		return nil, err
	}
	return q.found, nil
}

// lookup is one ReadBack.
type lookup struct {
	d                     *Destination
	object                *connector.Object
	by, fields            []string
	byFields, valueFields []*connector.Field
	found                 []connector.Found
	rows                  map[string][]int // comparison key -> rows of matches
	parts                 []string         // escaped literals (one match field) or conditions
	length                int
}

// condition gives the escaped SOQL for one match (its literal when there is one match field) and the key it is compared by.
func (q *lookup) condition(match []row.Value) (text, key string, ok bool) {
	var b strings.Builder
	var k []byte
	for n, v := range match {
		lit, fits := literal(q.byFields[n], v)
		if isID(q.by[n], q.byFields[n]) && checkID(v.String()) != nil { // SOQL refuses the whole query for it
			fits = false
		}
		if !fits {
			return "", "", false
		}
		if len(q.by) > 1 {
			if n == 0 {
				b.WriteByte('(')
			} else {
				b.WriteString(" AND ")
			}
			b.WriteString(q.by[n] + " = ")
		}
		b.WriteString(lit)
		k = compareKey(k, q.by[n], q.byFields[n], v)
	}
	if len(q.by) > 1 {
		b.WriteByte(')')
	}
	return url.QueryEscape(b.String()), string(k), true
}

// literal writes a value as SOQL: texts quoted and escaped, everything else bare and made of characters that cannot end it
// (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm).
func literal(f *connector.Field, v row.Value) (string, bool) {
	if v.IsNull() || v.IsAbsent() {
		return "", false
	}
	c := column{field: f}
	var buf [64]byte
	b, fine, bad := appendText(buf[:0], &c, v)
	if bad != nil || !fine {
		return "", false
	}
	switch kindOf(&c, v) { //nolint:exhaustive // the rest is text
	case row.Int, row.Uint, row.Decimal, row.Float:
		s := string(b)
		return s, s != "" && strings.Trim(s, "0123456789.-+eE") == ""
	case row.Bool, row.Date, row.Instant, row.Time:
		return string(b), true
	}
	return quote(string(b)), true
}

var soqlEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`)

func quote(s string) string { return "'" + soqlEscapes.Replace(s) + "'" }

func isID(name string, f *connector.Field) bool { return name == "Id" || f != nil && f.Refers != nil }

// compareKey appends the form in which Salesforce compares values of a field, so that its answers find their matches.
func compareKey(b []byte, name string, f *connector.Field, v row.Value) []byte {
	s := v.String()
	if f == nil || f.Kind != row.Text {
		if v.Kind() == row.Float {
			if exact, err := row.ParseDecimal(s); err == nil {
				v = exact
			}
		}
		if v.Kind().Numeric() || v.Kind() == row.Bool {
			return v.AppendCanonical(b)
		}
	}
	switch {
	case isID(name, f):
		if len(s) == 18 {
			s = s[:15]
		}
	case f == nil || f.Kind == row.Text && f.FoldCase || f.Kind == row.Text && !f.Match:
		s = strings.ToLower(s)
	}
	return row.TextValue(s).AppendCanonical(b)
}

// ask sends the query gathered so far and follows its pages
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-query.html).
func (q *lookup) ask(ctx context.Context) error {
	if len(q.parts) == 0 {
		return nil
	}
	columns := []string{"Id"}
	for _, list := range [][]string{q.by, q.fields} {
		for _, name := range list {
			if !contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	head := url.QueryEscape("SELECT " + strings.Join(columns, ", ") + " FROM " + q.object.Name + " WHERE ")
	where := strings.Join(q.parts, "+OR+")
	if len(q.by) == 1 {
		where = url.QueryEscape(q.by[0]+" IN (") + strings.Join(q.parts, "%2C") + "%29"
	}
	path := q.d.data + "/query?q=" + head + where
	q.parts, q.length = q.parts[:0], 0
	for path != "" {
		resp, err := q.d.do(ctx, httpkit.Request{Path: path, MaxResponse: 64 << 20})
		if err != nil {
			return err
		}
		var page struct {
			Done    bool                         `json:"done"`
			Next    string                       `json:"nextRecordsUrl"`
			Records []map[string]json.RawMessage `json:"records"`
		}
		if err := q.d.client.JSON(resp, &page); err != nil {
			return err
		}
		for _, rec := range page.Records {
			if err := q.take(rec); err != nil {
				return fault.Wrap(fault.DestAnswer, err, "%s: reading a record", resp.Call).NotLanded()
			}
		}
		if path = page.Next; page.Done || path == "" {
			break
		}
		if !strings.HasPrefix(path, "/services/data/") {
			return fault.New(fault.DestAnswer, "%s: the next page is at an unexpected address", resp.Call).NotLanded()
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}

// take notes one record for the matches it answers. A second record for a match makes it ambiguous.
func (q *lookup) take(rec map[string]json.RawMessage) error {
	var key []byte
	for n, name := range q.by {
		v, err := decode(q.byFields[n], rec[name])
		if err != nil {
			return err
		}
		key = compareKey(key, name, q.byFields[n], v)
	}
	var id string
	if err := json.Unmarshal(rec["Id"], &id); err != nil {
		return err
	}
	for _, i := range q.rows[string(key)] {
		f := &q.found[i]
		switch {
		case f.Ambiguous || f.Exists && f.RemoteID == id:
			continue
		case f.Exists:
			*f = connector.Found{Exists: true, Ambiguous: true}
			continue
		}
		f.Exists, f.RemoteID = true, id
		f.Values = make([]row.Value, len(q.fields))
		for n, name := range q.fields {
			v, err := decode(q.valueFields[n], rec[name])
			if err != nil {
				return err
			}
			f.Values[n] = v
		}
	}
	return nil
}

// decode reads a JSON value in its field's kind; numbers stay text.
func decode(f *connector.Field, raw json.RawMessage) (row.Value, error) {
	if len(raw) == 0 {
		return row.Value{}, nil
	}
	switch raw[0] {
	case 'n':
		return row.NullValue(), nil
	case 't', 'f':
		return row.BoolValue(raw[0] == 't'), nil
	case '{', '[':
		return row.StringKind(row.JSON, string(raw)), nil
	case '"':
	default:
		v, err := row.ParseDecimal(string(raw))
		if err == nil && f != nil && f.Kind == row.Int {
			if n, ok := whole(row.NormalDecimal(v.Str())); ok {
				return row.IntValue(n), nil
			}
		}
		return v, err
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return row.Value{}, err
	}
	if f == nil {
		return row.TextValue(s), nil
	}
	switch f.Kind { //nolint:exhaustive // every other kind comes as text, or not as a JSON string
	case row.Date:
		t, err := time.Parse(time.DateOnly, s)
		return row.DateValue(t.Unix() / 86_400), err
	case row.Time:
		t, err := time.Parse("15:04:05.000Z", s)
		return row.TimeValue(int64(t.Hour())*3600e9 + int64(t.Minute())*60e9 + int64(t.Second())*1e9 + int64(t.Nanosecond())), err
	case row.Instant:
		t, err := parseDatetime(s)
		return row.InstantValue(t.Unix(), uint32(t.Nanosecond())), err
	}
	return row.TextValue(s), nil
}

// parseDatetime reads what Salesforce writes, 2026-01-31T12:00:00.000+0000, and what it takes.
func parseDatetime(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02T15:04:05.999Z0700", s)
	if err != nil {
		t, err = time.Parse(time.RFC3339Nano, s)
	}
	return t, err
}

func whole(s string) (int64, bool) {
	var n int64
	err := json.Unmarshal([]byte(s), &n)
	return n, err == nil
}
