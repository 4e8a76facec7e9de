package file

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, dir string, settings ...string) *Destination {
	t.Helper()
	values := map[string]string{"path": "out"}
	for i := 0; i < len(settings); i += 2 {
		values[settings[i]] = settings[i+1]
	}
	d, err := Connector().Open(t.Context(), connector.NewConfig(values, nil, nil), connector.Env{ProjectDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	f := d.(*Destination)
	f.now = func() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) }
	return f
}

func to(op connector.Op, fields ...string) connector.Target {
	if fields == nil {
		fields = []string{"name", "score"}
	}
	return connector.Target{Object: connector.Object{Name: "customers"}, Op: op, Match: []string{"id"}, Fields: fields, RunID: "01RUN"}
}

// batch makes rows of id and the values; nil is absent.
func batch(fields []string, rows ...[]any) *row.Batch {
	if fields == nil {
		fields = []string{"name", "score"}
	}
	b := row.NewBatch([]string{"id"}, fields, len(rows))
	for n, r := range rows {
		vals := make([]row.Value, len(r))
		for i, v := range r {
			vals[i] = value(v)
		}
		b.Add(row.Meta{Ordinal: uint64(n), IdempotencyKey: fmt.Sprint("k", r[0])}, vals[:1], vals[1:])
	}
	return b
}

type null struct{}

func value(v any) row.Value {
	switch v := v.(type) {
	case nil:
		return row.Value{}
	case null:
		return row.NullValue()
	case int:
		return row.IntValue(int64(v))
	case float64:
		return row.FloatValue(v)
	case string:
		return row.TextValue(v)
	case row.Value:
		return v
	}
	panic("no such value")
}

func write(t *testing.T, d *Destination, target connector.Target, b *row.Batch) string {
	t.Helper()
	out := connector.NewOutcomes(b.Len())
	if err := d.Write(t.Context(), target, b, out); err != nil {
		t.Fatalf("%s: %v", target.Op, err)
	}
	return statuses(out)
}

func statuses(out *connector.Outcomes) string {
	var s []string
	for i := range out.Len() {
		s = append(s, out.Result(i).Status.String())
	}
	return strings.Join(s, " ")
}

func content(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantContent(t *testing.T, want string, path ...string) {
	t.Helper()
	if got := content(t, path...); got != want {
		t.Errorf("%s holds\n%s\nwant\n%s", filepath.Join(path[1:]...), got, want)
	}
}

// wantOnly checks that nothing else was left in a folder.
func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			got = append(got, rel)
		}
		return err
	})
	if err != nil || !slices.Equal(got, names) {
		t.Errorf("the folder holds %v, want %v (%v)", got, names, err)
	}
}

func Test_a_snapshot_holds_the_current_state_in_every_mode(t *testing.T) {
	for _, f := range []struct{ format, want string }{
		{"jsonl", `{"id":1,"name":"Ann","score":2}` + "\n" + `{"id":3,"name":null,"score":null}` + "\n" + `{"id":4,"name":"Dan","score":4}` + "\n" + `{"id":5,"name":"Eve","score":5}` + "\n"},
		{"csv", "id,name,score\n1,Ann,2\n3,,\n4,Dan,4\n5,Eve,5\n"},
	} {
		t.Run(f.format, func(t *testing.T) {
			dir := t.TempDir()
			d := connect(t, dir, "format", f.format)
			step := func(op connector.Op, want string, rows ...[]any) {
				t.Helper()
				if got := write(t, d, to(op), batch(nil, rows...)); got != want {
					t.Errorf("%s: %s, want %s", op, got, want)
				}
			}
			step(connector.OpUpdate, "skipped", []any{1, "x", 1})
			step(connector.OpDelete, "delivered", []any{1, nil, nil})
			step(connector.OpUpsert, "delivered delivered delivered", []any{1, "Ann", 1}, []any{2, "Bob", 2}, []any{3, "Cat", 3})
			step(connector.OpUpsert, "delivered delivered", []any{1, "Ann", 2}, []any{4, "Dan", 4})
			step(connector.OpInsert, "rejected delivered", []any{1, "no", 0}, []any{5, "Eve", 5})
			step(connector.OpUpdate, "delivered skipped", []any{2, nil, 22}, []any{9, "x", 9})
			step(connector.OpAppend, "delivered", []any{5, "again", 0})
			step(connector.OpClear, "delivered skipped", []any{3, null{}, null{}}, []any{9, null{}, null{}})
			step(connector.OpDelete, "delivered delivered", []any{2, nil, nil}, []any{9, nil, nil})
			step(connector.OpDelete, "delivered", []any{2, nil, nil})
			wantContent(t, f.want, dir, "out", "customers."+f.format)
			wantOnly(t, dir, "out/customers."+f.format)
			skip := to(connector.OpInsert)
			skip.SkipExists = true
			if got := write(t, d, skip, batch(nil, []any{1, "no", 0})); got != "skipped" {
				t.Errorf("on_exists: skip gives %s", got)
			}
		})
	}
}

func Test_every_value_stands_as_it_is(t *testing.T) {
	fields := []string{"v"}
	rows := [][]any{
		{1, null{}},
		{2, ""},
		{3, "null"},
		{4, "a,\"b\"\r\nc"},
		{5, "=1+1"},
		{6, " x "},
		{7, value(row.DecimalValue("12345678901234567890.10"))},
		{8, row.IntValue(math.MinInt64)},
		{9, row.BytesValue([]byte{0, 255})},
		{10, row.InstantValue(1_800_000_000, 5)},
		{11, row.StringKind(row.JSON, "{\n\"a\": 1}")},
		{12, "é\x00\u2028"},
		{13, row.BoolValue(true)},
		{14, row.BytesValue(nil)},
		{15, row.DateValue(1)},
	}
	dir := t.TempDir()
	write(t, connect(t, dir), to(connector.OpUpsert, fields...), batch(fields, rows...))
	wantContent(t, strings.Join([]string{
		`{"id":1,"v":null}`, `{"id":2,"v":""}`, `{"id":3,"v":"null"}`, `{"id":4,"v":"a,\"b\"\r\nc"}`, `{"id":5,"v":"=1+1"}`, `{"id":6,"v":" x "}`,
		`{"id":7,"v":12345678901234567890.10}`, `{"id":8,"v":-9223372036854775808}`, `{"id":9,"v":"AP8="}`, `{"id":10,"v":"2027-01-15T08:00:00.000000005Z"}`,
		`{"id":11,"v":{"a":1}}`, `{"id":12,"v":"é\u0000` + "\u2028" + `"}`, `{"id":13,"v":true}`, `{"id":14,"v":""}`, `{"id":15,"v":"1970-01-02"}`, ``,
	}, "\n"), dir, "out/customers.jsonl")
	d := connect(t, dir, "format", "csv")
	write(t, d, to(connector.OpUpsert, fields...), batch(fields, rows...))
	want := "id,v\n1,\n2,\"\"\n3,null\n4,\"a,\"\"b\"\"\r\nc\"\n5,=1+1\n6,\" x \"\n7,12345678901234567890.10\n8,-9223372036854775808\n9,AP8=\n" +
		"10,2027-01-15T08:00:00.000000005Z\n11,\"{\n\"\"a\"\": 1}\"\n12,\"é\x00\u2028\"\n13,true\n14,\"\"\n15,1970-01-02\n"
	wantContent(t, want, dir, "out/customers.csv")
	// Writing the same again and changing one row leaves every other byte alone.
	write(t, d, to(connector.OpUpsert, fields...), batch(fields, rows...))
	wantContent(t, want, dir, "out/customers.csv")
	write(t, d, to(connector.OpUpsert, fields...), batch(fields, []any{4, "x"}))
	wantContent(t, strings.Replace(want, "\"a,\"\"b\"\"\r\nc\"", "x", 1), dir, "out/customers.csv")
}

func Test_what_json_cannot_carry_is_rejected_and_csv_takes_it(t *testing.T) {
	dir := t.TempDir()
	rows := batch(nil, []any{1, "a", 1.5}, []any{2, "b", math.NaN()}, []any{3, "c", math.Inf(1)})
	if got := write(t, connect(t, dir), to(connector.OpUpsert), rows); got != "delivered rejected rejected" {
		t.Error(got)
	}
	wantContent(t, `{"id":1,"name":"a","score":1.5}`+"\n", dir, "out/customers.jsonl")
	if got := write(t, connect(t, dir, "format", "csv"), to(connector.OpUpsert), rows); got != "delivered delivered delivered" {
		t.Error(got)
	}
}

func Test_absent_values_keep_what_is_there(t *testing.T) {
	for _, f := range []struct{ format, want string }{
		{"jsonl", `{"id":1,"name":"Ann","score":9}` + "\n" + `{"id":2,"score":2}` + "\n"},
		{"csv", "id,name,score\n1,Ann,9\n2,,2\n"},
	} {
		dir := t.TempDir()
		d := connect(t, dir, "format", f.format)
		write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}, []any{2, nil, 2}))
		write(t, d, to(connector.OpUpsert), batch(nil, []any{1, nil, 9}))
		wantContent(t, f.want, dir, "out/customers."+f.format)
	}
}

func Test_new_fields_widen_the_file_and_dropped_ones_stay(t *testing.T) {
	dir := t.TempDir()
	d := connect(t, dir, "format", "csv")
	write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}, []any{2, "Bob", 2}))
	write(t, d, to(connector.OpUpsert, "tier", "name"), batch([]string{"tier", "name"}, []any{2, "gold", "Bob"}, []any{3, "new", "Cat"}))
	wantContent(t, "id,name,score,tier\n1,Ann,1,\n2,Bob,2,gold\n3,Cat,,new\n", dir, "out/customers.csv")
	j := connect(t, dir)
	write(t, j, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}))
	write(t, j, to(connector.OpUpsert, "tier"), batch([]string{"tier"}, []any{1, "gold"}))
	wantContent(t, `{"id":1,"name":"Ann","score":1,"tier":"gold"}`+"\n", dir, "out/customers.jsonl")
}

func Test_records_are_found_whatever_form_their_identity_has(t *testing.T) {
	for _, format := range []string{"jsonl", "csv"} {
		dir := t.TempDir()
		d := connect(t, dir, "format", format)
		write(t, d, to(connector.OpUpsert), batch(nil, []any{value(row.DecimalValue("1.50")), "a", 1}, []any{"x\"y\né", "b", 1}, []any{"", "c", 1}, []any{null{}, "d", 1}))
		got := write(t, d, to(connector.OpUpdate), batch(nil, []any{value(row.DecimalValue("1.5")), "A", 2}, []any{"x\"y\né", "B", 2}, []any{"", "C", 2}, []any{null{}, "D", 2}))
		if got != "delivered delivered delivered delivered" {
			t.Errorf("%s: %s", format, got)
		}
	}
	dir := t.TempDir()
	d := connect(t, dir)
	write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "number", 1}, []any{"1", "text", 1}))
	write(t, d, to(connector.OpDelete), batch(nil, []any{"1", nil, nil}))
	wantContent(t, `{"id":1,"name":"number","score":1}`+"\n", dir, "out/customers.jsonl")
}

func Test_a_file_somebody_else_wrote_is_left_alone(t *testing.T) {
	for name, c := range map[string]struct{ format, text string }{
		"no json":            {"jsonl", "hello\n"},
		"a json list":        {"jsonl", "[1]\n"},
		"half a line":        {"jsonl", `{"id":1,"name":"Ann"`},
		"json and more":      {"jsonl", `{"id":1} x` + "\n"},
		"no value":           {"jsonl", `{"id":}` + "\n"},
		"too few cells":      {"csv", "id,name\n1\n"},
		"too many cells":     {"csv", "id,name\n1,2,3\n"},
		"an open quote":      {"csv", "id,name\n1,\"a\n"},
		"a quote inside":     {"csv", "id,name\n1,a\"b\"\n"},
		"no match column":    {"csv", "a,b\n1,2\n"},
		"a column twice":     {"csv", "id,id\n1,2\n"},
		"a quote in the end": {"csv", "id,name\n1,\"a\"b\n"},
	} {
		dir := t.TempDir()
		d := connect(t, dir, "format", c.format)
		file := filepath.Join(dir, "out", "customers."+c.format)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := connector.NewOutcomes(1)
		err := d.Write(t.Context(), to(connector.OpUpsert), batch(nil, []any{1, "x", 1}), out)
		if f := fault.As(err); f == nil || f.GetClass() != fault.ClassConfig || f.Landed != fault.LandedNo {
			t.Errorf("%s: %v", name, err)
		}
		wantContent(t, c.text, dir, "out", "customers."+c.format)
		wantOnly(t, dir, "out/customers."+c.format)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Records without the match field, blank lines, a missing last line end, CRLF: read, kept.
	if err := os.WriteFile(filepath.Join(dir, "out/customers.jsonl"), []byte("{\"other\": 1}\n\n{ \"id\" : 1.0 , \"name\" : \"old\" }"), 0o640); err != nil {
		t.Fatal(err)
	}
	write(t, connect(t, dir), to(connector.OpUpsert), batch(nil, []any{1, "new", 1}, []any{2, "b", 2}))
	wantContent(t, "{\"other\": 1}\n"+`{"id":1,"name":"new","score":1}`+"\n"+`{"id":2,"name":"b","score":2}`+"\n", dir, "out/customers.jsonl")
	info, err := os.Stat(filepath.Join(dir, "out/customers.jsonl"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file's rights became %v", info.Mode())
	}
	if err := os.WriteFile(filepath.Join(dir, "out/customers.csv"), []byte("\xef\xbb\xbfid,name,score\r\n1,\"x\r\ny\",1\r\n2,b,2"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, connect(t, dir, "format", "csv"), to(connector.OpUpsert), batch(nil, []any{2, "B", 2}))
	wantContent(t, "id,name,score\n1,\"x\r\ny\",1\r\n2,B,2\n", dir, "out/customers.csv")
}

func Test_records_are_read_back(t *testing.T) {
	for _, format := range []string{"jsonl", "csv"} {
		dir := t.TempDir()
		d := connect(t, dir, "format", format)
		ask := func(ids ...any) []connector.Found {
			matches := make([][]row.Value, len(ids))
			for i, id := range ids {
				matches[i] = []row.Value{value(id)}
			}
			found, err := d.ReadBack(t.Context(), connector.Object{Name: "customers"}, []string{"id"}, matches, []string{"name", "gone"})
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		if f := ask(1); f[0].Exists {
			t.Errorf("%+v", f)
		}
		write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}, []any{2, null{}, 2}))
		f := ask(2, 3, 1)
		if !f[0].Exists || f[1].Exists || !f[2].Exists || !f[0].Values[0].IsNull() || f[2].Values[0].String() != "Ann" || !f[2].Values[1].IsAbsent() {
			t.Errorf("%s: %+v", format, f)
		}
		file, err := os.OpenFile(filepath.Join(dir, "out/customers."+format), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(file, map[string]string{"jsonl": "{\"id\":1,\"name\":\"again\"}\n", "csv": "1,again,\n"}[format])
		file.Close()
		if f := ask(1); !f[0].Ambiguous {
			t.Errorf("%+v", f)
		}
	}
}

func Test_an_interrupted_commit_changes_nothing(t *testing.T) {
	dir := t.TempDir()
	d := connect(t, dir)
	write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := d.Write(ctx, to(connector.OpUpsert), batch(nil, []any{1, "Bob", 1}), connector.NewOutcomes(1))
	if f := fault.As(err); f == nil || f.Code != fault.Cancelled || f.Landed != fault.LandedNo {
		t.Errorf("%v", err)
	}
	wantContent(t, `{"id":1,"name":"Ann","score":1}`+"\n", dir, "out/customers.jsonl")
	wantOnly(t, dir, "out/customers.jsonl")
}
