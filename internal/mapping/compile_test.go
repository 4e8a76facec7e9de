package mapping

import (
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_a_mapping_that_cannot_work_is_refused_at_its_place_with_a_remedy(t *testing.T) {
	at := fault.Where{File: "upwell.yml", Line: 30, Column: 7}
	matchAt := fault.Where{File: "upwell.yml", Line: 20, Column: 7}
	md := model{append(columns("id", row.Int, "score", row.Float, "ts", row.Timestamp, "raw", row.Bytes, "name", row.Text, "twice", row.Int, "twice", row.Int, "MIXED", row.Int),
		arrow.Field{Name: "nested", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)}), nil}
	dest := func() []connector.Field {
		readOnly := connector.Field{Name: "ReadOnly", Kind: row.Float}
		once := connector.Field{Name: "Once", Kind: row.Float, Creatable: true}
		ref := writable("Owner", row.Text)
		ref.Refers = []string{"User", "Group"}
		pick := writable("Pick", row.Text)
		pick.Choices, pick.Restricted = []string{"healthy", "watch"}, true
		return []connector.Field{writable("Score", row.Float), writable("At", row.Instant), writable("Note", row.Text), readOnly, once, ref, pick, matchField("Ext", row.Text)}
	}
	column := func(f, c string) project.Field { return project.Field{Field: f, Column: c, Where: at} }
	for _, c := range []struct {
		name   string
		change func(*Spec)
		code   fault.Code
		where  fault.Where
		fix    string // part of the remedy
	}{
		{"a missing column", func(s *Spec) { s.Sync.Fields = []project.Field{column("Score", "scor")} }, fault.SourceColumnMissing, at, "`score`"},
		{"a column in other case", func(s *Spec) { s.Sync.Fields = []project.Field{column("Score", "mixed")} }, fault.SourceColumnMissing, at, "`MIXED`"},
		{"a column the model has twice", func(s *Spec) { s.Sync.Fields = []project.Field{column("Score", "twice")} }, fault.SourceColumnMissing, at, "AS"},
		{"a column that cannot be carried", func(s *Spec) { s.Sync.Fields = []project.Field{column("Note", "nested")} }, fault.SourceTypeUnsupported, at, "cast"},
		{"an unknown field", func(s *Spec) { s.Sync.Fields = []project.Field{column("Scoer", "score")} }, fault.DestFieldMissing, at, "`Score`"},
		{"a field nobody may write", func(s *Spec) { s.Sync.Fields = []project.Field{column("ReadOnly", "score")} }, fault.DestFieldReadOnly, at, ""},
		{"a field written only on creation", func(s *Spec) { s.Sync.Fields = []project.Field{column("Once", "score")} }, fault.DestFieldReadOnly, at, "write: create"},
		{"a time without zone", func(s *Spec) { s.Sync.Fields = []project.Field{column("At", "ts")} }, fault.DestFieldType, at, "ts AT TIME ZONE 'UTC'"},
		{"text for a number", func(s *Spec) { s.Sync.Fields = []project.Field{column("Score", "name")} }, fault.DestFieldType, at, "CAST(name AS double precision)"},
		{"bytes for text", func(s *Spec) { s.Sync.Fields = []project.Field{column("Note", "raw")} }, fault.DestFieldType, at, "encode"},
		{"a match field that does not exist", func(s *Spec) { s.Sync.Match[0].Field = "Exd" }, fault.DestFieldMissing, matchAt, "`Ext`"},
		{"a match field that identifies nothing", func(s *Spec) { s.Sync.Match[0].Field = "Note" }, fault.DestKeyUnusable, matchAt, "Ext, Id"},
		{"a match that is no key of the object", func(s *Spec) { s.Object.Keys = [][]string{{"Ext"}, {"Id", "Ext"}} }, fault.DestKeyUnusable, matchAt, "Ext, Id+Ext"},
		{"a match column that is missing", func(s *Spec) { s.Sync.Match[0].Column = "idd" }, fault.SourceColumnMissing, matchAt, "`id`"},
		{"a key column that is missing", func(s *Spec) { s.Key = []string{"naem"} }, fault.SourceColumnMissing, fault.Where{File: "upwell.yml", Line: 7}, "`name`"},
		{"a field mapped as match and as field", func(s *Spec) { s.Sync.Fields = []project.Field{column("Id", "score")} }, fault.ProjectDuplicate, at, "remove"},
		{"an expression with a mistake", func(s *Spec) { s.Sync.Fields = []project.Field{{Field: "Note", CEL: `row.name +`, Where: at}} }, fault.ProjectExpression, at, ""},
		{"an expression over an unknown column", func(s *Spec) {
			s.Sync.Fields = []project.Field{{Field: "Note", CEL: `row.scor > 1.0 ? "a" : "b"`, Where: at}}
		}, fault.SourceColumnMissing, at, "`score`"},
		{"an expression over the whole row", func(s *Spec) { s.Sync.Fields = []project.Field{{Field: "Note", CEL: `string(size(row))`, Where: at}} }, fault.ProjectExpression, at, ""},
		{"an expression over a computed column", func(s *Spec) { s.Sync.Fields = []project.Field{{Field: "Note", CEL: `row[row.name]`, Where: at}} }, fault.ProjectExpression, at, ""},
		{"an expression of another type", func(s *Spec) { s.Sync.Fields = []project.Field{{Field: "Score", CEL: `row.score > 1.0`, Where: at}} }, fault.DestFieldType, at, "double("},
		{"a constant that is no choice", func(s *Spec) {
			v := row.TextValue("helthy")
			s.Sync.Fields = []project.Field{{Field: "Pick", Value: &v, Where: at}}
		}, fault.DestFieldType, at, "`healthy`"},
		{"a lookup of another object", func(s *Spec) {
			s.Sync.Fields = []project.Field{{Field: "Owner", Lookup: &project.Lookup{Object: "Usr", By: []project.MatchField{{Field: "No", Column: "id"}}}, Where: at}}
		}, fault.ProjectReference, at, "`User`"},
		{"a lookup over a missing column", func(s *Spec) {
			s.Sync.Fields = []project.Field{{Field: "Owner", Lookup: &project.Lookup{Object: "User", By: []project.MatchField{{Field: "No", Column: "idd"}}}, Where: at}}
		}, fault.SourceColumnMissing, at, "`id`"},
		{"a required field left out", func(s *Spec) { s.Object.Fields[1].Required = true }, fault.ProjectMissing, fault.Where{File: "upwell.yml", Line: 7}, "Score"},
		{"a declared type that cannot be", func(s *Spec) {
			s.Columns = map[string]project.Column{"score": {Kind: row.Date}}
			s.Sync.Fields = []project.Field{column("Note", "score")}
		}, fault.SourceTypeUnsupported, at, "declared type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := spec(md, nil, dest()...)
			s.Sync.Match[0].Where = matchAt
			c.change(&s)
			m, faults := Compile(s)
			if len(faults) != 1 || m != nil {
				t.Fatalf("got %v, want one fault", faults)
			}
			if f := faults[0]; f.Code != c.code || f.Where == nil || *f.Where != c.where || !strings.Contains(f.GetFix(), c.fix) {
				t.Fatalf("got %v with fix %q; want %s at %s with %q", f, f.GetFix(), c.code, c.where, c.fix)
			}
		})
	}
}

func Test_what_a_mode_does_not_need_is_not_asked_for(t *testing.T) {
	md := model{columns("id", row.Int, "score", row.Float), nil}
	required := writable("Need", row.Text)
	required.Required = true
	once := connector.Field{Name: "Once", Kind: row.Float, Creatable: true}
	later := connector.Field{Name: "Later", Kind: row.Float, Updatable: true}
	field := func(f string, createOnly bool) []project.Field {
		return []project.Field{{Field: f, Column: "score", CreateOnly: createOnly}}
	}
	for _, c := range []struct {
		name   string
		mode   connector.Mode
		fields []project.Field
		dest   connector.Field
		match  bool
		ok     bool
	}{
		{"update needs no required field", connector.ModeUpdate, nil, required, true, true},
		{"upsert does", connector.ModeUpsert, nil, required, true, false},
		{"mirror does", connector.ModeMirror, nil, required, true, false},
		{"insert may write what cannot change", connector.ModeInsert, field("Once", false), once, true, true},
		{"upsert may with write: create", connector.ModeUpsert, field("Once", true), once, true, true},
		{"update may write what cannot be created", connector.ModeUpdate, field("Later", false), later, true, true},
		{"upsert may not", connector.ModeUpsert, field("Later", false), later, true, false},
		{"insert needs no unique match", connector.ModeInsert, nil, once, false, true},
		{"append needs none", connector.ModeAppend, nil, once, false, true},
		{"update does", connector.ModeUpdate, nil, once, false, false},
	} {
		s := spec(md, c.fields, c.dest)
		s.Sync.Mode = c.mode
		s.Object.Fields[0].Match = c.match
		if _, faults := Compile(s); (len(faults) == 0) != c.ok {
			t.Errorf("%s: got %v", c.name, faults)
		}
	}
}

func Test_a_free_object_takes_any_field(t *testing.T) {
	md := model{columns("id", row.Int, "raw", row.Bytes), [][]row.Value{{row.IntValue(1), row.BytesValue([]byte{1})}}}
	s := spec(md, []project.Field{{Field: "anything", Column: "raw"}})
	s.Object = connector.Object{Name: "hook"}
	s.Dest.FreeObject = true
	if rec := run(t, compile(t, s), md.batch(t))[0]; rec.Invalid != nil || rec.Values[0].Kind() != row.Bytes {
		t.Fatalf("got %+v", rec)
	}
}

func Test_a_mapping_tells_what_it_writes(t *testing.T) {
	md := model{columns("id", row.Int, "a", row.Int, "b", row.Decimal, "c", row.Text), nil}
	v := row.IntValue(1)
	look := &project.Lookup{Object: "User", By: []project.MatchField{{Field: "No", Column: "c"}}}
	m := compile(t, spec(md, []project.Field{
		{Field: "B", Column: "b", CreateOnly: true}, {Field: "A", Column: "a", Null: project.NullSkip}, {Field: "V", Value: &v}, {Field: "L", Lookup: look}, {Field: "E", CEL: "row.a > 1"}, {Field: "D", CEL: "row.b"}, {Field: "Id", Column: "id"},
	}, writable("A", row.Text), writable("B", row.Absent), writable("V", row.Absent), writable("L", row.Absent), writable("E", row.Absent), writable("D", row.Absent)))
	if want := []string{"B", "A", "V", "L", "E", "D"}; !slices.Equal(m.Fields(), want) {
		t.Errorf("fields %v, want %v", m.Fields(), want)
	}
	if want := []row.Kind{row.Decimal, row.Text, row.Int, row.Text, row.Bool, row.Absent}; !slices.Equal(m.Kinds(), want) {
		t.Errorf("kinds %v, want %v", m.Kinds(), want)
	}
	if want := []string{"id", "b", "a", "c"}; !slices.Equal(m.Columns(), want) {
		t.Errorf("columns %v, want %v", m.Columns(), want)
	}
	if !m.CreateOnly(0) || m.CreateOnly(1) || m.NullPolicy(1) != project.NullSkip || m.Lookup(3) != look || m.Lookup(0) != nil {
		t.Error("field properties")
	}
	if !slices.Equal(m.MatchFields(), []string{"Id"}) || !slices.Equal(m.MatchKinds(), []row.Kind{row.Int}) {
		t.Errorf("match %v %v", m.MatchFields(), m.MatchKinds())
	}
}
