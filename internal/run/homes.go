package run

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
	"github.com/upwelldata/upwell/internal/project"
)

// LocalState is the project's state folder.
type LocalState interface {
	// Ledger is the local ledger of a name, LedgerDir a private folder for what belongs to one.
	Ledger(name string) ledger.Home
	LedgerDir(name string) string
	// DropLedger removes a local ledger and all it holds.
	DropLedger(name string) error
}

// nextSuffix follows the name of a sync whose ledger is taken for empty, as a new generation begins.
const nextSuffix = ".next"

// Homes gives the ledgers of the engine's project: in the state folder, or in the warehouse where the source says so. A ledger that
// lives elsewhere than it should moves when a run begins; until then it is read where it is.
func (e *Engine) Homes(local LocalState) func(name string) ledger.Home {
	return func(name string) ledger.Home {
		base, next := strings.CutSuffix(name, nextSuffix)
		s := e.Project.Syncs[base]
		if s == nil { // a sync that left the project
			return local.Ledger(name)
		}
		h := &homes{e: e, local: local, sync: s}
		if next {
			if c := h.wanted(); c != nil {
				return h.inWarehouse(c, true)
			}
			return local.Ledger(name)
		}
		return h
	}
}

// homes is the ledger of one sync, wherever it lives.
type homes struct {
	e     *Engine
	local LocalState
	sync  *project.Sync
}

// wanted is the source that should hold the ledger; nil = the state folder should.
func (h *homes) wanted() *project.Connection {
	if c := h.e.Project.Sources[h.e.Project.Models[h.sync.Model].Source]; c.Diff == "warehouse" {
		return c
	}
	return nil
}

// wantedName is what SyncState.Home says once the ledger lives where it should.
func (h *homes) wantedName() string {
	if c := h.wanted(); c != nil {
		return "warehouse:" + c.Name
	}
	return ""
}

func (h *homes) inWarehouse(c *project.Connection, fresh bool) ledger.Home {
	return placedHome{where: c.Where, Home: warehouse.Open(warehouse.Options{
		Open:   func(ctx context.Context) (connector.Warehouse, error) { return h.e.OpenWarehouse(ctx, c) },
		Source: c.Name, Schema: c.StateSchema, Dir: filepath.Join(h.local.LedgerDir(h.sync.Name), "warehouse"),
		Project: h.e.Project.Name, Sync: h.sync.Name, Fresh: fresh, Now: h.e.Now,
	})}
}

// OpenWarehouse opens a source that holds ledgers.
func (e *Engine) OpenWarehouse(ctx context.Context, c *project.Connection) (connector.Warehouse, error) {
	src, err := e.openSource(ctx, c, true) // also where the ledger is about to leave it
	if err != nil {
		return nil, err
	}
	if w, ok := src.(connector.Warehouse); ok && w.Dialect().Ledger != nil {
		return w, nil
	}
	return nil, closing(src, fault.New(fault.ProjectValue, "source %s is of type %s, which cannot hold the ledger", c.Name, c.Type).At(c.Where).
		WithFix("use diff: local"))
}

// place gives the home of a name as SyncState keeps it.
func (h *homes) place(name string) (ledger.Home, error) {
	source, in := strings.CutPrefix(name, "warehouse:")
	if !in {
		return h.local.Ledger(h.sync.Name), nil
	}
	c, ok := h.e.Project.Sources[source]
	if !ok {
		return nil, fault.New(fault.StateMissing, "the ledger of %s lives in source %s, which is no longer in the project", h.sync.Name, source).At(h.sync.Where).
			WithFix("put the source back until the ledger has moved, or `upwell reset %s`", h.sync.Name)
	}
	return h.inWarehouse(c, false), nil
}

// current finds where the ledger lives now. Where nothing is on record it lives where it should.
func (h *homes) current(ctx context.Context) (ledger.Home, string, error) {
	name := h.wantedName()
	if h.e.Store != nil {
		st, err := h.e.Store.SyncState(ctx, h.sync.Name)
		if err != nil {
			return nil, "", err
		}
		if st.Home != "" || name != "" && (st.Published || h.localHolds(ctx)) {
			name = st.Home
		}
	}
	if name == localHome {
		name = ""
	}
	home, err := h.place(name)
	return home, name, err
}

// localHome is how SyncState says that a ledger came back from a warehouse.
const localHome = "local"

// localHolds: a ledger that was never moved has no record of where it lives.
func (h *homes) localHolds(ctx context.Context) bool {
	s, err := h.local.Ledger(h.sync.Name).Snapshot(ctx)
	if err != nil {
		return true // damage must be looked at where it is
	}
	defer s.Close() //nolint:errcheck // it was only looked at
	return s.Meta().Version > 0
}

func (h *homes) Snapshot(ctx context.Context) (ledger.Snapshot, error) {
	home, name, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	s, err := home.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.lost(ctx, s.Meta(), name); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (h *homes) Begin(ctx context.Context, run string) (ledger.Session, error) {
	home, name, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	want := h.wantedName()
	if name != want {
		to, err := h.place(want)
		if err != nil {
			return nil, err
		}
		if err := h.intact(ctx, home, name); err != nil {
			return nil, err
		}
		if err := move(ctx, home, to); err != nil {
			return nil, err
		}
		home = to
	}
	if err := h.record(ctx, want); err != nil {
		return nil, err
	}
	if name != want {
		if err := h.vacate(ctx, name); err != nil {
			return nil, err
		}
	}
	s, err := home.Begin(ctx, run)
	if err != nil {
		return nil, err
	}
	m := s.Snapshot().Meta()
	if err = h.lost(ctx, m, want); err == nil && m.Version > 0 {
		err = h.e.published(ctx, h.sync.Name)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// record says where the ledger lives from now on.
func (h *homes) record(ctx context.Context, name string) error {
	st, err := h.e.Store.SyncState(ctx, h.sync.Name)
	if err != nil {
		return err
	}
	if name == "" && st.Home != "" {
		name = localHome
	}
	if st.Home == name {
		return nil
	}
	st.Home = name
	return h.e.Store.SetSyncState(ctx, h.sync.Name, st)
}

// vacate empties the home that a ledger has left.
func (h *homes) vacate(ctx context.Context, name string) error {
	if name == "" {
		return h.local.DropLedger(h.sync.Name)
	}
	old, err := h.place(name)
	if err != nil {
		return err
	}
	return old.Reset(ctx)
}

func (h *homes) Reset(ctx context.Context) error {
	home, _, err := h.current(ctx)
	if err != nil {
		return err
	}
	if err := home.Reset(ctx); err != nil {
		return err
	}
	st, err := h.e.Store.SyncState(ctx, h.sync.Name)
	if err != nil || !st.Published {
		return err
	}
	st.Published = false
	return h.e.Store.SetSyncState(ctx, h.sync.Name, st)
}

func (h *homes) Inspect(ctx context.Context, repair bool) ([]ledger.Damage, error) {
	home, name, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	found, err := home.Inspect(ctx, repair)
	if err != nil || len(found) > 0 {
		return found, err
	}
	err = h.intact(ctx, home, name)
	if f := fault.As(err); f != nil && f.Code == fault.StateMissing {
		return []ledger.Damage{{File: h.describe(name), What: f.Message}}, nil
	}
	return nil, err
}

// move copies a ledger with its history. It is published in one step: a process that dies before has moved nothing, and one that
// dies after moves once more.
func move(ctx context.Context, from, to ledger.Home) (err error) {
	if err := recovered(ctx, from); err != nil {
		return err
	}
	snap, err := from.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	if err := snap.Verify(ctx); err != nil {
		return err
	}
	m := snap.Meta()
	if m.Version == 0 {
		return nil
	}
	if err := to.Reset(ctx); err != nil { // what an earlier move left
		return err
	}
	pub := ledger.Publication{KeyColumns: m.KeyColumns, KeyKinds: m.KeyKinds, MatchFields: m.MatchFields, Mapping: m.Mapping, Target: m.Target, NullKeys: m.NullKeys, Complete: m.Complete}
	if past, ok := snap.(ledger.Historian); ok {
		for _, run := range past.Runs() {
			if err := moveHistory(ctx, snap, to, run, pub); err != nil {
				return err
			}
		}
	}
	last := m.LastRun
	if last == "" {
		last = "moved"
	}
	s, err := to.Begin(ctx, last)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b := acker{s: s, ctx: ctx}
	for e, err := range snap.Each(ctx) {
		if err != nil {
			return err
		}
		if err := b.add(ledger.Ack{Entry: cloneEntry(e)}); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	return s.Publish(ctx, pub)
}

// recovered makes a home publish what a dead run had acknowledged.
func recovered(ctx context.Context, h ledger.Home) error {
	s, err := h.Begin(ctx, "recovery")
	if err != nil {
		return err
	}
	return s.Close()
}

func moveHistory(ctx context.Context, snap ledger.Snapshot, to ledger.Home, run string, pub ledger.Publication) (err error) {
	s, err := to.Begin(ctx, run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b := acker{s: s, ctx: ctx}
	for h, err := range snap.RunHistory(ctx, run) {
		if fault.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return err
		}
		if err := b.add(ledger.Ack{
			Op: h.Op, Outcome: h.Outcome, HistOnly: true, Before: []ledger.History{h},
			Entry: ledger.Entry{Key: h.Key, Created: h.Created, Run: run, At: h.At},
		}); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	pub.Complete = false
	return s.Publish(ctx, pub)
}

// acker hands acknowledgements over by the thousand.
type acker struct {
	s    ledger.Session
	ctx  context.Context //nolint:containedctx // lives for one call of move
	list []ledger.Ack
}

func (a *acker) add(ack ledger.Ack) error {
	a.list = append(a.list, ack)
	if len(a.list) < 1000 {
		return nil
	}
	return a.flush()
}

func (a *acker) flush() error {
	err := a.s.Ack(a.ctx, a.list, false)
	a.list = a.list[:0]
	return err
}

// cloneEntry copies an entry whose memory is borrowed.
func cloneEntry(e *ledger.Entry) ledger.Entry {
	r := ledger.Record{Key: e.Key, MatchID: e.MatchID, Match: e.Match, Values: e.Values}
	c := r.Clone()
	out := *e
	out.Key, out.MatchID, out.Match, out.Values = c.Key, c.MatchID, c.Match, c.Values
	if out.At.IsZero() {
		out.At = time.Unix(0, 0)
	}
	return out
}
