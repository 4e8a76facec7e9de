package conformance

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// put writes a value into a request, or spoils it.
func (d *good) put(fields map[string]*string, name string, v row.Value) {
	switch {
	case v.IsAbsent():
		if d.bug == "takes absent for null" {
			fields[name] = nil
		}
		return
	case v.IsNull() && d.bug == "takes null for absent":
		return
	case d.bug == "loses values of kind "+v.Kind().String():
		v = row.NullValue()
	case v.Kind() == row.Decimal && d.bug == "carries decimals through floats":
		f, _ := strconv.ParseFloat(v.String(), 64)
		v = row.DecimalValue(strconv.FormatFloat(f, 'f', -1, 64))
	case v.Kind() == row.Int && d.bug == "carries integers through floats":
		v = row.DecimalValue(strconv.FormatFloat(float64(v.Int()), 'f', -1, 64))
	case v.Kind() == row.Text && d.bug == "lower-cases texts":
		v = row.TextValue(strings.ToLower(v.Str()))
	case v.Kind() == row.Text && d.bug == "trims texts":
		v = row.TextValue(strings.TrimSpace(v.Str()))
	case v.Kind() == row.Text && d.bug == "cuts long texts":
		v = row.TextValue(v.Str()[:min(255, len(v.Str()))])
	case v.Kind() == row.Instant && d.bug == "shifts instants by a summer hour":
		if t := v.GoTime(); t.Month() > 3 && t.Month() < 11 {
			v = row.InstantValue(t.Unix()+3600, uint32(t.Nanosecond()))
		}
	case v.Kind() == row.Timestamp && d.bug == "keeps seconds only":
		sec, _ := v.Unix()
		v = row.TimestampValue(sec, 0)
	case v.Kind() == row.JSON && d.bug == "reads JSON numbers as floats":
		var x any
		if json.Unmarshal([]byte(v.String()), &x) == nil {
			b, _ := json.Marshal(x)
			v = row.StringKind(row.JSON, string(b))
		}
	}
	fields[name] = encodeValue(v)
}

// spoil breaks a promise about a whole request.
func (d *good) spoil(to connector.Target, w *toolWrite) {
	switch d.bug {
	case "drops the last row":
		w.Rows = w.Rows[:len(w.Rows)-1]
	case "deletes by the beginning of the key":
		if to.Op == connector.OpDelete {
			w.Op = "purge"
		}
	case "escapes keys":
		for i := range w.Rows {
			*w.Rows[i].Key = strings.ReplaceAll(*w.Rows[i].Key, "a'b", "a''b")
		}
	case "appends twice":
		if w.Op == "append" {
			w.Rows = append(w.Rows, w.Rows...)
		}
	case "updates what is there when inserting":
		if w.Op == "insert" {
			w.Op = "upsert"
		}
	case "creates when updating":
		if w.Op == "update" {
			w.Op = "upsert"
		}
	case "adds a record whenever it is asked":
		if w.Op == "upsert" {
			w.Op = "copy"
		}
	case "clears the whole record":
		if w.Op == "clear" {
			for i := range w.Rows {
				for _, k := range kinds {
					w.Rows[i].Fields["f_"+k.String()] = nil
				}
			}
		}
	case "refuses the batch for one row":
		if slices.ContainsFunc(w.Rows, func(r toolRow) bool { return r.Fields["tier"] != nil }) {
			for i := range w.Rows {
				w.Rows[i].Fields["tier"] = encodeValue(row.TextValue("none"))
			}
		}
	}
}
