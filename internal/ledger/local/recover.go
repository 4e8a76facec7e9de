package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// found is what a session that did not publish left behind.
type found struct {
	run   string
	next  uint64
	pend  *pending
	table *builder
	lists lists
	torn  string // log with bytes at its end that were not completely written
	lost  int    // bytes skipped over, when salvaging
}

func (f *found) any() bool {
	return !f.table.empty() || f.pend != nil && len(f.pend.Segments)+len(f.pend.History) > 0
}

// recover publishes what a session that ended uncleanly had acknowledged durably, under that session's run.
func (h *home) recover(ctx context.Context) error {
	d := h.opts.disk
	if err := d.mkdir(h.dir); err != nil {
		return unusable(err, "making the ledger folder %s", h.dir)
	}
	m, err := readManifest(h.dir)
	if err != nil {
		return err
	}
	f, err := h.find(m, false)
	if err != nil {
		return err
	}
	if !f.any() {
		return h.sweep(m)
	}
	return h.adoptFound(ctx, f)
}

func (h *home) adoptFound(ctx context.Context, f *found) error {
	snap, err := h.snapshot()
	if err != nil {
		return err
	}
	defer discard(snap)
	s := &session{h: h, run: f.run, snap: snap, base: snap.s.m, table: f.table, lists: f.lists, over: true}
	s.next.Store(f.next)
	s.done.L = &s.mu
	if f.pend != nil {
		for _, ref := range f.pend.files() {
			if err := checkFile(h.dir, ref); err != nil {
				return err
			}
		}
		s.segs, s.hist = f.pend.Segments, f.pend.History
	}
	return s.settle(ctx, s.base.Meta, false, h.opts.Now().UTC().Truncate(time.Second))
}

// find reads PENDING and the logs that build on the published state.
func (h *home) find(m *manifest, salvage bool) (*found, error) {
	f := &found{next: m.Next, table: &builder{}}
	path := filepath.Join(h.dir, pendingName)
	p := &pending{}
	there, err := readSealed(path, p)
	switch {
	case err != nil:
		return nil, err
	case there && p.Base > m.Meta.Version:
		return nil, corrupt(path, "it builds on version %d and the ledger is at %d: the folder mixes files of different times", p.Base, m.Meta.Version)
	case there && p.Base == m.Meta.Version:
		f.pend, f.run, f.next = p, p.Run, max(f.next, p.Next)
	}
	names, err := logs(h.dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := h.findLog(f, m, name, salvage); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (h *home) findLog(f *found, m *manifest, name string, salvage bool) error {
	path := filepath.Join(h.dir, name)
	skip, err := h.skipLog(f, m, path)
	if err != nil || skip {
		return err
	}
	known := 0
	head, torn, lost, err := readLog(path, salvage, func(records []byte) error {
		return f.table.replay(m.Meta.Seed, records, &f.lists, &known)
	})
	if err != nil {
		return err
	}
	if torn > 0 {
		f.torn = name
	}
	f.lost += lost
	f.next = max(f.next, head.number+1)
	if head.run != "" {
		f.run = head.run
	}
	return nil
}

// skipLog reports a log whose acknowledgements are published or in segments.
func (h *home) skipLog(f *found, m *manifest, path string) (bool, error) {
	b := make([]byte, 4096)
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return false, unreadable(err, "opening ledger file %s", filepath.Base(path))
	}
	defer discard(file)
	n, err := file.ReadAt(b, 0)
	if n == 0 && err != nil {
		return true, nil
	}
	head, ok := parseLogHead(b[:n])
	if !ok {
		return false, nil
	}
	if head.base > m.Meta.Version {
		return false, corrupt(path, "it builds on version %d and the ledger is at %d: the folder mixes files of different times", head.base, m.Meta.Version)
	}
	return head.base < m.Meta.Version || f.pend != nil && head.number < f.pend.Log, nil
}

// sweep removes files of this package that the manifest does not name.
func (h *home) sweep(m *manifest) error {
	list, err := os.ReadDir(h.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(err, "reading the ledger folder")
	}
	keep := map[string]bool{}
	for _, f := range m.files() {
		keep[f.Name] = true
	}
	for _, e := range list {
		if keep[e.Name()] || !ours(e.Name()) {
			continue
		}
		if err := h.opts.disk.remove(filepath.Join(h.dir, e.Name())); err != nil {
			return unusable(err, "removing the left-over ledger file %s", e.Name())
		}
	}
	return nil
}

func ours(name string) bool {
	switch filepath.Ext(name) {
	case ".seg", ".hist", ".slots", ".flags", ".match":
		return len(strings.TrimSuffix(name, filepath.Ext(name))) == 16
	case ".log":
		return strings.HasPrefix(name, "acks-")
	case ".tmp":
		return strings.HasPrefix(name, manifestName) || strings.HasPrefix(name, pendingName)
	}
	return name == pendingName
}
