package mapping

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// model is rows of a model under test: columns with their kinds, then values.
type model struct {
	fields []arrow.Field
	rows   [][]row.Value
}

func columns(pairs ...any) []arrow.Field {
	var out []arrow.Field
	for i := 0; i < len(pairs); i += 2 {
		switch t := pairs[i+1].(type) {
		case row.Kind:
			out = append(out, row.FieldOf(pairs[i].(string), t))
		case arrow.DataType:
			out = append(out, arrow.Field{Name: pairs[i].(string), Type: t, Nullable: true})
		}
	}
	return out
}

func (m model) schema() *arrow.Schema { return arrow.NewSchema(m.fields, nil) }

func (m model) batch(t testing.TB) arrow.RecordBatch {
	t.Helper()
	b := row.NewBuilder(m.schema())
	for _, r := range m.rows {
		if err := b.Append(r...); err != nil {
			t.Fatal(err)
		}
	}
	return b.Batch()
}

// writable makes a field that may be created, updated and null.
func writable(name string, k row.Kind) connector.Field {
	return connector.Field{Name: name, Kind: k, Creatable: true, Updatable: true, Nullable: true}
}

func matchField(name string, k row.Kind) connector.Field {
	f := writable(name, k)
	f.Match = true
	return f
}

// spec maps id to Id, and each of fields.
func spec(m model, fields []project.Field, dest ...connector.Field) Spec {
	object := connector.Object{Name: "Account", Kind: connector.KindRecord, Fields: append([]connector.Field{matchField("Id", row.Absent)}, dest...)}
	return Spec{
		Key:    []string{"id"},
		Sync:   &project.Sync{Name: "s", Mode: connector.ModeUpsert, Match: []project.MatchField{{Field: "Id", Column: "id"}}, Fields: fields, Where: fault.Where{File: "upwell.yml", Line: 7}},
		Schema: m.schema(), Object: object, Seed: 42,
	}
}

func compile(t testing.TB, s Spec) *Mapping {
	t.Helper()
	m, faults := Compile(s)
	if len(faults) > 0 {
		t.Fatalf("compiling: %v", faults)
	}
	return m
}

// copyOf keeps a record beyond the next call.
func copyOf(rec *ledger.Record) ledger.Record {
	keep := func(vals []row.Value) []row.Value {
		out, _, err := row.ReadValues(row.AppendValues(nil, vals), len(vals), nil)
		if err != nil {
			panic(err)
		}
		return out
	}
	out := *rec
	out.Key, out.MatchID = append([]byte(nil), rec.Key...), append([]byte(nil), rec.MatchID...)
	out.Match, out.Values = keep(rec.Match), keep(rec.Values)
	if rec.Invalid != nil {
		inv := *rec.Invalid
		out.Invalid = &inv
	}
	return out
}

// run maps every row and checks what must hold for all: Hash and Materialise agree, bad rows are invalid, invalid rows have
// fingerprint 0.
func run(t testing.TB, m *Mapping, batch arrow.RecordBatch) []ledger.Record {
	t.Helper()
	var prints Prints
	if err := m.Hash(batch, &prints); err != nil {
		t.Fatal(err)
	}
	var rec ledger.Record
	var out []ledger.Record
	for i := range int(batch.NumRows()) {
		m.Materialise(batch, i, &rec)
		switch {
		case rec.Invalid == nil && (rec.Fingerprint != prints.Print[i] || rec.Hash != prints.Hash[i] || rec.Fingerprint == 0 || prints.NullKey[i]):
			t.Fatalf("row %d: hashed %x/%x null key %v, materialised %x/%x", i, prints.Hash[i], prints.Print[i], prints.NullKey[i], rec.Hash, rec.Fingerprint)
		case rec.Invalid != nil && rec.Fingerprint != 0:
			t.Fatalf("row %d is invalid (%s) and has a fingerprint", i, rec.Invalid.Code)
		case rec.Invalid == nil && prints.Bad[i]:
			t.Fatalf("row %d was hashed as bad and is valid", i)
		case prints.Bad[i] && !prints.NullKey[i] && prints.Print[i] != 0:
			t.Fatalf("row %d is bad and has a fingerprint", i)
		case rec.Invalid != nil && prints.NullKey[i] != (rec.Invalid.Code == fault.KeyNull):
			t.Fatalf("row %d: null key %v, invalid %s", i, prints.NullKey[i], rec.Invalid.Code)
		case rec.Invalid != nil && rec.Invalid.Code != fault.KeyNull && rec.Hash != prints.Hash[i]:
			t.Fatalf("row %d is invalid and lost its key", i)
		}
		out = append(out, copyOf(&rec))
	}
	return out
}

// one maps a single value of kind from to a field of kind to.
func one(t testing.TB, v row.Value, from row.Kind, dest connector.Field) (row.Value, *ledger.Invalid, fault.List) {
	t.Helper()
	md := model{columns("id", row.Int, "v", from), [][]row.Value{{row.IntValue(1), v}}}
	m, faults := Compile(spec(md, []project.Field{{Field: dest.Name, Column: "v"}}, dest))
	if len(faults) > 0 {
		return row.Value{}, nil, faults
	}
	rec := run(t, m, md.batch(t))[0]
	if rec.Invalid != nil {
		return row.Value{}, rec.Invalid, nil
	}
	return rec.Values[0], nil, nil
}
