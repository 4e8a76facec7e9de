package conformance

import (
	"context"
	"sync"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

func hygieneChecks() []check {
	return []check{
		{name: "hygiene: nothing runs on after close", run: closes, apart: true},
		{name: "hygiene: several goroutines may write", run: concurrent},
		{name: "hygiene: an interrupted call ends and says so", run: interrupted},
		{name: "hygiene: refused rows show no secret", run: refusedQuietly},
	}
}

func closes(s *stand) {
	already := goleak.IgnoreCurrent()
	d, err := s.open(nil)
	if err != nil {
		s.Fatal(err)
	}
	s.dest = d
	objects, err := d.Objects(s.Context(), []string{s.h.Object})
	if err != nil || len(objects) != 1 {
		s.Fatalf("%d objects, %v", len(objects), err)
	}
	s.object = objects[0]
	s.write(s.creating(), s.three()...)
	if err := d.Close(); err != nil {
		s.Errorf("closing: %v", err)
	}
	if err := goleak.Find(already); err != nil {
		s.Errorf("after close: %v", err)
	}
}

func concurrent(s *stand) {
	op := s.creating()
	field, a, _ := s.some()
	workers := min(4, max(1, s.object.Ops[op].Concurrency))
	type call struct {
		to  connector.Target
		b   interface{ Len() int }
		run func() (*connector.Outcomes, error)
	}
	var all []Record
	var calls []call
	for w := range workers {
		for k := range 5 {
			records := []Record{}
			for i := range 3 {
				records = append(records, s.record((w*5+k)*3+i, Record{field: a}))
			}
			all = append(all, records...)
			to, b := s.batch(op, records)
			calls = append(calls, call{to, b, func() (*connector.Outcomes, error) {
				out := connector.NewOutcomes(b.Len())
				return out, s.dest.Write(s.Context(), to, b, out)
			}})
		}
	}
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for k := range 5 {
				out, err := calls[w*5+k].run()
				if err != nil {
					s.Errorf("worker %d: %v", w, err)
					return
				}
				for i := range out.Len() {
					if out.Result(i).Status != connector.Delivered {
						s.Errorf("worker %d, row %d: %+v", w, i, out.Result(i))
					}
				}
			}
		})
	}
	wait.Wait()
	s.holds(all...)
}

func interrupted(s *stand) {
	field, a, _ := s.some()
	to, b := s.batch(s.creating(), []Record{s.record(0, Record{field: a})})
	ctx, stop := context.WithCancel(s.Context())
	stop()
	out := connector.NewOutcomes(1)
	err := s.dest.Write(ctx, to, b, out)
	s.hear(err)
	if f := fault.As(err); f == nil || f.GetClass() != fault.ClassCancelled || f.Landed != fault.LandedNo || out.Result(0).Status == connector.Delivered {
		s.Errorf("got %v, %+v; want class cancelled, not landed", err, out.Result(0))
	}
	s.holds()
	s.write(s.creating(), s.record(1, Record{field: a})) // the connection is good
}

func refusedQuietly(s *stand) {
	records, _ := s.withBad(3, func(int, int) bool { return true })
	s.settle(s.creating(), records...) // what was heard is looked at in the end
}
