package run

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

// An undo writes values of earlier runs, which may have mapped other columns to the same fields. Today's policies are judged on what
// a value was made of when it was sent: its run has that on record.

// made finds what values were made of.
type made struct {
	u    *undoing
	runs map[string]*Record // nil: not on record
	all  []Record           // of the sync, newest first; nil = not asked for yet
}

// obey takes out of an item what today's policies keep from its fields. why is not empty when nothing may be sent of it.
func (u *undoing) obey(ctx context.Context, h ledger.History, it *plan.Item) (why string, err error) {
	if !u.restricted || it.Action == plan.Remove {
		return "", nil
	}
	var past []ledger.History
	for p, err := range u.snap.KeyHistory(ctx, h.Key) {
		if err != nil {
			return "", err
		}
		past = append(past, p)
	}
	kept := map[string]*fault.Error{}
	for i, v := range it.Values {
		if v.IsAbsent() {
			continue
		}
		f := u.fields[i]
		before := "" // what completes a record was sent last
		if at := slices.Index(h.Fields, f); at >= 0 && !h.Old[at].IsAbsent() {
			before = h.Run
		}
		if kept[f], err = u.keeps(ctx, f, past, before); err != nil {
			return "", err
		}
	}
	if it.Move != nil || it.Action == plan.Add { // the record gets an identity it had
		for _, f := range u.meta.MatchFields {
			if no, err := u.keeps(ctx, f, past, h.Run); err != nil || no != nil {
				return u.keep(no), err
			}
		}
	}
	return u.without(it, kept), nil
}

// without leaves out of an item the values that are kept back, or says why the whole item is.
func (u *undoing) without(it *plan.Item, kept map[string]*fault.Error) string {
	maps.DeleteFunc(kept, func(_ string, no *fault.Error) bool { return no == nil })
	if len(kept) == 0 {
		return ""
	}
	left := it.Move != nil || it.Action == plan.Add
	for i, v := range it.Values {
		left = left || !v.IsAbsent() && kept[u.fields[i]] == nil
	}
	whole := it.Action == plan.Change && (it.Dirty || !u.dest.object.Ops[it.Op].Partial)
	fields := slices.Sorted(maps.Keys(kept))
	if whole || !left {
		return u.keep(kept[fields[0]])
	}
	for i := range it.Values {
		if no := kept[u.fields[i]]; no != nil {
			it.Values[i] = row.Value{}
			if u.counting {
				u.result.Withheld[no.Message]++
			}
		}
	}
	return ""
}

// keep notes that an item is left alone because of a policy.
func (u *undoing) keep(no *fault.Error) string {
	if no == nil {
		return ""
	}
	u.result.forbidden = true
	return no.Message
}

// keeps says why policies keep back what a field held before a run, "" = what it holds now.
func (u *undoing) keeps(ctx context.Context, field string, past []ledger.History, before string) (*fault.Error, error) {
	list, err := u.made.of(ctx, field, past, before)
	if err != nil {
		return nil, err
	}
	return govern.Keeps(u.e.Project, u.sync, field, list), nil
}

// of gives the makings a value may have: of the run that wrote it last before that one. What an undo wrote is older: of the run that
// wrote it before the undone one, or since, where the undo only completed a record. Without history it may be of any run before.
func (m *made) of(ctx context.Context, field string, past []ledger.History, before string) (out []*govern.Making, err error) {
	match := slices.Contains(m.u.meta.MatchFields, field)
	until := ""
	for _, h := range past {
		if before != "" && h.Run >= before || h.Outcome != connector.Delivered || !match && !slices.Contains(h.Fields, field) {
			continue
		}
		r, err := m.run(ctx, h.Run)
		switch {
		case err != nil:
			return nil, err
		case r == nil:
			return append(out, nil), nil
		case r.Kind == kindUndo:
			if until == "" || r.Undoes < until {
				until = r.Undoes
			}
			continue
		}
		out = append(out, makingOf(r, field))
		if until == "" || h.Run < until {
			return out, nil
		}
	}
	return m.any(ctx, field, before)
}

// makingOf is what a run that wrote a field made it of; nil = that is not on record.
func makingOf(r *Record, field string) *govern.Making {
	if r.Made == nil {
		return nil
	}
	if _, ok := r.Made.Fields[field]; !ok {
		return nil
	}
	return r.Made
}

// any gives the makings of every run that may have written a field before another; one that does not map it has not.
func (m *made) any(ctx context.Context, field, before string) (out []*govern.Making, err error) {
	if m.all == nil {
		if m.all, err = m.u.e.Store.Runs(ctx, m.u.sync.Name, math.MaxInt32); err != nil {
			return nil, err
		}
	}
	for i := range m.all {
		r := &m.all[i]
		if before != "" && r.ID >= before || r.Kind == kindUndo {
			continue
		}
		if r.Made == nil {
			return []*govern.Making{nil}, nil
		}
		if makingOf(r, field) != nil {
			out = append(out, r.Made)
		}
	}
	if len(out) == 0 {
		out = []*govern.Making{nil}
	}
	return out, nil
}

// run finds a run on record, nil when it is not.
func (m *made) run(ctx context.Context, id string) (*Record, error) {
	if r, ok := m.runs[id]; ok {
		return r, nil
	}
	r, err := m.u.e.Store.Run(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	m.runs[id] = r
	return r, nil
}
