package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sort"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// batch makes a target and a batch of records; a field some records lack is absent there.
func (s *stand) batch(op connector.Op, records []Record) (connector.Target, *row.Batch) {
	s.Helper()
	to := connector.Target{Object: s.object, Op: op, Match: []string{s.h.Match}, Sync: "kit", RunID: "run", MatchKinds: []row.Kind{s.key(0).Kind()}}
	kinds := map[string]row.Kind{}
	for _, r := range records {
		for name, v := range r {
			if kinds[name] == row.Absent || kinds[name] == row.Null {
				kinds[name] = v.Kind()
			}
		}
	}
	delete(kinds, s.h.Match)
	for name := range kinds {
		to.Fields = append(to.Fields, name)
	}
	sort.Strings(to.Fields)
	for _, name := range to.Fields {
		k := kinds[name]
		for kind, field := range s.h.Fields {
			if field == name && k == row.Null {
				k = kind
			}
		}
		to.Kinds = append(to.Kinds, k)
	}
	b := row.NewBatch(to.Match, to.Fields, len(records))
	for i, r := range records {
		values := make([]row.Value, len(to.Fields))
		for k, name := range to.Fields {
			values[k] = r[name]
		}
		key := r[s.h.Match]
		sum := sha256.Sum256([]byte(string(op) + " " + key.String()))
		meta := row.Meta{Key: []byte(key.String()), Ordinal: uint64(i), IdempotencyKey: hex.EncodeToString(sum[:16])}
		if slices.Contains(s.object.NeedsRemoteID, op) {
			meta.RemoteID = s.id(key)
		}
		b.Add(meta, []row.Value{key}, values)
	}
	return to, b
}

// id finds the tool's id of a record: as an outcome told it, else by reading back, as the engine does.
func (s *stand) id(key row.Value) string {
	s.Helper()
	if id, ok := s.ids[key.String()]; ok {
		return id
	}
	r, ok := s.dest.(connector.Reader)
	if !ok {
		s.Fatalf("the object needs the tool's ids and cannot be read back")
	}
	found, err := r.ReadBack(s.Context(), s.object, []string{s.h.Match}, [][]row.Value{{key}}, nil)
	if err != nil || len(found) != 1 {
		s.Fatalf("looking for the id of %s: %d answers, %v", key, len(found), err)
	}
	return found[0].RemoteID
}

// try writes records in one call.
func (s *stand) try(op connector.Op, records ...Record) (*connector.Outcomes, error) {
	s.Helper()
	to, b := s.batch(op, records)
	return s.send(s.Context(), to, b)
}

// send writes a batch and holds the connector to what every call promises: without an error every row is spoken for once.
func (s *stand) send(ctx context.Context, to connector.Target, b *row.Batch) (*connector.Outcomes, error) {
	s.Helper()
	out := connector.NewOutcomes(b.Len())
	err := s.dest.Write(ctx, to, b, out)
	s.hear(err)
	s.hearOutcomes(out)
	s.judge(b, out, err)
	return out, err
}

func (s *stand) judge(b *row.Batch, out *connector.Outcomes, err error) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range out.Len() {
		r := out.Result(i)
		if err == nil && !out.Marked(i) {
			s.Errorf("row %d was not marked and no error was returned", i)
		}
		if r.Status == connector.Rejected && (r.Code == "" || r.Message == "") {
			s.Errorf("row %d is rejected without code or message: %+v", i, r)
		}
		if r.Status == connector.Delivered && r.RemoteID != "" && b != nil {
			s.ids[b.Match(i)[0].String()] = r.RemoteID
		}
	}
	if err != nil {
		if f := fault.As(err); f.GetClass() == fault.ClassBug {
			s.Errorf("a call failed without a class the engine can act on: %v", err)
		}
	}
}

// settle writes records as the engine would: a batch that is refused without naming the row is split.
func (s *stand) settle(op connector.Op, records ...Record) []connector.Result {
	s.Helper()
	if limit := max(1, s.object.Ops[op].MaxRows); len(records) > limit {
		return append(s.settle(op, records[:limit]...), s.settle(op, records[limit:]...)...)
	}
	out, err := s.try(op, records...)
	if err != nil {
		f := fault.As(err)
		switch {
		case f.GetClass() != fault.ClassBatchRefused:
			s.Fatalf("%s of %d rows: %v", op, len(records), err)
		case len(records) > 1:
			n := len(records) / 2
			return append(s.settle(op, records[:n]...), s.settle(op, records[n:]...)...)
		}
		return []connector.Result{{Status: connector.Rejected, Code: f.Code, Field: f.Field, Message: f.Message}}
	}
	results := make([]connector.Result, len(records))
	for i := range results {
		results[i] = out.Result(i)
	}
	return results
}

// write fails unless every row is delivered.
func (s *stand) write(op connector.Op, records ...Record) []connector.Result {
	s.Helper()
	results := s.settle(op, records...)
	for i, r := range results {
		if r.Status != connector.Delivered {
			s.Fatalf("%s, row %d: %+v; want delivered", op, i, r)
		}
	}
	return results
}

// seed puts records in place, past the connector where the world can.
func (s *stand) seed(records ...Record) {
	s.Helper()
	if s.world.Seed == nil {
		s.write(s.creating(), records...)
		return
	}
	for _, r := range records {
		s.world.Seed(r)
	}
}

// holds fails unless the tool has exactly these records: the fields given are as given, others are not looked at.
func (s *stand) holds(want ...Record) {
	s.Helper()
	got := s.world.Records()
	byKey := map[string][]Record{}
	for _, r := range got {
		k := r[s.h.Match].String()
		byKey[k] = append(byKey[k], r)
	}
	for _, w := range want {
		k := w[s.h.Match].String()
		if len(byKey[k]) != 1 {
			s.Errorf("the tool holds %d records with the key %q; want one", len(byKey[k]), k)
			continue
		}
		for name, v := range w {
			if !v.IsAbsent() && name != s.h.Match && !Same(v, byKey[k][0][name]) {
				s.Errorf("record %q, field %s: the tool holds %s; want %s", k, name, show(byKey[k][0][name]), show(v))
			}
		}
	}
	if len(got) != len(want) {
		s.Errorf("the tool holds %d records; want %d", len(got), len(want))
	}
}
