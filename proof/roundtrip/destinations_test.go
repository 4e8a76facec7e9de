package roundtrip_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/connectors/webhook/webhooktest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

// cell is what a field holds; nil is null.
type cell = *string

// destination is a place records are written to.
type destination struct {
	name     string
	settings string // of the connection, in flow style
	object   string
	match    string            // the field that holds the id
	fields   map[string]string // field by column where they are not the same
	mapped   map[string]string // what stands in the project for a column, where it is not the column alone
	refuses  map[string]fault.Code
	more     string // further settings of the sync
	// held reads everything there is with a client of its own: records by id, cells by column.
	held func(t *testing.T) map[string]map[string]cell
	// makes is what the destination is documented to make of a value it cannot hold to the last digit; nil = nothing.
	makes func(column, text string) string
	// empty says that the destination holds an example as null, because it has no other form for it.
	empty  func(e string) bool
	writes func() int // requests seen that wrote something; nil = not known
	only   string     // the one source to try it from; "" = all
	clear  func(t *testing.T)
}

func (d *destination) field(column string) string {
	if f, ok := d.fields[column]; ok {
		return f
	}
	return column
}

// jsonNull: JSON has one null, so a JSON null in a column is the column's null.
func jsonNull(id string) bool { return id == "json:null" }

func webhookDestination(t *testing.T) *destination {
	s, err := webhooktest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.SetOpen(true)
	return &destination{
		name: "webhook", settings: fmt.Sprintf("type: webhook, url: %q, allow_private: true", s.URL()), object: "records", match: "id", empty: jsonNull,
		writes: func() int { return s.Stats().Applied }, clear: func(*testing.T) { s.Reset(); s.SetOpen(true) },
		held: func(t *testing.T) map[string]map[string]cell {
			out := map[string]map[string]cell{}
			for _, r := range s.Records("records") {
				out[r.Key["id"].(string)] = cellsOf(t, r.Fields)
			}
			return out
		},
	}
}

// cellsOf reads a record of decoded JSON with json.Number.
func cellsOf(t *testing.T, fields map[string]any) map[string]cell {
	t.Helper()
	out := map[string]cell{}
	for name, v := range fields {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		c, err := unpacked(name, bytes.TrimSpace(b.Bytes()))
		if err != nil {
			t.Errorf("field %s: %v", name, err)
		}
		out[name] = c
	}
	return out
}

func jsonlDestination(t *testing.T) *destination {
	path := filepath.Join(t.TempDir(), "records.jsonl")
	return &destination{
		name: "jsonl", settings: fmt.Sprintf("type: file, path: %q, format: jsonl", path), object: "records", match: "id", empty: jsonNull,
		clear: func(t *testing.T) { remove(t, path) },
		held: func(t *testing.T) map[string]map[string]cell {
			out := map[string]map[string]cell{}
			for line := range bytes.Lines(read(t, path)) {
				var record map[string]json.RawMessage
				if err := json.Unmarshal(line, &record); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				cells, id := map[string]cell{}, ""
				for name, raw := range record {
					c, err := unpacked(name, raw)
					if err != nil {
						t.Errorf("field %s: %v", name, err)
					}
					if name == "id" {
						id = *c
						continue
					}
					cells[name] = c
				}
				out[id] = cells
			}
			return out
		},
	}
}

func csvDestination(t *testing.T) *destination {
	path := filepath.Join(t.TempDir(), "records.csv")
	return &destination{
		name: "csv", settings: fmt.Sprintf("type: file, path: %q, format: csv", path), object: "records", match: "id",
		clear: func(t *testing.T) { remove(t, path) },
		held: func(t *testing.T) map[string]map[string]cell {
			records, err := parseCSV(read(t, path))
			if err != nil {
				t.Fatal(err)
			}
			out := map[string]map[string]cell{}
			for _, r := range records[1:] {
				cells := map[string]cell{}
				for i, c := range r {
					name := *records[0][i]
					if c != nil && name == "bytes" {
						raw, err := json.Marshal(*c) // base64, as in JSON
						if err != nil {
							t.Fatal(err)
						}
						if c, err = unpacked(name, raw); err != nil {
							t.Error(err)
						}
					}
					cells[name] = c
				}
				delete(cells, "id")
				out[*r[0]] = cells
			}
			return out
		},
	}
}

// parseCSV reads RFC 4180 with line feeds, and tells an empty cell (nil) from an empty text in quotes.
func parseCSV(b []byte) (records [][]cell, err error) {
	var record []cell
	for len(b) > 0 {
		var c cell
		if b[0] == '"' {
			var text strings.Builder
			for b = b[1:]; ; {
				i := bytes.IndexByte(b, '"')
				if i < 0 {
					return nil, fmt.Errorf("record %d: a quote does not end", len(records)+1)
				}
				text.Write(b[:i])
				b = b[i+1:]
				if len(b) == 0 || b[0] != '"' {
					break
				}
				text.WriteByte('"')
				b = b[1:]
			}
			s := text.String()
			c = &s
		} else if i := bytes.IndexAny(b, ",\n"); i > 0 {
			s := string(b[:i])
			if strings.ContainsAny(s, "\"\r") {
				return nil, fmt.Errorf("record %d: %q must stand in quotes", len(records)+1, s)
			}
			c, b = &s, b[i:]
		}
		if len(b) == 0 || b[0] != ',' && b[0] != '\n' {
			return nil, fmt.Errorf("record %d: a cell does not end", len(records)+1)
		}
		record = append(record, c)
		if b[0] == '\n' {
			if len(records) > 0 && len(record) != len(records[0]) {
				return nil, fmt.Errorf("record %d has %d cells", len(records)+1, len(record))
			}
			records, record = append(records, record), nil
		}
		b = b[1:]
	}
	return records, nil
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tableDestination is a database table with a column of the matching type for each kind.
func tableDestination(t *testing.T, d dialect, db *sql.DB, settings string) *destination {
	db.SetMaxOpenConns(1)
	execute(t, db, append(d.setup, d.table("records"))...)
	return &destination{
		name: d.name, settings: settings, object: "records", match: "id", makes: d.makes,
		clear: func(t *testing.T) { execute(t, db, "DELETE FROM records") },
		held: func(t *testing.T) map[string]map[string]cell {
			out := map[string]map[string]cell{}
			for id, cells := range ownTexts(t, db, d.reading("records")) {
				out[id] = map[string]cell{}
				for _, name := range columns {
					out[id][name] = nil
					if v, ok := cells[name]; ok {
						out[id][name] = &v
					}
				}
			}
			return out
		},
	}
}

func postgresDestination(t *testing.T) *destination {
	dsn := inBerlin(t)
	return tableDestination(t, postgresDialect, connect(t, "pgx", dsn), fmt.Sprintf("type: postgres, dsn: %q", dsn))
}

// In MariaDB json is longtext with a check, so lists and documents arrive as text. A timestamp must be told to be nullable.
func mysqlDestination(t *testing.T) *destination {
	dsn := testdb.MySQL(t)
	return tableDestination(t, mysqlDialect, connect(t, "mysql", dsn), fmt.Sprintf("type: mysql, dsn: %q", dsn))
}

// bulkDestination is the same org written by Bulk API 2.0, whose CSV is another encoding. A job takes seconds, and does not know where
// a value came from: one source will do.
func bulkDestination(t *testing.T) *destination {
	d := salesforceDestination(t)
	d.name, d.only = "salesforcebulk", "duckdb"
	d.settings += ", bulk: {above: 1}"
	return d
}

// salesforceDestination is the stand-in of an org with an object that has a field for each kind. Salesforce has no field for
// bytes and none for a time without zone; numbers have 18 digits.
func salesforceDestination(t *testing.T) *destination {
	long := func(name string) salesforcetest.Field {
		f := salesforcetest.Typed(name, "textarea")
		f.Length = 131_072
		return f
	}
	s, err := salesforcetest.Start("", salesforcetest.WithObject(salesforcetest.Object{Name: "Value__c", Label: "Value", Fields: []salesforcetest.Field{
		salesforcetest.ExternalID("Id__c", 255, true), salesforcetest.Typed("Bool__c", "boolean"), salesforcetest.Number("Int__c", 18, 0),
		salesforcetest.Number("Uint__c", 18, 0), salesforcetest.Number("Float__c", 18, 17), salesforcetest.Number("Decimal__c", 18, 9), long("Text__c"),
		salesforcetest.Typed("Date__c", "date"), salesforcetest.Typed("Time__c", "time"), salesforcetest.Typed("Instant__c", "datetime"),
		salesforcetest.Text("Interval__c", 255), salesforcetest.Text("Uuid__c", 36), long("Json__c"), long("Ints__c"), long("Texts__c"), long("Bytes__c"),
		salesforcetest.Typed("Timestamp__c", "datetime"),
	}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	fields := map[string]string{}
	for _, name := range columns {
		fields[name] = strings.ToUpper(name[:1]) + name[1:] + "__c"
	}
	return &destination{
		name: "salesforce", object: "Value__c", match: "Id__c", fields: fields, mapped: map[string]string{"bool": "{column: bool, null: skip}"},
		settings: fmt.Sprintf("type: salesforce, instance_url: %q, client_id: %q, client_secret: %q, allow_private: true", s.URL(), salesforcetest.ClientID, salesforcetest.ClientSecret),
		refuses:  map[string]fault.Code{"bytes": fault.DestFieldType, "timestamp": fault.DestFieldType},
		empty:    func(id string) bool { return id == "text:empty" },
		writes:   func() int { return s.Stats().Rows["Value__c"] },
		makes: func(column, text string) string { // milliseconds
			whole, digits, ok := strings.Cut(text, ".")
			zone := strings.TrimLeft(digits, "0123456789")
			digits = strings.TrimRight(strings.TrimSuffix(digits, zone), "0")
			if column != "instant" && column != "time" || !ok || len(digits) <= 3 {
				return text
			}
			return whole + "." + digits[:3] + zone
		},
		held: func(t *testing.T) map[string]map[string]cell {
			out := map[string]map[string]cell{}
			for _, r := range s.Records("Value__c") {
				cells := map[string]cell{}
				for _, name := range columns {
					if v := r[fields[name]]; v != nil {
						text := fmt.Sprint(v)
						cells[name] = &text
					} else {
						cells[name] = nil
					}
				}
				out[fmt.Sprint(r["Id__c"])] = cells
			}
			return out
		},
	}
}
