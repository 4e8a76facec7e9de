package run

import (
	"context"
	"errors"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// lost tells a ledger that is gone from one that was never written: the store remembers that there was one. Taken for a first run
// it would send everything again, and events twice.
func (h *homes) lost(ctx context.Context, m ledger.Meta, place string) error {
	if m.Version > 0 || h.e.Store == nil {
		return nil
	}
	st, err := h.e.Store.SyncState(ctx, h.sync.Name)
	if err != nil || !st.Published {
		return err
	}
	f := fault.New(fault.StateMissing, "the ledger of %s is gone: earlier runs wrote one, and %s holds none", h.sync.Name, h.describe(place)).At(h.sync.Where)
	way := "restore .upwell from a backup"
	if place != "" {
		way = "restore its tables, or set the project's name, the source and its state_schema as they were"
	}
	return f.WithFix("%s; or `upwell reset %s`: the next run then sends every row and removes nothing (with first_run: baseline it takes them for delivered)",
		way, h.sync.Name)
}

// describe says a place in words.
func (h *homes) describe(place string) string {
	if c := h.wanted(); c != nil && place == "warehouse:"+c.Name {
		if c.StateSchema != "" {
			return "schema " + c.StateSchema + " of source " + c.Name
		}
		return "source " + c.Name
	}
	if place != "" {
		return place
	}
	return "the state folder"
}

// intact looks at a place before something is made of what it holds.
func (h *homes) intact(ctx context.Context, home ledger.Home, place string) error {
	s, err := home.Snapshot(ctx)
	if err != nil {
		return err
	}
	return errors.Join(h.lost(ctx, s.Meta(), place), s.Close())
}

// publish publishes the ledger, and remembers that there is one only when it is there.
func (x *execution) publish(ctx context.Context, p ledger.Publication) error {
	if err := x.session.Publish(ctx, p); err != nil {
		return err
	}
	x.state.Published = true
	return x.e.published(ctx, x.sync.Name)
}

func (e *Engine) published(ctx context.Context, sync string) error {
	st, err := e.Store.SyncState(ctx, sync)
	if err != nil || st.Published {
		return err
	}
	st.Published = true
	return e.Store.SetSyncState(ctx, sync, st)
}
