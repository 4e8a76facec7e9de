package conformance

import (
	"maps"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func writeChecks() []check {
	return []check{
		{name: "writes: records are created", run: creates},
		{name: "writes: upsert changes the record that is there", run: upserts},
		{name: "writes: the same batch twice leaves the same state", run: twice},
		{name: "writes: null clears", run: nullClears},
		{name: "writes: an absent field is left alone", run: absentLeaves},
		{name: "writes: rows of one batch may hold different fields", run: mixedFields},
		{name: "writes: update changes and never creates", run: updates},
		{name: "writes: insert never changes what is there", run: inserts},
		{name: "writes: insert can skip what is there", run: insertSkips},
		{name: "writes: append adds every event", run: appends},
	}
}

func creates(s *stand) {
	field, a, b := s.some()
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpInsert, connector.OpAppend} {
		if !s.offers(op) {
			continue
		}
		before := len(s.world.Records())
		records := []Record{s.record(before, Record{field: a}), s.record(before+1, Record{field: b}), s.record(before+2, Record{field: a})}
		for i, r := range s.write(op, records...) {
			if r.Created == connector.No {
				s.Errorf("%s, row %d: the record was new, and %+v says it was not", op, i, r)
			}
		}
		all := []Record{}
		for i := range before {
			all = append(all, Record{s.h.Match: s.key(i)})
		}
		s.holds(append(all, records...)...)
	}
}

func upserts(s *stand) {
	s.need(connector.OpUpsert)
	field, a, b := s.some()
	s.seed(s.record(0, Record{field: a}), s.record(1, Record{field: a}), s.record(2, Record{field: a}))
	results := s.write(connector.OpUpsert, s.record(3, Record{field: b}), s.record(1, Record{field: b}))
	if results[0].Created == connector.No || results[1].Created == connector.Yes {
		s.Errorf("a new and an old record were reported as %+v", results)
	}
	s.holds(s.record(0, Record{field: a}), s.record(1, Record{field: b}), s.record(2, Record{field: a}), s.record(3, Record{field: b}))
}

func twice(s *stand) {
	field, a, b := s.some()
	tried := false
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpClear, connector.OpDelete, connector.OpAppend} {
		o, ok := s.object.Ops[op]
		if !ok || !o.Idempotent && (op != connector.OpAppend || o.Dedupes == 0) {
			continue
		}
		tried = true
		n := len(s.world.Records())
		records := []Record{s.record(n, Record{field: b}), s.record(n+1, Record{field: b})}
		switch op {
		case connector.OpUpdate, connector.OpClear, connector.OpDelete:
			s.seed(s.record(n, Record{field: a}), s.record(n+1, Record{field: a}))
			if op != connector.OpUpdate {
				records = s.emptied(op, n, n+1)
			}
		default: // the others make records
		}
		s.write(op, records...)
		first := s.world.Records()
		for i, r := range s.settle(op, records...) {
			if r.Status != connector.Delivered && r.Status != connector.Skipped {
				s.Errorf("%s, row %d for the second time: %+v", op, i, r)
			}
		}
		if second := s.world.Records(); !s.sameRecords(first, second) {
			s.Errorf("%s is declared idempotent; after it the tool holds %v, after the second %v", op, first, second)
		}
	}
	if !tried {
		s.Skip("no operation is declared idempotent")
	}
}

// emptied is the rows of a delete or clear.
func (s *stand) emptied(op connector.Op, keys ...int) []Record {
	field, _, _ := s.some()
	var out []Record
	for _, i := range keys {
		r := Record{s.h.Match: s.key(i)}
		if op == connector.OpClear {
			r[field] = row.NullValue()
		}
		out = append(out, r)
	}
	return out
}

// sameRecords compares the fields the kit writes: a tool may keep the time of the last change beside them.
func (s *stand) sameRecords(a, b []Record) bool {
	names := slices.Collect(maps.Keys(s.h.Required))
	names = slices.AppendSeq(names, maps.Keys(s.h.Bad))
	names = slices.AppendSeq(names, maps.Values(s.h.Fields))
	index := func(list []Record) map[string]Record {
		m := map[string]Record{}
		for _, r := range list {
			m[r[s.h.Match].String()] = r
		}
		return m
	}
	if len(a) != len(b) {
		return false
	}
	return maps.EqualFunc(index(a), index(b), func(x, y Record) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return !Same(x[name], y[name]) })
	})
}

func nullClears(s *stand) {
	op := connector.OpUpsert
	if !s.offers(op) {
		s.need(connector.OpUpdate)
		op = connector.OpUpdate
	}
	kept, v := s.other()
	for k, field := range s.h.Fields {
		if field == kept || !s.nullable(field) {
			continue
		}
		_ = k
		start := samples(k)[0]
		if s.h.Filter != nil && !s.h.Filter(start) {
			continue
		}
		n := len(s.world.Records())
		s.write(s.creating(), s.record(n, Record{field: start, kept: v}))
		s.write(op, s.named(n, Record{field: row.NullValue(), kept: v}))
		for _, r := range s.world.Records() {
			if Same(s.key(n), r[s.h.Match]) && (!Same(row.NullValue(), r[field]) || !Same(v, r[kept])) {
				s.Errorf("%s was cleared; the tool holds %s there, and %s in the field beside it", field, show(r[field]), show(r[kept]))
			}
		}
	}
}

func (s *stand) nullable(name string) bool {
	if s.object.FreeField {
		return true
	}
	for _, f := range s.object.Fields {
		if f.Name == name {
			return f.Nullable
		}
	}
	return false
}

func absentLeaves(s *stand) {
	field, a, b := s.some()
	kept, v := s.other()
	tried := false
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpUpdate} {
		if !s.offers(op) || !s.object.Ops[op].Partial {
			continue
		}
		tried = true
		n := len(s.world.Records())
		s.seed(s.record(n, Record{field: a, kept: v}))
		beside := s.record(n+1, Record{field: a, kept: v}) // its fields are in the batch, and so absent in the other row
		s.seed(beside)
		s.write(op, Record{s.h.Match: s.key(n), field: b}, beside)
		for _, r := range s.world.Records() {
			if Same(s.key(n), r[s.h.Match]) && (!Same(b, r[field]) || !Same(v, r[kept])) {
				s.Errorf("%s without %s: the tool holds %s and %s; want %s and %s", op, kept, show(r[field]), show(r[kept]), show(b), show(v))
			}
		}
	}
	if !tried {
		s.Skip("the tool takes whole records only")
	}
}

func mixedFields(s *stand) {
	o := s.need(connector.OpUpsert)
	if !o.Partial {
		s.Skip("the tool takes whole records only")
	}
	field, a, b := s.some()
	kept, v := s.other()
	s.seed(s.record(0, Record{field: a, kept: v}), s.record(1, Record{field: a, kept: v}), s.record(2, Record{field: a, kept: v}))
	null, want := row.NullValue(), []Record{s.record(0, Record{field: b, kept: v}), s.record(1, Record{field: a, kept: v}), s.record(2, Record{field: a, kept: v})}
	second := Record{s.h.Match: s.key(1), kept: v}
	if s.nullable(kept) {
		second[kept], want[1][kept] = null, null
	}
	third := s.record(3, Record{kept: v})
	s.write(connector.OpUpsert, Record{s.h.Match: s.key(0), field: b}, second, Record{s.h.Match: s.key(2), field: a, kept: v}, third)
	s.holds(append(want, third)...)
}

func updates(s *stand) {
	s.need(connector.OpUpdate)
	field, a, b := s.some()
	s.seed(s.record(0, Record{field: a}), s.record(2, Record{field: a}))
	gone := s.missing(1)
	results := s.settle(connector.OpUpdate, s.named(0, Record{field: b}), gone(Record{field: b}), s.named(2, Record{field: b}))
	for i, want := range []connector.Status{connector.Delivered, connector.Skipped, connector.Delivered} {
		if results[i].Status != want {
			s.Errorf("row %d: %+v; want %s", i, results[i], want)
		}
	}
	if results[0].Created == connector.Yes {
		s.Errorf("an update reports a new record: %+v", results[0])
	}
	s.holds(s.record(0, Record{field: b}), s.record(2, Record{field: b}))
}

// missing makes rows for a record the tool does not have. Where the tool's ids are needed, the record was there and is deleted.
func (s *stand) missing(i int) func(Record) Record {
	s.Helper()
	if len(s.object.NeedsRemoteID) > 0 {
		field, a, _ := s.some()
		s.seed(s.record(i, Record{field: a}))
		s.ids[s.key(i).String()] = s.id(s.key(i))
		s.write(connector.OpDelete, Record{s.h.Match: s.key(i)})
	}
	return func(more Record) Record { return s.named(i, more) }
}

func inserts(s *stand) {
	s.need(connector.OpInsert)
	field, a, b := s.some()
	s.seed(s.record(1, Record{field: a}))
	results := s.settle(connector.OpInsert, s.record(0, Record{field: b}), s.record(1, Record{field: b}), s.record(2, Record{field: b}))
	if results[0].Status != connector.Delivered || results[2].Status != connector.Delivered {
		s.Errorf("new records: %+v, %+v; want delivered", results[0], results[2])
	}
	if r := results[1]; r.Status != connector.Rejected || r.Code != fault.AlreadyExists {
		s.Errorf("a record that is there: %+v; want rejected as ALREADY_EXISTS", r)
	}
	s.holds(s.record(0, Record{field: b}), s.record(1, Record{field: a}), s.record(2, Record{field: b}))
}

func insertSkips(s *stand) {
	s.need(connector.OpInsert)
	field, a, b := s.some()
	s.seed(s.record(1, Record{field: a}))
	to, batch := s.batch(connector.OpInsert, []Record{s.record(0, Record{field: b}), s.record(1, Record{field: b})})
	to.SkipExists = true
	out, err := s.send(s.Context(), to, batch)
	if err != nil {
		s.Fatal(err)
	}
	if out.Result(0).Status != connector.Delivered || out.Result(1).Status != connector.Skipped {
		s.Errorf("got %+v and %+v; want delivered and skipped", out.Result(0), out.Result(1))
	}
	s.holds(s.record(0, Record{field: b}), s.record(1, Record{field: a}))
}

func appends(s *stand) {
	s.need(connector.OpAppend)
	field, a, b := s.some()
	s.write(connector.OpAppend, s.record(0, Record{field: a}), s.record(1, Record{field: a}))
	s.write(connector.OpAppend, s.record(2, Record{field: b}))
	s.holds(s.record(0, Record{field: a}), s.record(1, Record{field: a}), s.record(2, Record{field: b}))
}
