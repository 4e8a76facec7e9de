package file_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/file"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_the_destination_keeps_the_contract(t *testing.T) {
	t.Run("a snapshot in JSON lines", func(t *testing.T) { conformance.Destination(t, harness("snapshot", "jsonl", jsonLines)) })
	t.Run("a snapshot in CSV", func(t *testing.T) { conformance.Destination(t, harness("snapshot", "csv", csvLines)) })
	t.Run("a log of changes in JSON lines", func(t *testing.T) {
		h := harness("changes", "jsonl", logLines)
		for _, name := range []string{
			"writes: update changes and never creates", "writes: insert never changes what is there", "writes: insert can skip what is there",
		} {
			h.Except[name] = "a log does not know which records there are"
		}
		conformance.Destination(t, h)
	})
}

var kinds = map[string]row.Kind{"id": row.Text}

func init() {
	for _, k := range []row.Kind{
		row.Bool, row.Int, row.Uint, row.Float, row.Decimal, row.Text, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant, row.Interval, row.UUID, row.JSON, row.Array,
	} {
		kinds["f_"+k.String()] = k
	}
}

func harness(form, format string, read func(*testing.T, []byte) []conformance.Record) conformance.Harness {
	fields := map[row.Kind]string{}
	for name, k := range kinds {
		if name != "id" {
			fields[k] = name
		}
	}
	return conformance.Harness{
		Connector: file.Connector(), Object: "things", Match: "id", Fields: fields,
		Except: map[string]string{"limits: every request passes the gate": "a file is written without requests"},
		New: func(t testing.TB) conformance.World {
			dir := t.TempDir()
			return conformance.World{
				Dir: dir, Settings: map[string]string{"path": "out", "form": form, "format": format},
				Records: func() []conformance.Record {
					b, err := os.ReadFile(filepath.Join(dir, "out", "things."+format))
					if errors.Is(err, fs.ErrNotExist) {
						return nil
					}
					if err != nil {
						t.Fatal(err)
					}
					return read(t.(*testing.T), b)
				},
			}
		},
	}
}

func jsonLine(t *testing.T, line []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
}

func typed(raw map[string]any) conformance.Record {
	r := conformance.Record{}
	for name, v := range raw {
		r[name] = conformance.Value(kinds[name], v)
	}
	return r
}

func jsonLines(t *testing.T, b []byte) (out []conformance.Record) {
	for line := range bytes.Lines(b) {
		var raw map[string]any
		jsonLine(t, line, &raw)
		out = append(out, typed(raw))
	}
	return out
}

// logLines folds a log into the records it leaves behind, as its readers do.
func logLines(t *testing.T, b []byte) (out []conformance.Record) {
	byKey := map[string]conformance.Record{}
	var order []string
	for line := range bytes.Lines(b) {
		var change struct {
			Op          string
			Key, Fields map[string]any
		}
		jsonLine(t, line, &change)
		key := typed(change.Key)["id"].String()
		if change.Op == "delete" {
			delete(byKey, key)
			continue
		}
		if byKey[key] == nil {
			byKey[key] = typed(change.Key)
			order = append(order, key)
		}
		maps.Copy(byKey[key], typed(change.Fields))
	}
	for _, key := range order {
		if r, ok := byKey[key]; ok {
			out = append(out, r)
			delete(byKey, key)
		}
	}
	return out
}

// csvLines reads CSV as RFC 4180 says; encoding/csv would turn carriage returns inside quotes away.
func csvLines(_ *testing.T, b []byte) (out []conformance.Record) {
	var rows [][]string
	var cells []string
	var cell strings.Builder
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"' && quoted && i+1 < len(b) && b[i+1] == '"':
			cell.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case (c == ',' || c == '\n') && !quoted:
			cells = append(cells, cell.String())
			cell.Reset()
			if c == '\n' {
				rows, cells = append(rows, cells), nil
			}
		default:
			cell.WriteByte(c)
		}
	}
	for n := 1; n < len(rows); n++ {
		r := conformance.Record{}
		for i, name := range rows[0] {
			if s := rows[n][i]; s != "" {
				switch k := kinds[name]; {
				case k == row.Bool, s == "NaN", strings.HasSuffix(s, "Inf"):
					r[name] = conformance.Text(k, s)
				case k.Numeric():
					r[name] = conformance.Value(k, json.Number(s))
				default:
					r[name] = conformance.Value(k, s)
				}
			}
		}
		out = append(out, r)
	}
	return out
}
