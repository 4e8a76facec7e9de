package state

import (
	"context"
	"errors"

	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/store/sqlite"
)

// Inspect checks the store of runs while no other process may write; repair sets a damaged one aside. A folder without an id has
// had no store yet. Ledgers are inspected through their homes.
func Inspect(ctx context.Context, p *project.Project, repair bool) (found []ledger.Damage, err error) {
	if id, err := stateID(p.Dir, p.StateDir(), Ask); err != nil || id == "" {
		return nil, err
	}
	lock, err := take(p.StateDir())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Truncate(0), lock.Close()) }()
	return sqlite.Inspect(ctx, p.StateDir(), repair)
}
