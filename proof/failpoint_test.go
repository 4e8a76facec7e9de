package proof_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/run"
)

// Invariant 1, Invariant 2, Invariant 5. P1, P2: a process that ends at any named step of a run leaves a state from which the next
// one brings the tool in step, without sending again what was acknowledged durably.
func Test_a_process_may_end_at_every_step(t *testing.T) {
	const rows = 3000
	ended, again := 0, 0
	for _, point := range append([]string{"sent"}, failpoint.Points...) {
		hits := countHits(t, point, rows)
		if hits == 0 {
			t.Errorf("no run meets the step %s", point)
		}
		for _, n := range distinct(1, 2, hits) {
			if n > hits {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", point, n), func(t *testing.T) {
				o := prepared(t, rows)
				for n := n; !endAt(t, o, point, n); n-- { // acknowledgements gather in groups, so their last may come earlier
					o = prepared(t, rows)
				}
				held := durable(t, o.dir)
				o.mu.Lock()
				for id, v := range o.last {
					if held[id] != v {
						delete(held, id)
					}
				}
				o.durable, o.onSent, o.epoch = held, nil, 1
				o.mu.Unlock()
				next := start(t, o.dir).wait()
				if next.Code != "" || next.Record.Status != run.Succeeded {
					t.Fatalf("the next run: %+v", next)
				}
				if lost, stale, surplus := o.wrong(rows, secondVersion); lost+stale+surplus > 0 {
					t.Errorf("lost %d, wrong %d, not removed %d", lost, stale, surplus)
				}
				before := o.rows
				if r := start(t, o.dir).wait(); r.Code != "" || o.rows != before {
					t.Errorf("a further run sent %d rows: %+v", o.rows-before, r)
				}
				// On a busy machine an answer may come after its time limit: those requests are repeated for no death of a process.
				o.again -= min(o.again, int(next.Record.Retries)*wireRows)
				if o.again > wireWorkers*wireRows {
					t.Errorf("%d rows were sent again, the bound is %d", o.again, wireWorkers*wireRows)
				}
				for _, b := range o.broken {
					t.Error(b)
				}
				ended++
				again = max(again, o.again)
			})
		}
	}
	t.Logf("%d steps, %d processes ended there: lost 0, wrong 0, at most %d rows sent again (bound %d)", len(failpoint.Points)+1, ended, again, wireWorkers*wireRows)
}

// secondVersion differs from the first in more than half of the rows.
const secondVersion = 40

type prepareds struct {
	*oracle
	dir string
}

// prepared is a project whose first version is delivered and whose second has adds, changes and removals.
func prepared(t *testing.T, rows int) prepareds {
	t.Helper()
	o := newOracle(t)
	dir := wireProject(t, o, rows, mirrorSync)
	if r := start(t, dir).wait(); r.Code != "" || r.Record.Status != run.Succeeded {
		t.Fatalf("the first run: %+v", r)
	}
	setVersion(t, dir, secondVersion)
	return prepareds{o, dir}
}

func countHits(t *testing.T, point string, rows int) int {
	t.Helper()
	o := prepared(t, rows)
	before := o.requests
	p := start(t, o.dir, failpoint.Variable+"="+point+":0")
	if r := p.wait(); r.Code != "" {
		t.Fatalf("%+v", r)
	}
	if point == "sent" {
		return o.requests - before
	}
	return strings.Count(p.err.String(), point+"\n")
}

// endAt runs a child that ends at a step, and reports whether it came to it.
func endAt(t *testing.T, o prepareds, point string, n int) bool {
	t.Helper()
	if point != "sent" {
		p := start(t, o.dir, fmt.Sprintf("%s=%s:%d", failpoint.Variable, point, n))
		_ = p.cmd.Wait()
		code := p.cmd.ProcessState.ExitCode()
		if code != failpoint.Exit && (code != 0 || n <= 2) {
			t.Fatalf("the child did not end at %s: %v %s %s", point, p.cmd.ProcessState, p.out.String(), p.err.String())
		}
		return code == failpoint.Exit
	}
	ready, sent := make(chan struct{}), make(chan struct{})
	var p *process
	o.onSent = func(k int) {
		<-ready
		if k == n {
			close(sent)
		}
		if k >= n {
			_ = p.cmd.Process.Kill()
		}
	}
	p = start(t, o.dir)
	close(ready)
	<-sent
	p.kill()
	return true
}

func distinct(of ...int) (out []int) {
	for _, n := range of {
		if n > 0 && (len(out) == 0 || n > out[len(out)-1]) {
			out = append(out, n)
		}
	}
	return out
}
