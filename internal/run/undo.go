package run

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// undoing is one undo being planned: a shape made of what the run wrote, and the inverse of every change.
type undoing struct {
	*execution
	of     *Record
	force  bool
	fields []string
	byName map[string]int
	refers map[string]reference // by field
	result *UndoResult

	restricted bool // there are policies to obey
	counting   bool // the walk that plans
	made       made
}

// UndoPlan says what undoing a run would do; it changes nothing.
func (e *Engine) UndoPlan(ctx context.Context, of *Record, force bool, allow plan.Allow) (res *UndoResult, err error) {
	s, err := e.undoable(of)
	if err != nil {
		return nil, err
	}
	snap, err := e.Ledger(s.Name).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	p, err := e.prepareUndo(ctx, s, snap)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.sameTarget(of); err != nil {
		return nil, err
	}
	u := &undoing{execution: &execution{prepared: p, rec: &Record{}}, of: of, force: force}
	if err := u.plan(ctx, allow); err != nil {
		return nil, err
	}
	return u.result, nil
}

func (e *Engine) undoable(of *Record) (*project.Sync, error) {
	s, ok := e.Project.Syncs[of.Sync]
	if !ok {
		return nil, fault.New(fault.UndoNotPossible, "the sync %s is no longer in the project", of.Sync)
	}
	if !of.Status.Ended() {
		return nil, fault.New(fault.UndoNotPossible, "run %s has not ended", of.ID)
	}
	return s, nil
}

// prepareUndo opens the destination only: the model has no say in an undo. Policies and open outcomes do.
func (e *Engine) prepareUndo(ctx context.Context, s *project.Sync, snap ledger.Snapshot) (p *prepared, err error) {
	p = &prepared{e: e, sync: s, model: e.Project.Models[s.Model], snap: snap, meta: snap.Meta()}
	if faults := govern.Deny(e.Project, s); len(faults) > 0 {
		return p, faults
	}
	if err := p.memories(ctx); err != nil {
		return p, err
	}
	if e.Store != nil {
		if jobs, err := e.Store.Jobs(ctx, s.Name); err != nil {
			return p, err
		} else if len(jobs) > 0 {
			return p, fault.New(fault.UndoNotPossible, "the tool still works on what an earlier run of %s handed to it", s.Name).WithFix("`upwell run %s` settles it", s.Name)
		}
	}
	p.dest, err = e.connect(ctx, s)
	return p, err
}

// Undo restores the values a run replaced, as a run of its own. Once something was restored the sync's schedule is paused.
func (e *Engine) Undo(ctx context.Context, of *Record, force bool, o RunOptions) (*Record, *UndoResult, error) {
	s, err := e.undoable(of)
	if err != nil {
		return nil, nil, err
	}
	var u *undoing
	rec, err := e.executeUndo(ctx, s, of, o, func(x *execution) error {
		u = &undoing{execution: x, of: of, force: force}
		return u.run(ctx)
	})
	if u == nil {
		return rec, nil, err
	}
	return rec, u.result, err
}

func (e *Engine) executeUndo(ctx context.Context, s *project.Sync, of *Record, o RunOptions, work func(*execution) error) (*Record, error) {
	return e.record(ctx, s, o, kindUndo, of.ID, func(x *execution) (err error) {
		if x.session, err = x.home.Begin(ctx, x.rec.ID); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, x.session.Close()) }()
		snap := x.session.Snapshot()
		if err := e.adopt(ctx, s.Name, snap); err != nil {
			return err
		}
		if x.prepared, err = e.prepareUndo(ctx, s, snap); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, x.prepared.close()) }()
		if err := x.sameTarget(of); err != nil {
			return err
		}
		if err := snap.Verify(ctx); err != nil {
			return err
		}
		to := x.target()
		x.rec.Target = &to
		return work(x)
	})
}

func (u *undoing) run(ctx context.Context) error {
	if err := u.plan(ctx, u.o.Allow); err != nil {
		return err
	}
	s := u.result.Summary
	u.summary = s
	u.rec.PlanHash, u.rec.Guards, u.rec.Definition = s.Hash, s.Guards, u.e.Project.DefinitionHash(u.sync.Name)
	c := &u.rec.Counts
	c.Read, c.Planned = s.Counts.Read, Planned{Add: s.Counts.Add, Change: s.Counts.Change, Remove: s.Counts.Remove}
	for reason, n := range u.result.SkippedBy {
		u.rec.Warnings = append(u.rec.Warnings, fmt.Sprintf("%d rows left alone: %s", n, reason))
	}
	for reason, n := range u.result.Withheld {
		u.rec.Warnings = append(u.rec.Warnings, fmt.Sprintf("%d values not restored: %s", n, reason))
	}
	slices.Sort(u.rec.Warnings)
	o := deliver.Options{
		Dest: u.dest.Destination, Spec: u.dest.spec, Object: u.dest.object, Sync: u.sync, Shape: u.shape(), RunID: u.rec.ID,
		Generation: u.meta.Generation, Gate: u.dest.gate, Ledger: u.session,
		Journal: u.e.Store.Journal(u.sync.Name, u.rec.ID, ""), NotBefore: u.until, Wait: u.o.Wait, Stop: u.o.Stop, Tally: u.o.Tally,
		Planned: s.ByOp, Withheld: s.Withholds, Items: u.items, Facts: &s.Facts,
	}
	kept := u.state
	u.state = SyncState{} // what waits for a full run of the model is not settled by an undo
	err := u.deliverWith(ctx, o, ledger.Publication{
		KeyColumns: u.meta.KeyColumns, KeyKinds: u.meta.KeyKinds, MatchFields: u.meta.MatchFields, Mapping: u.meta.Mapping, Target: u.meta.Target,
		NullKeys: u.meta.NullKeys, Complete: u.meta.Complete,
	})
	if err == nil {
		err = u.result.Held()
	}
	if u.o.Tally.Delivered.Load()+u.o.Tally.Unknown.Load() == 0 {
		return err
	}
	kept.Paused = "undone by run " + u.rec.ID + "; the model still says the other thing"
	return errors.Join(err, u.e.Store.SetSyncState(context.WithoutCancel(ctx), u.sync.Name, kept))
}

// shape is made of the fields the run wrote, with the kinds the object declares.
func (u *undoing) shape() deliver.Shape {
	s := deliver.Shape{Fields: u.fields, MatchFields: u.meta.MatchFields, CreateOnly: make([]bool, len(u.fields)), LookupInputs: u.inputs}
	for _, f := range u.fields {
		s.Kinds = append(s.Kinds, kindIn(u.dest.object, f))
		s.Lookups = append(s.Lookups, u.refers[f].Lookup)
	}
	for i, f := range s.MatchFields {
		k := kindIn(u.dest.object, f)
		if k == row.Absent && i < len(u.meta.KeyKinds) {
			k = u.meta.KeyKinds[i]
		}
		s.MatchKinds = append(s.MatchKinds, k)
	}
	return s
}

// plan walks the run's history once for its fields and once to count and judge.
func (u *undoing) plan(ctx context.Context, allow plan.Allow) error {
	u.byName = map[string]int{}
	for h, err := range u.snap.RunHistory(ctx, u.of.ID) {
		if err != nil {
			return err
		}
		u.name(h.Fields)
	}
	for _, f := range u.meta.Fields { // so that full records can be sent
		if u.has(f) {
			u.name([]string{f})
		}
	}
	if err := u.references(ctx); err != nil {
		return err
	}
	u.result = &UndoResult{Of: u.of, SkippedBy: map[string]int64{}, Withheld: map[string]int64{}}
	u.restricted, u.made = govern.Restricted(u.e.Project, u.sync), made{u: u, runs: map[string]*Record{}}
	d := plan.Definition{
		Sync: u.sync, Object: u.dest.object, Fields: u.fields, MatchFields: u.meta.MatchFields, CreateOnly: make([]bool, len(u.fields)),
		Hash: "undo " + u.of.ID, Meta: u.meta, Now: u.e.now(),
	}
	var err error
	if u.session != nil { // not only planned
		if allow, err = u.lifts(ctx, &d); err != nil {
			return err
		}
	}
	u.planner = plan.New(d)
	u.result.Summary, err = u.planner.SummariseItems(u.items(ctx), allow)
	return err
}

// has reports whether the object has a field now: one that is no longer mapped may be gone.
func (u *undoing) has(field string) bool {
	return u.dest.object.FreeField || slices.ContainsFunc(u.dest.object.Fields, func(o connector.Field) bool { return o.Name == field })
}

func (u *undoing) name(fields []string) {
	for _, f := range fields {
		if _, ok := u.byName[f]; !ok {
			u.byName[f] = len(u.fields)
			u.fields = append(u.fields, f)
		}
	}
}

// items yields the inverse of every change of the run.
func (u *undoing) items(ctx context.Context) iter.Seq2[*plan.Item, error] {
	u.counting = u.result.Summary == nil
	return func(yield func(*plan.Item, error) bool) {
		for h, err := range u.snap.RunHistory(ctx, u.of.ID) {
			if err != nil {
				yield(nil, err)
				return
			}
			now, err := u.snap.Get(ctx, h.Key)
			if err != nil {
				yield(nil, err)
				return
			}
			later, err := u.later(ctx, h, now)
			if err != nil {
				yield(nil, err)
				return
			}
			it, why := u.inverse(h, now, later)
			if it != nil && why == "" {
				if why, err = u.obey(ctx, h, it); err != nil {
					yield(nil, err)
					return
				}
			}
			if why != "" {
				if u.counting {
					u.skip(h.Key, why)
				}
				continue
			}
			if it != nil && !yield(it, nil) {
				return
			}
		}
	}
}

// later reports that a run after the undone one changed the key.
func (u *undoing) later(ctx context.Context, h ledger.History, now *ledger.Entry) (bool, error) {
	if now != nil {
		return now.Run != u.of.ID, nil
	}
	for last, err := range u.snap.KeyHistory(ctx, h.Key) {
		return err == nil && last.Run != u.of.ID, err
	}
	return false, nil
}

// inverse gives the operation that restores what one change replaced, or why there is none.
func (u *undoing) inverse(h ledger.History, now *ledger.Entry, later bool) (*plan.Item, string) {
	gone := h.Op == connector.OpDelete || h.Op == connector.OpDrop
	open, dirty := u.dirty[string(h.Key)]
	switch {
	case h.Outcome != connector.Delivered:
		return nil, ""
	case later && !u.force:
		return nil, "changed by a later run"
	case now == nil && !gone && later:
		return nil, "the record was removed by a later run"
	case now == nil && !gone:
		return nil, "the ledger no longer knows the record"
	case open.Move != nil:
		return nil, "whether a later run gave the record another identity is not known"
	}
	it := &plan.Item{Hash: row.KeyHash(u.meta.Seed, h.Key), Key: h.Key, Old: now, Dirty: dirty}
	if now != nil {
		it.RemoteID, it.Match = now.RemoteID, now.Match
	}
	if !h.Known && !gone {
		return u.inverseOfNew(h, it)
	}
	values := make([]row.Value, len(u.fields))
	restored := false
	for i, f := range h.Fields {
		if h.Old[i].IsAbsent() || gone && !u.has(f) {
			continue
		}
		values[u.byName[f]], restored = h.Old[i], true
	}
	switch {
	case gone && now != nil:
		return nil, "the record exists again"
	case gone && len(h.PrevMatch) == 0:
		return nil, "what it deleted is not known"
	case !restored && !gone && (len(h.PrevMatch) == 0 || sameMatch(h.PrevMatch, it.Match)):
		return nil, "the values before are not known"
	}
	it.Values = values
	rec := &ledger.Record{Key: h.Key, Hash: it.Hash, Match: h.PrevMatch, MatchID: u.identity(h.PrevMatch), Values: values}
	it.New = rec
	switch {
	case gone:
		it.Action, it.Op, it.Match, it.MayCreate = plan.Add, u.createOp(), h.PrevMatch, true
	default:
		it.Action, it.Op = plan.Change, u.changeOp()
		if len(h.PrevMatch) > 0 && !sameMatch(h.PrevMatch, it.Match) {
			it.Move, it.Op = h.PrevMatch, connector.OpUpdate
		} else {
			rec.Match, rec.MatchID = it.Match, now.MatchID
		}
		if dirty || !u.dest.object.Ops[it.Op].Partial {
			u.complete(values, now)
		}
	}
	if why := u.unresolvable(values); why != "" {
		return nil, why
	}
	return it, ""
}

// complete fills a record up with what was delivered last to the fields that are mapped, but for those written only once: where
// the tool takes whole records only, and where an open request may have changed more than is restored.
func (u *undoing) complete(values []row.Value, now *ledger.Entry) {
	for i, f := range now.Fields {
		written := slices.ContainsFunc(u.sync.Fields, func(m project.Field) bool { return m.Field == f && !m.CreateOnly })
		if at, ok := u.byName[f]; ok && values[at].IsAbsent() && written {
			values[at] = now.Values[i]
		}
	}
}

// inverseOfNew removes a record the run created; one it only may have created stays.
func (u *undoing) inverseOfNew(h ledger.History, it *plan.Item) (*plan.Item, string) {
	_, can := u.dest.object.Ops[connector.OpDelete]
	switch {
	case h.Created != connector.Yes:
		return nil, "the tool did not say that the run created the record, and the values before are not known"
	case !can:
		return nil, u.dest.object.Name + " cannot be deleted"
	}
	it.Action, it.Op = plan.Remove, connector.OpDelete
	it.Values = make([]row.Value, len(u.fields))
	return it, ""
}

func (u *undoing) changeOp() connector.Op {
	if _, ok := u.dest.object.Ops[connector.OpUpdate]; ok {
		return connector.OpUpdate
	}
	return connector.OpUpsert
}

func (u *undoing) createOp() connector.Op {
	if _, ok := u.dest.object.Ops[connector.OpUpsert]; ok {
		return connector.OpUpsert
	}
	return connector.OpInsert
}

// identity normalises a match as the sync's mapping does.
func (u *undoing) identity(match []row.Value) []byte {
	folds := slices.ContainsFunc(u.dest.object.Fields, func(f connector.Field) bool {
		return (f.FoldCase || f.TrimSpace) && slices.Contains(u.meta.MatchFields, f.Name)
	})
	other := func(m project.MatchField) bool { return !slices.Contains(u.model.Key, m.Column) }
	sameSize := len(u.sync.Match) == 0 || len(u.sync.Match) == len(u.model.Key)
	if !folds && sameSize && !slices.ContainsFunc(u.sync.Match, other) { // the match is the key
		return nil
	}
	return mapping.Identity(u.dest.object, u.meta.MatchFields, match)
}

func sameMatch(a, b []row.Value) bool { return slices.EqualFunc(a, b, row.Value.Equal) }
