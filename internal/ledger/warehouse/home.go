// Package warehouse keeps a sync's ledger in tables of the warehouse that holds the model, and lets the warehouse compare: only rows
// whose columns differ from those the tool last accepted leave it. Acknowledgements are durable in a local log at once, as those of
// a local ledger, and are moved into the warehouse when a run settles; a run that died is settled by the next.
//
// docs/adr/0005-ledger-in-the-warehouse.md says what the tables are and what happens when something fails.
package warehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/local"
	"github.com/upwelldata/upwell/internal/row"
)

// Options say where a ledger lives.
type Options struct {
	// Open connects to the warehouse; every snapshot and session has a connection of its own.
	Open func(ctx context.Context) (connector.Warehouse, error)
	// Dir is a private folder for what a run has acknowledged and not yet moved into the warehouse. Its content decides nothing
	// once a run has settled.
	Dir           string
	Source        string // name of the connection, for messages
	Schema        string // "" = the dialect's
	Project, Sync string
	Fresh         bool // the ledger is taken for empty and cannot be written: for a plan that starts a new generation
	HistoryRuns   int  // runs whose history is kept; 0 = 50
	Now           func() time.Time
}

// Open gives a sync's ledger. Nothing is read or written before a method is called.
func Open(o Options) ledger.Home {
	if o.HistoryRuns <= 0 {
		o.HistoryRuns = 50
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &home{o}
}

type home struct{ o Options }

// format is the version of the tables this package writes.
const format = 1

// document is what the state table holds of a ledger.
type document struct {
	Format  int         `json:"format"`
	Canon   int         `json:"canonical"`
	Meta    ledger.Meta `json:"meta"`
	Key     []string    `json:"key"`     // the key's columns in the ledger table; none: there is no table
	Settled string      `json:"settled"` // run that was settled last
	Fresh   bool        `json:"fresh"`   // reset since the last publication
	Runs    []string    `json:"runs"`    // whose history is kept, old to new
}

// table reports whether the ledger table is there.
func (d *document) table() bool { return len(d.Key) > 0 }

// seal adds a checksum, so that a document changed by somebody else is noticed.
func (d document) seal() (string, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "encoding the state of a ledger")
	}
	return fmt.Sprintf("%016x %s", xxh3.Hash(b), b), nil
}

func unseal(text string) (d document, err error) {
	var sum uint64
	if len(text) < 18 {
		return d, damaged("its state is cut short")
	}
	if _, err := fmt.Sscanf(text[:16], "%x", &sum); err != nil || sum != xxh3.HashString(text[17:]) {
		return d, damaged("the checksum of its state does not fit")
	}
	if err := json.Unmarshal([]byte(text[17:]), &d); err != nil {
		return d, damaged("its state is no document: %v", err)
	}
	if d.Format > format || d.Canon > row.CanonicalVersion {
		return d, fault.New(fault.StateNewer, "the ledger in the warehouse has format %d, this version knows %d", d.Format, format)
	}
	return d, nil
}

// The seed is that of every ledger, so that one can move between homes.
func emptyDocument() document {
	return document{Format: format, Canon: row.CanonicalVersion, Meta: ledger.Meta{Generation: 1, Seed: local.Seed}}
}

// state is a row of the state table.
type state struct {
	document
	known   bool // the row is there
	token   string
	holder  string
	until   int64
	scratch string
}

// connection is an open warehouse with the words for one ledger.
type connection struct {
	wh  connector.Warehouse
	sql dialect.Ledger
}

func (h *home) connect(ctx context.Context) (*connection, error) {
	w, err := h.o.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{wh: w, sql: dialect.OfSync(w.Dialect(), h.o.Schema, h.o.Project, h.o.Sync)}, nil
}

// exec runs statements of the ledger.
func (c *connection) exec(ctx context.Context, list ...connector.Statement) error {
	if len(list) == 0 {
		return nil
	}
	return c.wh.Exec(ctx, list)
}

// state reads the ledger's state; that of an empty one where it was never written. Its number of rows is not counted: see snapshot.
func (c *connection) state(ctx context.Context) (state, error) {
	s := state{document: emptyDocument()}
	there, err := c.there(ctx, c.sql.StateThere())
	if err != nil || !there {
		return s, err
	}
	err = c.each(ctx, c.sql.State(), func(v []row.Value) error {
		version := v[0].Int()
		s.token, s.holder, s.until, s.scratch, s.known = v[1].Str(), v[2].Str(), v[3].Int(), v[4].Str(), true
		if s.document, err = unseal(v[5].Str()); err != nil {
			return err
		}
		s.Meta.Version = uint64(version)
		return nil
	})
	return s, err
}

// there reports whether a table is there.
func (c *connection) there(ctx context.Context, look dialect.Look) (bool, error) {
	if list, ok := c.wh.(connector.Catalog); ok {
		return list.HasTable(ctx, look.Schema, look.Table)
	}
	n, err := c.count(ctx, look.Query)
	return n > 0, err
}

// count runs a query that counts.
func (c *connection) count(ctx context.Context, q connector.Query) (n int64, err error) {
	err = c.each(ctx, q, func(v []row.Value) error { n += v[0].Int(); return nil })
	return n, err
}

// each calls do for every row of a query. Values live until it returns.
func (c *connection) each(ctx context.Context, q connector.Query, do func([]row.Value) error) error {
	for rec, err := range c.wh.Read(ctx, q) {
		if err != nil {
			return err
		}
		kinds := make([]row.Kind, rec.NumCols())
		for j, f := range rec.Schema().Fields() {
			if kinds[j], err = row.KindOf(f); err != nil {
				return err
			}
		}
		vals := make([]row.Value, len(kinds))
		for i := range int(rec.NumRows()) {
			for j := range vals {
				vals[j] = whole(row.At(rec.Column(j), kinds[j], i))
			}
			if err := do(vals); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole turns a number that a warehouse keeps as a decimal, as its only kind of number, into an integer.
func whole(v row.Value) row.Value {
	if v.Kind() != row.Decimal {
		return v
	}
	n, err := row.ParseText(row.Int, row.NormalDecimal(v.Str()))
	if err != nil {
		return v
	}
	return n
}

func (h *home) Snapshot(ctx context.Context) (ledger.Snapshot, error) {
	c, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	s, err := h.snapshot(ctx, c)
	if err != nil {
		return nil, errors.Join(err, c.wh.Close())
	}
	s.owned = true
	return s, nil
}

func (h *home) snapshot(ctx context.Context, c *connection) (*snapshot, error) {
	s := &snapshot{h: h, c: c, state: state{document: emptyDocument()}}
	if h.o.Fresh {
		return s, nil
	}
	var err error
	if s.state, err = c.state(ctx); err == nil && s.table() {
		s.document.Meta.Rows, err = c.count(ctx, c.sql.Count())
	}
	return s, err
}

// Reset forgets the entries and begins a new generation. What a run that died had acknowledged is settled before, for its history.
func (h *home) Reset(ctx context.Context) (err error) {
	s, err := h.begin(ctx, "reset")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	d := s.snap.document
	d.Fresh, d.Key = true, nil
	old := d.Meta
	d.Meta = ledger.Meta{Version: old.Version + 1, Generation: old.Generation + 1, Seed: old.Seed, LastRun: old.LastRun, LastRunAt: old.LastRunAt}
	meta, err := d.seal()
	if err != nil {
		return err
	}
	// A table without a state that knows it is made anew by the next run.
	done, err := s.c.sql.Settle(dialect.Settling{Run: "reset", Token: s.token, Version: int64(d.Meta.Version), Meta: meta})
	if err != nil {
		return err
	}
	if err := s.exec(ctx, done...); err != nil {
		return err
	}
	return s.exec(ctx, s.c.sql.Forget())
}

// Inspect decodes the state and every entry.
func (h *home) Inspect(ctx context.Context, _ bool) (found []ledger.Damage, err error) {
	c, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.wh.Close()) }()
	where := "tables " + c.sql.ID() + " in " + c.sql.Schema()
	note := func(err error) error {
		f := fault.As(err)
		if f.Code != fault.StateCorrupt {
			return err
		}
		found = append(found, ledger.Damage{File: where, What: f.Message})
		return nil
	}
	s, err := c.state(ctx)
	if err != nil || !s.table() {
		return found, noted(err, note)
	}
	return found, c.each(ctx, c.sql.Entries(nil), func(v []row.Value) error {
		_, err := decodeEntry(v[0].Str())
		return noted(err, note)
	})
}

func noted(err error, note func(error) error) error {
	if err == nil {
		return nil
	}
	return note(err)
}

func (h *home) walDir() string { return filepath.Join(h.o.Dir, "acknowledged") }

func (h *home) wal() ledger.Home { return local.Open(h.walDir(), local.Options{Now: h.o.Now}) }

func (h *home) dropWAL() error {
	if err := os.RemoveAll(h.walDir()); err != nil {
		return fault.Wrap(fault.StateUnusable, err, "removing what was moved into the warehouse")
	}
	return nil
}
