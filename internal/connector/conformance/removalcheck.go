package conformance

import (
	"fmt"
	"maps"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func removalChecks() []check {
	return []check{
		{name: "delete: removes the records named and no others", run: deletes},
		{name: "delete: what is gone already is delivered", run: deletesGone},
		{name: "clear: empties the fields named and no others", run: clears},
	}
}

func deletes(s *stand) {
	s.need(connector.OpDelete)
	field, a, _ := s.some()
	records := []Record{s.record(0, Record{field: a}), s.record(1, Record{field: a}), s.record(2, Record{field: a}), s.record(10, Record{field: a})}
	if s.key(0).Kind() == row.Text { // names that patterns, prefixes and loose comparisons take for others
		base := s.key(1).Str()
		for _, near := range []string{base + "0", base[:len(base)-1], base[:len(base)-1] + "_", base[:len(base)-1] + "%", " " + base} {
			r := s.record(0, Record{field: a})
			r[s.h.Match] = row.TextValue(near)
			records = append(records, r)
		}
	}
	s.seed(records...)
	s.write(connector.OpDelete, Record{s.h.Match: s.key(1)})
	s.holds(slices.Delete(records, 1, 2)...)
}

func deletesGone(s *stand) {
	s.need(connector.OpDelete)
	field, a, _ := s.some()
	gone := s.missing(1)
	s.seed(s.record(0, Record{field: a}), s.record(2, Record{field: a}))
	for range 2 {
		s.write(connector.OpDelete, Record{s.h.Match: s.key(0)}, Record{s.h.Match: gone(nil)[s.h.Match]})
		s.holds(s.record(2, Record{field: a}))
	}
}

func clears(s *stand) {
	s.need(connector.OpClear)
	field, a, _ := s.some()
	kept, v := s.other()
	s.seed(s.record(0, Record{field: a, kept: v}), s.record(1, Record{field: a, kept: v}))
	for range 2 {
		s.write(connector.OpClear, s.emptied(connector.OpClear, 0)...)
		want := s.record(0, Record{field: row.NullValue(), kept: v})
		s.holds(want, s.record(1, Record{field: a, kept: v}))
	}
}

func outcomeChecks() []check {
	list := []check{
		{name: "outcomes: an empty batch makes no call", run: emptyBatch},
		{name: "outcomes: an operation that is not offered has no effect", run: notOffered},
		{name: "limits: a batch of the declared size is one request", run: fullBatch},
		{name: "limits: every request passes the gate", run: gated},
	}
	for _, c := range []struct {
		name string
		bad  func(i, n int) bool
	}{
		{"first", func(i, _ int) bool { return i == 0 }},
		{"middle", func(i, n int) bool { return i == n/2 }},
		{"last", func(i, n int) bool { return i == n-1 }},
		{"every", func(int, int) bool { return true }},
	} {
		list = append(list, check{name: "partial: a refused row does not sink the rest, " + c.name + " row", run: func(s *stand) { s.refuses(s.creating(), c.bad) }})
	}
	return list
}

// refuses writes a batch whose bad rows must be rejected in the tool's words while the others arrive.
func (s *stand) refuses(op connector.Op, bad func(i, n int) bool) {
	s.Helper()
	records, want := s.withBad(5, bad)
	s.judgeBad(records, want, s.settle(op, records...), bad)
}

func (s *stand) withBad(n int, bad func(i, n int) bool) (records, good []Record) {
	s.Helper()
	if s.h.Bad == nil {
		s.Skip("the tool refuses no row")
	}
	field, a, _ := s.some()
	for i := range n {
		r := s.record(i, Record{field: a})
		if bad(i, n) {
			maps.Copy(r, s.h.Bad)
		} else {
			good = append(good, r)
		}
		records = append(records, r)
	}
	return records, good
}

func (s *stand) judgeBad(records, good []Record, results []connector.Result, bad func(i, n int) bool) {
	s.Helper()
	for i, r := range results {
		want := connector.Delivered
		if bad(i, len(records)) {
			want = connector.Rejected
		}
		if r.Status != want || want == connector.Rejected && (r.Code == "" || r.Message == "") {
			s.Errorf("row %d: %+v; want %s", i, r, want)
		}
	}
	s.holds(good...)
}

func emptyBatch(s *stand) {
	for op := range s.object.Ops {
		entered, _ := s.gate.counts()
		requests := s.requests()
		if _, err := s.try(op); err != nil {
			s.Errorf("%s of no rows: %v", op, err)
		}
		if now, _ := s.gate.counts(); now != entered || s.requests() != requests {
			s.Errorf("%s of no rows made a call", op)
		}
	}
}

func notOffered(s *stand) {
	field, a, _ := s.some()
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpInsert, connector.OpAppend, connector.OpDelete, connector.OpClear, connector.OpAdd, connector.OpDrop} {
		if s.offers(op) {
			continue
		}
		to, b := s.batch(op, []Record{s.record(0, Record{field: a})})
		out := connector.NewOutcomes(1)
		err := s.dest.Write(s.Context(), to, b, out)
		s.hear(err)
		if f := fault.As(err); f == nil || f.Landed != fault.LandedNo || out.Result(0).Status == connector.Delivered {
			s.Errorf("%s is not offered, and got %v, %+v; want an error that says nothing landed", op, err, out.Result(0))
		}
	}
	s.holds()
}

func fullBatch(s *stand) {
	op := s.creating()
	field, a, _ := s.some()
	n := min(s.object.Ops[op].MaxRows, 2000)
	records := make([]Record, n)
	for i := range records {
		records[i] = s.record(i, Record{field: a})
		if s.h.Key == nil {
			records[i][s.h.Match] = row.TextValue(fmt.Sprintf("%skey-%06d", s.world.Prefix, i))
		}
	}
	before := s.writes()
	out, err := s.try(op, records...)
	if err != nil {
		s.Fatalf("a batch of %d rows: %v", n, err)
	}
	for i := range n {
		if r := out.Result(i); r.Status != connector.Delivered {
			s.Fatalf("row %d of %d: %+v", i, n, r)
		}
	}
	s.holds(records...)
	if s.way == nil {
		return
	}
	if made := s.writes() - before; made != 1 {
		s.Errorf("a batch within the limits made %d requests that write", made)
	}
	if limit := s.object.Ops[op].MaxBytes; limit > 0 && s.way.largest() > limit {
		s.Errorf("a request had %d bytes; %d are declared", s.way.largest(), limit)
	}
}

func gated(s *stand) {
	field, a, _ := s.some()
	s.write(s.creating(), s.record(0, Record{field: a}))
	if _, err := s.dest.Check(s.Context()); err != nil {
		s.Fatal(err)
	}
	entered, left := s.gate.counts()
	if entered != left {
		s.Errorf("the gate was entered %d times and left %d times", entered, left)
	}
	if s.way != nil && entered != s.requests() {
		s.Errorf("%d requests were made and %d passed the gate", s.requests(), entered)
	}
	if entered < 1 {
		s.Error("a write passed no gate")
	}
}

func (s *stand) requests() int {
	if s.way == nil {
		return 0
	}
	return s.way.count(false)
}
