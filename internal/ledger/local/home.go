// Package local keeps a ledger in a folder of its own: immutable, checksummed segments of entries, a probe index derived from
// them, history per run, and a manifest that names what is in force. Nothing is ever changed in place. A writer adds files and
// replaces the manifest in one step; readers in other processes open what the manifest names and change no byte.
//
// docs/adr/0003-local-ledger.md says why, with measurements.
package local

import (
	"context"
	"time"

	"github.com/upwelldata/upwell/internal/ledger"
)

// Options of a ledger; the zero value is right for production.
type Options struct {
	HistoryRuns int           // runs whose history is kept at most; 0 = 50
	HistoryAge  time.Duration // and for how long, the last run always; 0 = 30 days
	TableBytes  int           // acknowledgements held in memory before they become a segment; 0 = 16 MiB
	ProbeBytes  int64         // an index larger than this is merged instead of probed at random; 0 = 4 GiB
	Now         func() time.Time

	disk disk
}

func (o Options) filled() Options {
	if o.HistoryRuns <= 0 {
		o.HistoryRuns = 50
	}
	if o.HistoryAge <= 0 {
		o.HistoryAge = 30 * 24 * time.Hour
	}
	if o.TableBytes <= 0 {
		o.TableBytes = 16 << 20
	}
	if o.ProbeBytes <= 0 {
		o.ProbeBytes = 4 << 30
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	return o
}

type home struct {
	dir  string
	opts Options
}

// Open gives the ledger in a folder, which need not be there yet: Begin makes it (0700, files 0600). Nothing is read or written
// before a method is called.
func Open(dir string, opts Options) ledger.Home {
	return &home{dir: dir, opts: opts.filled()}
}

func (h *home) Snapshot(context.Context) (ledger.Snapshot, error) { return h.snapshot() }

func (h *home) snapshot() (*snapshot, error) {
	s, err := openState(h.dir)
	if err != nil {
		return nil, err
	}
	return &snapshot{s: s, opts: h.opts, open: true}, nil
}

func (h *home) Begin(ctx context.Context, run string) (ledger.Session, error) {
	if err := h.recover(ctx); err != nil {
		return nil, err
	}
	return h.session(run)
}

// Reset recovers first, so that acknowledgements of a run that died are still in its history.
func (h *home) Reset(ctx context.Context) error {
	if err := h.recover(ctx); err != nil {
		return err
	}
	old, err := readManifest(h.dir)
	if err != nil {
		return err
	}
	m := *old
	m.Segments, m.Index, m.Fresh = nil, nil, true
	m.Meta = ledger.Meta{
		Version: old.Meta.Version + 1, Generation: old.Meta.Generation + 1, Seed: old.Meta.Seed,
		LastRun: old.Meta.LastRun, LastRunAt: old.Meta.LastRunAt,
	}
	if err := m.publish(h.opts.disk, h.dir); err != nil {
		return err
	}
	return h.sweep(&m)
}
