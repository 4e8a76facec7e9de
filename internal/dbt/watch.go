package dbt

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

// Seen names the last invocation of dbt that was acted on. It is plain data: whoever wants a restart to catch up on what happened
// meanwhile keeps it.
type Seen struct {
	Invocation  string    `json:"invocation"`
	GeneratedAt time.Time `json:"generated_at"`
}

// IsZero reports that no invocation was seen yet.
func (s Seen) IsZero() bool { return s.Invocation == "" && s.GeneratedAt.IsZero() }

func seenOf(r *RunResults) Seen { return Seen{r.Invocation, r.GeneratedAt} }

// same reports the same invocation. Some tools leave its id out; then the time tells.
func (s Seen) same(o Seen) bool {
	if s.Invocation != "" && o.Invocation != "" && s.Invocation != o.Invocation {
		return false
	}
	return s.GeneratedAt.Equal(o.GeneratedAt) || s.Invocation != "" && s.Invocation == o.Invocation
}

// Watcher looks at a run_results.json and tells of each invocation of dbt once. dbt writes the file in place, so a file that is
// half-written is no event: it is looked at again. One goroutine uses a Watcher.
type Watcher struct {
	file  File
	newer bool
	seen  Seen
	fresh bool        // nothing was seen before this watcher began
	last  os.FileInfo // of the file as it was read last
}

// NewWatcher watches a file. seen is the last invocation acted on; with none, what lies there at the first look is taken as seen:
// it happened before anybody asked.
func NewWatcher(file File, newer bool, seen Seen) *Watcher {
	return &Watcher{file: file, newer: newer, seen: seen, fresh: seen.IsZero()}
}

// Seen is the last invocation told of.
func (w *Watcher) Seen() Seen { return w.seen }

// Look gives the results of an invocation that was not told of yet, nil when there is none. An error says why the file cannot be
// read; the next look tries again.
func (w *Watcher) Look() (*RunResults, error) {
	info, err := os.Stat(w.file.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		w.fresh, w.last = false, nil // what comes now is new
		return nil, nil
	case err != nil:
		return nil, unreadable(w.file.Name, "%v", err)
	case w.last != nil && os.SameFile(w.last, info) && w.last.ModTime().Equal(info.ModTime()) && w.last.Size() == info.Size():
		return nil, nil
	}
	r, err := ReadRunResults(w.file.Path, w.file.Name, w.newer)
	if err != nil {
		w.fresh = false // dbt was writing it, or writes it anew
		return nil, err
	}
	w.last = info
	return w.Offer(r), nil
}

// Offer gives r when it tells of an invocation that was not told of yet, else nil. Results that arrive with a webhook go through it
// too, so that an invocation both ways announced is one event.
func (w *Watcher) Offer(r *RunResults) *RunResults {
	now, before := seenOf(r), w.seen
	first := w.fresh
	w.fresh = false
	older := !now.GeneratedAt.IsZero() && now.GeneratedAt.Before(before.GeneratedAt)
	if !before.IsZero() && (now.same(before) || older) {
		return nil
	}
	w.seen = now
	if first {
		return nil
	}
	return r
}

// Watch looks at every tick until ctx ends and hands what is new to on; problems with reading go to broken, which may be nil.
func (w *Watcher) Watch(ctx context.Context, ticks <-chan time.Time, on func(*RunResults), broken func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			r, err := w.Look()
			switch {
			case err != nil && broken != nil:
				broken(err)
			case r != nil:
				on(r)
			}
		}
	}
}

// Decision is whether a sync runs after an invocation of dbt, and why or why not.
type Decision struct {
	Run    bool
	Reason string
}

// After decides whether a sync runs after an invocation. m is the dbt model its rows come from; nil for a sync over SQL or a table
// of which nobody knows what dbt has to do with it: then the whole invocation must have gone well.
func After(r *RunResults, m *Model) Decision {
	if !r.Executed() || r.Command == "test" {
		return Decision{false, "dbt " + orWord(r.Command, "(no command named)") + " builds nothing"}
	}
	v := &Verdict{}
	if m == nil {
		for _, id := range sortedIDs(r) {
			one := r.Results[id]
			v.node(&Model{Name: id}, one)
		}
		if len(v.Held) > 0 {
			return Decision{false, v.Held[0]}
		}
		return Decision{true, "dbt " + r.Command + " ended well"}
	}
	if _, ok := r.Results[m.ID]; !ok {
		return Decision{false, "dbt " + r.Command + " did not build " + m.Name}
	}
	v.results(Gate{Mode: GateResults}, m, r)
	if len(v.Held) > 0 {
		return Decision{false, v.Held[0]}
	}
	return Decision{true, "dbt " + r.Command + " built " + m.Name}
}

func sortedIDs(r *RunResults) []string {
	out := make([]string, 0, len(r.Results))
	for id := range r.Results {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}
