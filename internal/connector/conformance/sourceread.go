package conformance

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// many rows of padded bytes each; live memory may grow by no more than grows.
const (
	many   = 300_000
	padded = 400
	grows  = 48 << 20
)

func sourceMany(w *well) {
	s := w.open(nil)
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := live(), int64(0)
	var count, sum, told int64
	next := int64(many / 4)
	q := connector.Query{SQL: "SELECT n, '" + strings.Repeat("x", padded) + "' AS pad FROM (" + w.numbers(many) + ") x", Rows: func(n int64) { told = max(told, n) }}
	for b, err := range s.Read(w.Context(), q) {
		if err != nil {
			w.Fatal(err)
		}
		k, err := row.KindOf(b.Schema().Field(0))
		if err != nil {
			w.Fatal(err)
		}
		var scratch row.Scratch
		for i := range int(b.NumRows()) {
			sum += scratch.At(b.Column(0), k, i).Int()
		}
		if count += b.NumRows(); count >= next {
			next += many / 4
			most = max(most, live()-before)
		}
	}
	if count != many || sum != many*(many+1)/2 {
		w.Errorf("%d rows with the sum %d; want %d with %d", count, sum, many, int64(many)*(many+1)/2)
	}
	if most > grows {
		w.Errorf("live memory grew by %d MiB over %d MiB of rows", most>>20, many*padded>>20)
	}
	if told > many || told == 0 {
		w.Errorf("Query.Rows was told of %d rows", told)
	}
}

func sourceLeaves(w *well) {
	r, over := w.relay()
	s := w.open(over)
	for i := range 50 {
		ctx, stop := context.WithTimeout(w.Context(), promptly)
		rows := 0
		for b, err := range s.Read(ctx, connector.Query{SQL: w.numbers(1_000_000)}) {
			if err != nil {
				stop()
				w.Fatalf("read %d: %v", i, err)
			}
			rows += int(b.NumRows())
			break
		}
		stop()
		if rows == 0 {
			w.Fatalf("read %d gave no row", i)
		}
	}
	if got := w.rows(s, connector.Query{SQL: w.numbers(2)}); len(got) != 2 {
		w.Errorf("after 50 early leaves: %v", got)
	}
	if r != nil {
		if open := r.open(); open > 8 {
			w.Errorf("after 50 early leaves %d connections are open", open)
		}
	}
}

func sourceCancels(w *well) {
	s := w.open(nil)
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	var last error
	batches := 0
	start := time.Now()
	for _, err := range s.Read(ctx, connector.Query{SQL: w.numbers(5_000_000)}) {
		if last = err; err != nil {
			break
		}
		if batches++; batches == 1 {
			stop()
			start = time.Now()
		}
	}
	w.hear(last)
	if f := fault.As(last); f == nil || f.GetClass() != fault.ClassCancelled {
		w.Errorf("a cancelled read ended with %v after %d batches; want class cancelled", last, batches)
	}
	if took := time.Since(start); took > promptly {
		w.Errorf("a cancelled read went on for %s", took)
	}
	if got := w.rows(s, connector.Query{SQL: "SELECT 1 AS n"}); len(got) != 1 {
		w.Errorf("after a cancelled read: %v", got)
	}
}

func sourceCut(w *well) {
	r, over := w.relay()
	if r == nil && w.h.alive {
		w.Skip(onlyWithStandIn)
	}
	if r == nil {
		w.Skip("the source is not reached over a network")
	}
	q := connector.Query{SQL: w.numbers(200)}
	passed := 0 // when the read was over; a goodbye that is cut afterwards takes nothing back
	read := func() (int, error) {
		s, err := w.try(over)
		if err != nil {
			return 0, err
		}
		defer s.Close() //nolint:errcheck // its connection may have been cut
		_, rows, err := w.read(w.Context(), s, q)
		passed = int(r.passed.Load())
		return len(rows), err
	}
	if n, err := read(); err != nil || n != 200 {
		w.Fatalf("uncut: %d rows, %v", n, err)
	}
	whole := passed
	for i := range 120 {
		at := whole * i / 120
		r.cutAfter(at)
		if n, err := read(); err == nil {
			w.Fatalf("cut after byte %d of %d: %d rows and no error", at, whole, n)
		} else if f := fault.As(err); f.Code != fault.SourceIncomplete && f.Code != fault.SourceUnreachable {
			w.Errorf("cut after byte %d of %d: %v; want SOURCE_READ_INCOMPLETE or SOURCE_UNREACHABLE", at, whole, err)
		}
	}
}

func sourceConcurrent(w *well) {
	s := w.open(nil)
	done := make(chan error)
	for i := range 4 {
		go func() {
			_, rows, err := w.read(w.Context(), s, connector.Query{SQL: w.numbers(1000 + i)})
			if err == nil && len(rows) != 1000+i {
				err = fmt.Errorf("%d rows; want %d", len(rows), 1000+i)
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
}

func sourceCloses(w *well) {
	already := goleak.IgnoreCurrent()
	s, err := w.try(nil)
	if err != nil {
		w.Fatal(err)
	}
	w.rows(s, connector.Query{SQL: w.numbers(10)})
	for _, err := range s.Read(w.Context(), connector.Query{SQL: w.numbers(1_000_000)}) {
		if err != nil {
			w.Fatal(err)
		}
		break
	}
	if err := s.Close(); err != nil {
		w.Errorf("closing: %v", err)
	}
	if err := goleak.Find(already); err != nil {
		w.Errorf("after close: %v", err)
	}
}

// relay stands between source and server, where there is a network between them.
func (w *well) relay() (*relay, map[string]string) {
	w.Helper()
	if w.h.Via == nil {
		return nil, nil
	}
	r := newRelay(w, w.world.Address)
	host, port, err := net.SplitHostPort(r.address())
	if err != nil {
		w.Fatal(err)
	}
	return r, w.h.Via(host, port)
}
