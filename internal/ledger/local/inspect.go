package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// inspection looks at every byte of a ledger, and mends it when asked.
type inspection struct {
	h      *home
	repair bool
	found  []ledger.Damage
	m      *manifest
	bad    map[string]error // files of the published state, by name
	lost   bool             // the log has damage that recovery would refuse
	forgot bool             // entries were given up
}

func (h *home) Inspect(ctx context.Context, repair bool) ([]ledger.Damage, error) {
	i := &inspection{h: h, repair: repair, bad: map[string]error{}}
	if err := i.manifest(); err != nil || i.m == nil {
		return i.found, err
	}
	if err := i.files(ctx); err != nil {
		return i.found, err
	}
	if repair && len(i.bad) > 0 {
		if err := i.mend(ctx); err != nil {
			return i.found, err
		}
	}
	if err := i.unpublished(); err != nil {
		return i.found, err
	}
	if !repair || len(i.found) == 0 {
		return i.found, nil
	}
	if err := i.recover(ctx); err != nil || !i.forgot {
		return i.found, err
	}
	// What was planned before must not be taken for a plan on what is left.
	m, err := readManifest(h.dir)
	if err == nil {
		m.Meta.Version++
		err = m.publish(h.opts.disk, h.dir)
	}
	return i.found, err
}

// report notes damage; loss is what mending it gives up.
func (i *inspection) report(file string, what error, mendable bool, loss string) {
	text := what.Error()
	if f := fault.As(what); f.Code == fault.StateCorrupt {
		text = strings.TrimPrefix(f.Message, "ledger file "+file+": ")
	}
	i.found = append(i.found, ledger.Damage{File: file, What: text, Repaired: i.repair && mendable, Loss: loss})
}

// damaged tells damage from a disk that refuses to answer.
func damaged(err error) bool { return fault.Is(err, fault.StateCorrupt) }

// manifest reads the manifest and its copy; either is mended from the other.
func (i *inspection) manifest() error {
	dir, d := i.h.dir, i.h.opts.disk
	path, copyPath := filepath.Join(dir, manifestName), filepath.Join(dir, backupName)
	second := &manifest{}
	there, cerr := readSealed(copyPath, second)
	if cerr == nil && there {
		cerr = second.check(copyPath)
	}
	m, err := readManifest(dir)
	switch {
	case err != nil && !damaged(err):
		return err
	case cerr != nil && !damaged(cerr):
		return cerr
	case err != nil && (cerr != nil || !there):
		i.report(manifestName, err, false, "the whole ledger: its copy cannot be read either, so only `upwell reset --ledger` helps")
		return nil
	case err != nil:
		i.report(manifestName, err, true, "")
		i.m = second
		if i.repair {
			return replaceSealed(d, path, second)
		}
	case cerr != nil:
		i.report(backupName, cerr, true, "")
		i.m = m
		if i.repair {
			return replaceSealed(d, copyPath, m)
		}
	default:
		i.m = m
	}
	return nil
}

// files sums every file the manifest names.
func (i *inspection) files(ctx context.Context) error {
	for _, ref := range i.m.files() {
		if ctx.Err() != nil {
			return fault.Wrap(fault.Cancelled, ctx.Err(), "inspecting the ledger")
		}
		err := checkFile(i.h.dir, ref)
		if err == nil {
			continue
		}
		if !damaged(err) {
			return err
		}
		i.bad[ref.Name] = err
		if !i.repair {
			i.report(ref.Name, err, true, i.loss(ref.Name))
		}
	}
	return nil
}

// loss says what mending a file would give up.
func (i *inspection) loss(name string) string {
	for _, s := range i.m.Segments {
		if s.Name == name {
			return "keys in the damaged blocks are forgotten: their rows count as new and are sent again"
		}
	}
	for _, h := range i.m.History {
		for _, f := range h.Files {
			if f.Name == name {
				return "history and undo of run " + h.Run + " and of runs before it"
			}
		}
	}
	return ""
}

// unpublished looks at what a session without an end left behind.
func (i *inspection) unpublished() error {
	path := filepath.Join(i.h.dir, pendingName)
	p := &pending{}
	there, err := readSealed(path, p)
	switch {
	case err != nil && !damaged(err):
		return err
	case err != nil:
		i.report(pendingName, err, true, "acknowledgements of the run that was interrupted: their rows are sent again")
		if i.repair {
			if err := i.h.opts.disk.remove(path); err != nil {
				return unusable(err, "removing ledger file %s", pendingName)
			}
		}
	case there && p.Base == i.m.Meta.Version:
		for _, ref := range p.files() {
			if err := i.pendingFile(path, ref); err != nil {
				return err
			}
		}
	}
	names, err := logs(i.h.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, torn, _, err := readLog(filepath.Join(i.h.dir, name), false, func([]byte) error { return nil })
		switch {
		case err != nil && !damaged(err):
			return err
		case err != nil:
			i.lost = true
			i.report(name, err, true, "the acknowledgements in the damaged part: their rows are sent again")
		case torn > 0:
			i.report(name, fmt.Errorf("the last %d bytes were not completely written", torn), true, "")
		}
	}
	return nil
}

func (p *pending) files() []fileRef {
	var out []fileRef
	for _, s := range p.Segments {
		out = append(out, s.fileRef)
	}
	return append(out, p.History...)
}

// pendingFile checks a file of an interrupted session. Such files are given up as a whole: their rows are sent again.
func (i *inspection) pendingFile(path string, ref fileRef) error {
	err := checkFile(i.h.dir, ref)
	if err == nil || !damaged(err) {
		return err
	}
	i.report(ref.Name, err, true, "acknowledgements of the run that was interrupted: their rows are sent again")
	if !i.repair {
		return nil
	}
	return unusable(i.h.opts.disk.remove(path), "removing ledger file %s", pendingName)
}

// recover publishes what can be read of an interrupted session, and removes what is left over.
func (i *inspection) recover(ctx context.Context) error {
	if !i.lost {
		return i.h.recover(ctx)
	}
	f, err := i.h.find(i.m, true)
	if err != nil {
		return err
	}
	if !f.any() {
		return i.h.sweep(i.m)
	}
	return i.h.adoptFound(ctx, f)
}

// nextNumber is a file number nothing in the folder uses.
func nextNumber(dir string, m *manifest) (uint64, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return 0, unreadable(err, "reading the ledger folder")
	}
	next := m.Next
	for _, e := range list {
		name := strings.TrimPrefix(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), "acks-")
		if n, err := strconv.ParseUint(name, 16, 64); err == nil && len(name) == 16 {
			next = max(next, n+1)
		}
	}
	return next, nil
}
