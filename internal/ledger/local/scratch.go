package local

import (
	"context"
	"iter"
	"os"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// looseDisk is the operating system's without waiting for anything to be durable: for what does not outlive the process.
type looseDisk struct{ osDisk }

type looseSink struct{ sink }

func (looseDisk) create(path string) (sink, error) {
	f, err := osDisk{}.create(path)
	if err != nil {
		return nil, err
	}
	return looseSink{f}, nil
}

func (looseDisk) syncDir(string) error { return nil }
func (looseSink) Sync() error          { return nil }

// Gather keeps entries of a ledger that lives elsewhere in a temporary folder, below dir, for as long as the snapshot is open.
func Gather(ctx context.Context, dir string, meta ledger.Meta, entries iter.Seq2[*ledger.Entry, error]) (ledger.Snapshot, error) {
	b, err := newGathering(ctx, dir, meta)
	if err != nil {
		return nil, err
	}
	for e, err := range entries {
		if err == nil {
			err = b.add(ctx, e)
		}
		if err != nil {
			return nil, b.drop(err)
		}
	}
	return b.publish(ctx)
}

// gathering is a ledger being filled in a temporary folder.
type gathering struct {
	dir     string
	home    *home
	session *session
	meta    ledger.Meta
}

func newGathering(ctx context.Context, dir string, meta ledger.Meta) (*gathering, error) {
	if meta.Seed != Seed {
		return nil, fault.New(fault.StateNewer, "the ledger's hashes have the seed %x, this version knows %x", meta.Seed, uint64(Seed))
	}
	temp, err := os.MkdirTemp(dir, "upwell-ledger-")
	if err != nil {
		return nil, unusable(err, "making a folder for a part of the ledger")
	}
	b := &gathering{dir: temp, meta: meta, home: &home{dir: temp, opts: Options{disk: looseDisk{}}.filled()}}
	if err := b.home.recover(ctx); err != nil {
		return nil, b.drop(err)
	}
	if b.session, err = b.home.session("scratch"); err != nil {
		return nil, b.drop(err)
	}
	b.session.gathers = true
	return b, nil
}

func (b *gathering) add(ctx context.Context, e *ledger.Entry) error {
	return b.session.Ack(ctx, []ledger.Ack{{Entry: *e}}, false)
}

// drop removes the folder after a failure.
func (b *gathering) drop(err error) error {
	if b.session != nil {
		_ = b.session.Close() //nolint:errcheck // what failed before counts
	}
	if rerr := os.RemoveAll(b.dir); err == nil {
		return unusable(rerr, "removing a part of the ledger in %s", b.dir)
	}
	return err
}

// publish gives the entries as a snapshot, which says of itself what the ledger elsewhere says.
func (b *gathering) publish(ctx context.Context) (*gathered, error) {
	err := b.session.Publish(ctx, ledger.Publication{})
	if err == nil {
		err = b.session.Close()
		b.session = nil
	}
	var s *snapshot
	if err == nil {
		s, err = b.home.snapshot()
	}
	if err != nil {
		return nil, b.drop(err)
	}
	return &gathered{snapshot: s, meta: b.meta, dir: b.dir}, nil
}

// gathered is a snapshot in a temporary folder.
type gathered struct {
	*snapshot
	meta ledger.Meta
	dir  string
}

func (g *gathered) Meta() ledger.Meta {
	m := g.meta
	m.Rows = g.snapshot.Meta().Rows
	return m
}

func (g *gathered) Close() error {
	err := g.snapshot.Close()
	if rerr := os.RemoveAll(g.dir); err == nil {
		err = rerr
	}
	return err
}

// Scratch compares rows with entries that come beside them: for a home elsewhere that knows which rows may differ. All rows are
// candidates; which of them did not change is found in Finish. Not for several goroutines.
type Scratch struct {
	*comparison
	rest *gathering
	snap *gathered
}

// NewScratch starts a comparison in a temporary folder below opts.TempDir.
func NewScratch(ctx context.Context, meta ledger.Meta, opts ledger.CompareOptions) (*Scratch, error) {
	b, err := newGathering(ctx, opts.TempDir, meta)
	if err != nil {
		return nil, err
	}
	c := newComparison(opts, meta.Seed)
	c.late = !opts.All
	return &Scratch{comparison: c, rest: b}, nil
}

// Add takes an entry that a row is compared with, or whose row is gone. The same key may come again.
func (s *Scratch) Add(ctx context.Context, e *ledger.Entry) error { return s.rest.add(ctx, e) }

// Finish says that all rows and entries have come.
func (s *Scratch) Finish(ctx context.Context) (ledger.Delta, error) {
	b := s.rest
	s.rest = nil
	snap, err := b.publish(ctx)
	if err != nil {
		return nil, err
	}
	s.snap = snap
	s.bind(snap.s.retain())
	return s.comparison.Finish(ctx)
}

// Close throws away what is left. A Delta that Finish gave must have been closed before.
func (s *Scratch) Close() error {
	var err error
	switch {
	case s.comparison.s != nil:
		err = s.comparison.Close()
	case !s.done:
		err = s.spool.close()
	}
	if s.rest != nil {
		if derr := s.rest.drop(nil); err == nil {
			err = derr
		}
		s.rest = nil
	}
	if s.snap != nil {
		if cerr := s.snap.Close(); err == nil {
			err = cerr
		}
		s.snap = nil
	}
	return err
}
