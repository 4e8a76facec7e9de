package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/upwelldata/upwell/internal/fault"
)

// disk is every way in which this package changes the state folder. Tests put a disk in its place that fails, dies or loses what
// was not synced; reading goes to the operating system directly.
type disk interface {
	mkdir(dir string) error
	create(path string) (sink, error) // truncates what is there
	rename(from, to string) error
	remove(path string) error
	syncDir(dir string) error
}

// sink is a file being written; it is only ever appended to.
type sink interface {
	io.WriteCloser
	Sync() error
}

type osDisk struct{}

func (osDisk) mkdir(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osDisk) create(path string) (sink, error) {
	return os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (osDisk) syncDir(dir string) error {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer discard(f)
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// discard closes what was only read, or what is thrown away.
func discard(c io.Closer) {
	_ = c.Close() //nolint:errcheck // reading has already told of every error that counts
}

// unusable makes the fault of a failed write: a full disk has a code of its own.
func unusable(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.Wrap(fault.StateFull, err, doing, args...)
	}
	return fault.Wrap(fault.StateUnusable, err, doing, args...)
}

// unreadable makes the fault of a failed read: a file that is missing or short is damage, a refusing disk is not.
func unreadable(err error, doing string, args ...any) error {
	var f *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(fault.StateCorrupt, err, doing, args...)
	}
	return fault.Wrap(fault.StateUnusable, err, doing, args...)
}

func corrupt(file, what string, args ...any) error {
	return fault.New(fault.StateCorrupt, "ledger file "+filepath.Base(file)+": "+what, args...)
}
