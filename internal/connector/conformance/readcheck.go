package conformance

import (
	"fmt"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

func readChecks() []check {
	return []check{
		{name: "read back: answers come in the order asked", run: readsInOrder},
		{name: "read back: values come as they are", run: readsValues},
		{name: "read back: several records are ambiguous", run: readsAmbiguous},
	}
}

func (s *stand) reader() connector.Reader {
	s.Helper()
	r, ok := s.dest.(connector.Reader)
	if !ok || s.object.ReadBatch == 0 {
		s.Skip("the tool cannot be read back")
	}
	return r
}

func readsInOrder(s *stand) {
	r := s.reader()
	if found, err := r.ReadBack(s.Context(), s.object, []string{s.h.Match}, nil, nil); err != nil || len(found) != 0 {
		s.Errorf("looking for nothing: %v, %v", found, err)
	}
	n := min(s.object.ReadBatch, 300)
	field, _, _ := s.some()
	var records []Record
	for i := 0; i < n; i += 2 {
		records = append(records, s.record(i, Record{field: marked(s, field, i)}))
	}
	s.seed(records...)
	var matches [][]row.Value
	for i := n - 1; i >= 0; i-- { // backwards: not the order in which the tool keeps them
		matches = append(matches, []row.Value{s.key(i)})
	}
	found, err := r.ReadBack(s.Context(), s.object, []string{s.h.Match}, matches, []string{field})
	s.hear(err)
	if err != nil || len(found) != n {
		s.Fatalf("%d answers for %d matches, %v", len(found), n, err)
	}
	for k, f := range found {
		i := n - 1 - k
		if f.Exists != (i%2 == 0) || f.Ambiguous {
			s.Fatalf("record %d: %+v", i, f)
		}
		if f.Exists && (len(f.Values) != 1 || !Same(marked(s, field, i), f.Values[0])) {
			s.Fatalf("record %d: got %v; want %s", i, f.Values, show(marked(s, field, i)))
		}
	}
}

// marked is a value that tells records apart, where the field's kind has so many.
func marked(s *stand, field string, i int) row.Value {
	switch field {
	case s.h.Fields[row.Text]:
		return row.TextValue(fmt.Sprintf("value %d", i))
	case s.h.Fields[row.Int]:
		return row.IntValue(int64(i))
	case s.h.Fields[row.Decimal]:
		return row.DecimalValue(fmt.Sprintf("%d.5", i))
	}
	_, a, _ := s.some()
	return a
}

func readsValues(s *stand) {
	r := s.reader()
	var fields []string
	record := Record{}
	for _, k := range kinds {
		name, ok := s.h.Fields[k]
		if v := samples(k)[0]; ok && (s.h.Filter == nil || s.h.Filter(v)) {
			fields, record[name] = append(fields, name), v
		}
	}
	s.seed(s.record(0, record), s.record(1, nil))
	found, err := r.ReadBack(s.Context(), s.object, []string{s.h.Match}, [][]row.Value{{s.key(1)}, {s.key(0)}}, fields)
	if err != nil || len(found) != 2 || !found[0].Exists || !found[1].Exists || len(found[0].Values) != len(fields) || len(found[1].Values) != len(fields) {
		s.Fatalf("got %+v, %v", found, err)
	}
	stored := map[string]Record{}
	for _, got := range s.world.Records() {
		stored[got[s.h.Match].String()] = got
	}
	for i, name := range fields {
		for k, answer := range []connector.Found{found[0], found[1]} {
			have, got := stored[s.key(1-k).String()][name], answer.Values[i]
			plain := s.object.FreeField && have.String() == got.String() // without a schema a date is a text
			if !Same(have, got) && !plain {
				s.Errorf("field %s: read back as %s; the tool holds %s", name, show(got), show(have))
			}
		}
	}
	if len(s.object.NeedsRemoteID) > 0 && found[1].RemoteID == "" {
		s.Error("the object needs the tool's ids, and reading back gives none")
	}
}

func readsAmbiguous(s *stand) {
	r := s.reader()
	if !s.h.AnyBy {
		s.Skip("records are found by unique fields only")
	}
	field, a, b := s.some()
	s.seed(s.record(0, Record{field: a}), s.record(1, Record{field: a}), s.record(2, Record{field: b}))
	found, err := r.ReadBack(s.Context(), s.object, []string{field}, [][]row.Value{{b}, {a}}, []string{s.h.Match})
	if err != nil || len(found) != 2 {
		s.Fatalf("got %+v, %v", found, err)
	}
	if f := found[0]; !f.Exists || f.Ambiguous || len(f.Values) != 1 || !Same(s.key(2), f.Values[0]) {
		s.Errorf("one record matches, and the answer is %+v", f)
	}
	if f := found[1]; !f.Ambiguous || f.RemoteID != "" || len(f.Values) != 0 {
		s.Errorf("two records match, and the answer is %+v; want ambiguous and nothing else", f)
	}
}
