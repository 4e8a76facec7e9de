package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// Inspect checks the store's file; the caller holds the folder's lock. repair sets a damaged file aside under a name that tells
// when, and begins a new one: SQLite does not say which rows of a damaged file still hold what was written.
func Inspect(ctx context.Context, dir string, repair bool) ([]ledger.Damage, error) {
	path := filepath.Join(dir, "state.db")
	err := Missing(dir)
	if err == nil {
		err = verifySum(path)
	}
	if err == nil {
		err = checkPages(ctx, path)
	}
	if err == nil {
		return nil, nil
	}
	if !fault.Is(err, fault.StateCorrupt) {
		return nil, err
	}
	d := ledger.Damage{
		File: path, What: fault.As(err).Message,
		Loss: "the list of runs, the rows on record as refused, and which requests were open; what was delivered stays in the ledgers",
	}
	if repair {
		aside := fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405Z"))
		for _, suffix := range []string{"-wal", "-shm", ".sum", ""} {
			if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, stateFault(err, "setting "+path+" aside")
			}
		}
		d.Repaired = true
		if _, err := os.Stat(aside); err == nil {
			d.What += "; set aside as " + filepath.Base(aside)
		}
		s, err := Open(ctx, dir)
		if err != nil {
			return nil, err
		}
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
	return []ledger.Damage{d}, nil
}

// Missing tells, for a folder that is known to have had a store, that it is gone. A new one would know of no open request.
func Missing(dir string) error {
	path := filepath.Join(dir, "state.db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fault.New(fault.StateCorrupt, "the store of runs, %s, is missing", path)
	}
	return nil
}

// checkPages lets SQLite look at every page.
func checkPages(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "mode=ro"))
	if err != nil {
		return stateFault(err, "opening "+path)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&answer); err != nil {
		return stateFault(err, "checking "+path)
	}
	if answer != "ok" {
		return fault.New(fault.StateCorrupt, "checking %s: %s", path, answer)
	}
	return nil
}
