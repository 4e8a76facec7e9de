package deliver

import (
	"context"

	"github.com/upwelldata/upwell/internal/ledger"
)

// settlement is rows of a staged load with their end.
type settlement struct {
	acks     []ledger.Ack
	refusals []Refusal
	resolved [][]byte
}

// recorder writes settlements to the ledger and the journal beside the walk that gathers them.
type recorder struct {
	settlement
	full, free chan settlement
	done       chan error
}

// record starts a recorder; end must be called.
func (d *Delivery) record(ctx context.Context) *recorder {
	r := &recorder{full: make(chan settlement), free: make(chan settlement, 2), done: make(chan error, 1)}
	r.free <- settlement{}
	go func() {
		for s := range r.full {
			if err := d.recordOne(ctx, s); err != nil {
				r.done <- err
				return
			}
			r.free <- settlement{acks: s.acks[:0], refusals: s.refusals[:0], resolved: s.resolved[:0]}
		}
		r.done <- nil
	}()
	return r
}

func (d *Delivery) recordOne(ctx context.Context, s settlement) error {
	if err := d.Ledger.Ack(ctx, s.acks, false); err != nil {
		return err
	}
	if len(s.refusals) > 0 {
		if err := d.Journal.Refuse(ctx, s.refusals); err != nil {
			return err
		}
	}
	if len(s.resolved) > 0 {
		return d.Journal.Resolve(ctx, s.resolved)
	}
	return nil
}

// hand gives what was gathered to the writer; false means that writing has failed, and end says why.
func (r *recorder) hand() bool {
	select {
	case r.full <- r.settlement:
		r.settlement = <-r.free
		return true
	case err := <-r.done:
		r.done <- err
		return false
	}
}

// end writes the rest and gives the first error.
func (r *recorder) end() error {
	if len(r.acks)+len(r.refusals) > 0 {
		r.hand()
	}
	close(r.full)
	return <-r.done
}
