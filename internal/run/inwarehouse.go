package run

import (
	"context"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// placedHome is a ledger in a warehouse whose faults say which source it lives in.
type placedHome struct {
	ledger.Home
	where fault.Where
}

func (h placedHome) placed(err error) error {
	if err == nil {
		return nil
	}
	return at(err, h.where)
}

// Snapshot is the home's.
func (h placedHome) Snapshot(ctx context.Context) (ledger.Snapshot, error) {
	s, err := h.Home.Snapshot(ctx)
	return s, h.placed(err)
}

// Begin is the home's.
func (h placedHome) Begin(ctx context.Context, run string) (ledger.Session, error) {
	s, err := h.Home.Begin(ctx, run)
	return s, h.placed(err)
}

// Reset is the home's.
func (h placedHome) Reset(ctx context.Context) error { return h.placed(h.Home.Reset(ctx)) }
