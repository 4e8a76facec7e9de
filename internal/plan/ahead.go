package plan

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/upwelldata/upwell/internal/ledger"
)

// Ahead plans a first load while it is read. Where the ledger knows no key and no outcome is open, what happens to a row depends
// on the row alone, so the walk over the delta would find nothing that was not known when the row came by; except for rows
// that are invalid, among them those whose key or match comes twice. A read that has any is walked.
type Ahead struct {
	g       *gathering
	samples []aheadSample // those a walk would meet first
	rows    int64
	bytes   int64
	invalid bool
}

type aheadSample struct {
	hash   uint64
	key    []byte
	sample Sample
}

// Ahead begins the plan of a read that is compared with nothing. each may be nil; it sees every item, in the order of the read,
// also of a read whose plan must be walked in the end.
func (p *Planner) Ahead(each func(*Item) error) *Ahead { return &Ahead{g: p.gathering(each)} }

// See plans a row. The record and what it points at need to be valid during the call only.
func (a *Ahead) See(rec *ledger.Record) error {
	if a == nil || a.invalid {
		return nil
	}
	it := a.g.p.Classify(ledger.Change{Hash: rec.Hash, Key: rec.Key, New: rec})
	if it.Action == Invalid {
		a.invalid = true
		return nil
	}
	a.rows++
	a.bytes += int64(len(it.Key))
	if it.Action.Sent() {
		a.sample(it)
	}
	return a.g.add(it)
}

// sample keeps what comes first in the order of a delta: by hash, then by key.
func (a *Ahead) sample(it *Item) {
	full := len(a.samples) == samplesPerAction
	if full && it.Hash > a.samples[len(a.samples)-1].hash {
		return
	}
	at, _ := slices.BinarySearchFunc(a.samples, it, func(s aheadSample, it *Item) int {
		return cmp.Or(cmp.Compare(s.hash, it.Hash), bytes.Compare(s.key, it.Key))
	})
	if at == samplesPerAction {
		return
	}
	if full {
		a.samples = a.samples[:samplesPerAction-1]
	}
	s := aheadSample{it.Hash, bytes.Clone(it.Key), a.g.p.Sample(it)}
	for i, v := range s.sample.New {
		s.sample.New[i] = v.Clone()
	}
	for i, v := range s.sample.Key {
		s.sample.Key[i] = v.Clone()
	}
	a.samples = slices.Insert(a.samples, at, s)
}

// Knows reports that the plan is complete, given what the finished read counted, and takes more than limit bytes, so that it
// would not be kept in memory. A smaller one had better be walked, and kept.
func (a *Ahead) Knows(read ledger.ReadCounts, limit int) bool {
	if a == nil || a.invalid || len(read.Invalid) > 0 || read.Unchanged > 0 || read.NullKeys > 0 || read.Read != a.rows {
		return false
	}
	size := a.bytes
	for _, p := range a.g.s.parts {
		size += p.bytes
	}
	return size > int64(limit)
}

// Summary gives the plan; Knows must have been asked.
func (a *Ahead) Summary(read ledger.ReadCounts, allow Allow) (*Summary, error) {
	for _, s := range a.samples {
		a.g.s.Samples = append(a.g.s.Samples, s.sample)
	}
	return a.g.summary(read, allow)
}
