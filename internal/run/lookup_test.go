package run_test

import (
	"slices"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

// A record that is found and has no id would make the reference an empty text; an id is what the field holds, or the run stops.
func Test_a_lookup_writes_an_id_as_the_field_holds_it_or_nothing(t *testing.T) {
	bare := func(key string) string { return key }
	for name, c := range map[string]struct {
		kind  row.Kind
		named func(string) string
		code  fault.Code
		want  string
	}{
		"a text":                 {row.Text, nil, "", "upsert 2 Score=2 First=id-1"},
		"a number":               {row.Int, bare, "", "upsert 2 Score=2 First=1"},
		"no number":              {row.Int, nil, fault.DestFieldType, ""},
		"a tool that names none": {row.Text, func(string) string { return "" }, fault.DestConfig, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, referring)
			first := slices.IndexFunc(w.crm.object.Fields, func(f connector.Field) bool { return f.Name == "First" })
			w.crm.object.Fields[first].Kind, w.crm.named = c.kind, c.named
			w.crm.records["1"] = map[string]string{}
			w.wh.set(2, "b", "1", 2)
			w.wh.set(3, "c", "1", 3) // found in the cache
			rec := w.run(run.RunOptions{})
			if c.code != "" {
				if rec.Status != run.Failed || rec.Error.Code != c.code {
					t.Errorf("%s %v", rec.Status, rec.Error)
				}
				w.wantWrites()
				return
			}
			if rec.Status != run.Succeeded {
				t.Fatalf("%s %v", rec.Status, rec.Error)
			}
			if got := w.crm.took(); len(got) != 2 || got[0] != c.want {
				t.Errorf("wrote %v", got)
			}
		})
	}
}

// unread hides that a destination can be read.
type unread struct{ connector.Destination }

func Test_a_lookup_in_a_tool_that_cannot_be_read_is_refused_before_anything_is_read(t *testing.T) {
	w := newWorld(t, referring)
	w.wh.set(2, "b", "1", 2)
	w.hides = true
	rec := w.run(run.RunOptions{})
	if rec.Status != run.Failed || rec.Error.Code != fault.ProjectValue || rec.Error.Where.Line == 0 {
		t.Errorf("%s %v", rec.Status, rec.Error)
	}
	w.wantWrites()
}

func Test_check_compares_lookups_with_the_objects_they_look_in(t *testing.T) {
	for by, code := range map[string]fault.Code{"Id": "", "Idd": fault.DestFieldMissing} {
		w := newWorld(t, referring)
		w.redirect("by: {Id: tier}", "by: {"+by+": tier}")
		w.engine(func(e *run.Engine, s *projectSync) {
			_, err := e.CheckSync(t.Context(), s)
			if code == "" && err != nil || code != "" && !fault.Is(err, code) {
				t.Errorf("%s: %v", by, err)
			}
		})
	}
}
