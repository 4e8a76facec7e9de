package deliver

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// concurrency is how many requests may be in flight, of the operations planned.
func (d *Delivery) concurrency() int {
	c := 1
	for op := range d.Planned {
		c = max(c, d.Object.Ops[op].Concurrency)
	}
	if l := int(d.Gate.ceiling); l > 0 {
		c = min(c, l)
	}
	return c
}

// workers is how many batches may be under way, from before their intents to after their acknowledgements. It is above the
// request concurrency, so that waiting for the disk does not idle the tool; rows repeated after a crash are at most workers x
// batch.
func (d *Delivery) workers() int {
	c := d.concurrency()
	return c + (c+1)/2
}

// pipe delivers works with as many senders as requests may be in flight. What a sender needs to send is ready before it has
// sent the last, and what became of that is settled beside it: so nobody has to be woken between two requests.
func (d *Delivery) pipe(ctx context.Context, g *errgroup.Group, works <-chan *work) {
	underWay := make(chan struct{}, d.workers())
	ready := make(chan *work)
	var preparing sync.WaitGroup
	for range d.workers() - d.concurrency() {
		preparing.Add(1)
		g.Go(func() error {
			defer preparing.Done()
			for w := range works {
				underWay <- struct{}{}
				var prepared *work
				d.attend(func() (err error) { prepared, err = d.prepare(ctx, w); return err })
				if prepared == nil {
					<-underWay
					continue
				}
				ready <- prepared
			}
			return nil
		})
	}
	g.Go(func() error {
		preparing.Wait()
		close(ready)
		return nil
	})
	for range d.concurrency() {
		g.Go(func() error {
			for w := range ready {
				d.attend(func() error { return d.send(ctx, g, w, func() { <-underWay }) })
			}
			return nil
		})
	}
}

// send sends a prepared batch once; what follows is done beside. In the end done is called, whatever breaks.
func (d *Delivery) send(ctx context.Context, g *errgroup.Group, w *work, done func()) error {
	beside := false
	defer func() {
		if !beside {
			done()
		}
	}()
	if d.jobs(w.kind.op) {
		return d.runJob(ctx, w)
	}
	t := d.try(ctx, w)
	beside = true
	g.Go(func() error {
		defer done()
		d.attend(func() error { return d.conclude(ctx, w, t) })
		return nil
	})
	return nil
}
