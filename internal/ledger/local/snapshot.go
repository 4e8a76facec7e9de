package local

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"sync"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// snapshot is one published state, open for reading.
type snapshot struct {
	s    *state
	opts Options
	open bool

	mu   sync.Mutex
	load *loader // for Get: asked in hash order it reads a block once
}

func (p *snapshot) Meta() ledger.Meta { return p.s.m.Meta }

// Runs lists the runs with history, old to new.
func (p *snapshot) Runs() []string {
	out := make([]string, len(p.s.m.History))
	for i, h := range p.s.m.History {
		out[i] = h.Run
	}
	return out
}

func (p *snapshot) Verify(ctx context.Context) error { return p.s.verify(ctx) }

func (p *snapshot) Close() error {
	if !p.open {
		return nil
	}
	p.open = false
	return p.s.release()
}

func (p *snapshot) Get(_ context.Context, key []byte) (*ledger.Entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.load == nil {
		p.load = p.s.loader()
	}
	return p.s.get(p.load, key)
}

func (s *state) get(l *loader, key []byte) (*ledger.Entry, error) {
	return s.into(l, key, &ledger.Entry{})
}

// into is get into an entry that may have been used before.
func (s *state) into(l *loader, key []byte, e *ledger.Entry) (*ledger.Entry, error) {
	h := keyHash(s.m.Meta.Seed, key)
	from, to := s.index.find(h)
	if from == to {
		return nil, nil
	}
	group, err := l.at(h, from, to)
	if err != nil {
		return nil, err
	}
	for i := range group {
		if bytes.Equal(group[i].key, key) {
			return e, group[i].entry(e)
		}
	}
	return nil, nil
}

func (p *snapshot) Each(ctx context.Context) iter.Seq2[*ledger.Entry, error] {
	return func(yield func(*ledger.Entry, error) bool) {
		l, x, e := p.s.loader(), p.s.index, &ledger.Entry{}
		for i, n := 0, 0; i < x.rows(); n++ {
			if n%1024 == 0 && ctx.Err() != nil {
				yield(nil, fault.Wrap(fault.Cancelled, ctx.Err(), "reading the ledger"))
				return
			}
			h := x.hash(i)
			to := x.group(i, h)
			group, err := l.at(h, i, to)
			for j := range group {
				if err = group[j].entry(e); err != nil || !yield(e, nil) {
					break
				}
				if j == len(group)-1 {
					i = to
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if i != to {
				return
			}
		}
	}
}

// historyFile is an open file of history and its lists.
type historyFile struct {
	*table
	lists *lists
}

// errRetired says that a newer publication has let a run's history go.
var errRetired = errors.New("history has been retired")

func (s *state) openHistory(ref fileRef) (*historyFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.history[ref.Name]; h != nil {
		return h, nil
	}
	t, err := openTable(filepath.Join(s.dir, ref.Name), kindHistory, ref.Bytes)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && s.retired(ref) {
			return nil, errRetired
		}
		return nil, err
	}
	l, err := decodeLists(t.tail)
	if err != nil {
		t.close()
		return nil, corrupt(t.path, "its lists cannot be read")
	}
	h := &historyFile{table: t, lists: l}
	s.history[ref.Name] = h
	return h, nil
}

// trail reads the changes of one run, key by key.
type trail struct {
	run     string
	files   []*historyFile // old to new
	cursors []*tableCursor
}

func (s *state) trail(ref historyRef) (*trail, error) {
	t := &trail{run: ref.Run}
	for _, f := range ref.Files {
		h, err := s.openHistory(f)
		if err != nil {
			return nil, err
		}
		t.files = append(t.files, h)
		t.cursors = append(t.cursors, h.cursor(s.m.Meta.Seed))
	}
	return t, nil
}

// of appends what the run did to a key, newest first.
func (t *trail) of(out []change, hash uint64, key []byte) ([]change, error) {
	for i := len(t.cursors) - 1; i >= 0; i-- {
		c, start := t.cursors[i], len(out)
		for ok := c.seek(hash); ok && c.hash() == hash; ok = c.next() {
			if !bytes.Equal(c.key(), key) {
				continue
			}
			h, err := t.decode(i)
			if err != nil {
				return nil, err
			}
			out = append(out, h)
		}
		if c.fail != nil {
			return nil, c.fail
		}
		slices.Reverse(out[start:])
	}
	return out, nil
}

func (t *trail) decode(i int) (change, error) {
	c := t.cursors[i]
	p, err := c.payload()
	if err != nil {
		return change{}, err
	}
	h, err := decodeHistory(t.run, c.key(), p, t.files[i].lists)
	if err != nil {
		return h, corrupt(c.t.path, "a change cannot be read")
	}
	return h, nil
}

func (p *snapshot) KeyHistory(ctx context.Context, key []byte) iter.Seq2[ledger.History, error] {
	return func(yield func(ledger.History, error) bool) {
		e, err := p.Get(ctx, key)
		if err != nil {
			yield(ledger.History{}, err)
			return
		}
		var now after
		now.start(e)
		hash := keyHash(p.s.m.Meta.Seed, key)
		for _, ref := range slices.Backward(p.s.m.History) {
			t, err := p.s.trail(ref)
			if errors.Is(err, errRetired) {
				return
			}
			var changes []change
			if err == nil {
				changes, err = t.of(nil, hash, key)
			}
			if err != nil {
				yield(ledger.History{}, err)
				return
			}
			for i := range changes {
				now.step(&changes[i])
				if changes[i].flags&histHidden == 0 && !yield(changes[i].History, nil) {
					return
				}
			}
		}
	}
}

func (p *snapshot) RunHistory(ctx context.Context, run string) iter.Seq2[ledger.History, error] {
	return func(yield func(ledger.History, error) bool) {
		if err := p.runHistory(ctx, run, yield); err != nil {
			yield(ledger.History{}, err)
		}
	}
}

func (p *snapshot) runHistory(ctx context.Context, run string, yield func(ledger.History, error) bool) error {
	at := slices.IndexFunc(p.s.m.History, func(h historyRef) bool { return h.Run == run })
	if at < 0 {
		return fault.New(fault.NotFound, "the ledger holds no history of run %s", run)
	}
	var trails []*trail // this run's and the newer ones, old to new
	for _, ref := range p.s.m.History[at:] {
		t, err := p.s.trail(ref)
		if errors.Is(err, errRetired) {
			return fault.New(fault.NotFound, "the history of run %s has just been let go", run)
		}
		if err != nil {
			return err
		}
		trails = append(trails, t)
	}
	walk := newMerge(oldFirst)
	for _, f := range trails[0].files {
		walk.add(f.cursor(p.s.m.Meta.Seed))
	}
	l := p.s.loader()
	var now after
	var changes []change
	var last []byte
	var entry ledger.Entry
	for n := 0; walk.next(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return fault.Wrap(fault.Cancelled, ctx.Err(), "reading the history of run %s", run)
		}
		if n > 0 && bytes.Equal(last, walk.key()) {
			continue // several changes of one key are yielded together
		}
		last = append(last[:0], walk.key()...)
		e, err := p.s.into(l, last, &entry)
		if err != nil {
			return err
		}
		now.start(e)
		changes = changes[:0]
		own := 0
		for i := len(trails) - 1; i >= 0; i-- {
			if i == 0 {
				own = len(changes)
			}
			if changes, err = trails[i].of(changes, walk.hash(), last); err != nil {
				return err
			}
		}
		for i := range changes {
			now.step(&changes[i])
			if i >= own && changes[i].flags&histHidden == 0 && !yield(changes[i].History, nil) {
				return nil
			}
		}
	}
	return walk.err()
}
