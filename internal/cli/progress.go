package cli

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/run"
)

// progress shows long work on standard error while it goes on: on a terminal one live line per sync, elsewhere a line every 10 s.
type progress struct {
	a       *app
	bars    *mpb.Progress // on a terminal
	current atomic.Pointer[syncProgress]
	stop    func()
	done    chan struct{}
}

// plainEvery is how often progress is told without a terminal.
const plainEvery = 10 * time.Second

func (a *app) startProgress() *progress {
	p := &progress{a: a}
	if a.stderr.terminal() && a.stderr.width() > 0 { // a terminal of no width, as some CI makes them, shows no live line
		p.bars = mpb.New(mpb.WithOutput(a.stderr.w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(200*time.Millisecond))
		return p
	}
	ticks, stop := a.tick(plainEvery)
	quit := make(chan struct{})
	p.done = make(chan struct{})
	p.stop = func() { stop(); close(quit); <-p.done }
	go func() {
		defer close(p.done)
		for {
			select {
			case <-ticks:
				if s := p.current.Load(); s != nil {
					a.stderr.line("%s", s.text())
				}
			case <-quit:
				return
			}
		}
	}()
	return p
}

// end stops showing; what was shown of ended syncs is taken away, because the result says it better.
func (p *progress) end() {
	if s := p.current.Load(); s != nil { // the command broke off
		s.done("ended")
	}
	if p.bars != nil {
		p.bars.Wait()
		return
	}
	p.stop()
}

// syncProgress is one sync's line.
type syncProgress struct {
	p       *progress
	bar     *mpb.Bar
	name    string
	tally   *deliver.Tally
	state   atomic.Pointer[string]
	sending atomic.Int64 // when delivering began, in Unix nanoseconds
}

func (p *progress) sync(name string) *syncProgress {
	s := &syncProgress{p: p, name: name, tally: &deliver.Tally{}}
	s.say("reading")
	p.current.Store(s)
	if p.bars != nil {
		s.bar = p.bars.MustAdd(0, nil, mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Any(func(st decor.Statistics) string { return fit(s.text(), s.name, st.AvailableWidth-1) })))
	}
	return s
}

func (s *syncProgress) say(state string) { s.state.Store(&state) }

// on takes note of the run's state.
func (s *syncProgress) on(r *run.Record) {
	if r.Status == run.Delivering {
		s.sending.Store(s.p.a.now().UnixNano())
	}
	s.say(string(r.Status))
}

// done ends the line.
func (s *syncProgress) done(state string) {
	s.say(state)
	s.p.current.CompareAndSwap(s, nil)
	if s.bar != nil {
		s.bar.SetTotal(-1, true)
	}
}

// fit brings a line that begins with a name to at most width signs, where that can be had by shortening the name: the numbers behind
// it are what people look at.
func fit(line, name string, width int) string {
	signs, over := []rune(name), utf8.RuneCountInString(line)-width
	const shortest = 8
	if over <= 0 || len(signs) <= shortest+1 {
		return line
	}
	return string(signs[:max(shortest, len(signs)-over-1)]) + "…" + strings.TrimPrefix(line, name)
}

// text gives rows read, changes found, delivered, rejected, rate and time left.
func (s *syncProgress) text() string {
	t := s.tally
	line := fmt.Sprintf("%s: %s, %s read", s.name, *s.state.Load(), number(t.Read.Load()))
	planned, settled := t.Planned.Load(), t.Settled()
	if planned == 0 {
		if n := t.Candidates.Load(); n > 0 {
			line += fmt.Sprintf(", %s to look at", number(n))
		}
		return line
	}
	line += fmt.Sprintf(", %s, %s delivered", plural(planned, "change"), number(t.Delivered.Load()))
	if n := t.Rejected.Load() + t.Unknown.Load(); n > 0 {
		line += fmt.Sprintf(", %s rejected", number(n))
	}
	since := s.sending.Load()
	if since == 0 || settled == 0 {
		return line
	}
	took := s.p.a.now().Sub(time.Unix(0, since)).Seconds()
	if took <= 0 {
		return line
	}
	sent := settled - t.Pending.Load() - t.Withheld.Load()
	rate := float64(sent) / took
	line += fmt.Sprintf(", %s/s", number(int64(rate)))
	if left := planned - settled; left > 0 && sent > 0 {
		line += ", " + span(time.Duration(float64(left)/rate*float64(time.Second))) + " left"
	}
	return line
}
