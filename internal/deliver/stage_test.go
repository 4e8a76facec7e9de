package deliver_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

// stager is a tool that takes staged loads. refuse names records it does not take; lose makes stages lose what they hold, so many
// times.
type stager struct {
	*tool
	refuse  map[string]bool
	lose    int
	commits int
	before  func() // called ahead of a commit
}

type load struct {
	s    *stager
	rows map[uint64][2]string
}

func (s *stager) Stage(context.Context, connector.Target) (connector.Stage, error) {
	return &load{s: s, rows: map[uint64][2]string{}}, nil
}

func (l *load) Write(_ context.Context, rows *row.Batch) error {
	for i := range rows.Len() {
		l.rows[rows.Meta(i).Ordinal] = [2]string{rows.Match(i)[0].String(), rows.Values(i)[0].String()}
	}
	return nil
}

func (l *load) Commit(_ context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) error {
	if l.s.before != nil {
		l.s.before()
	}
	l.s.commits++
	if l.s.lose > 0 {
		l.s.lose--
		return fault.Wrap(fault.DestTransient, connector.ErrStageLost, "committing").NotLanded()
	}
	for ord, r := range l.rows {
		if exclude[ord] {
			continue
		}
		if l.s.refuse[r[0]] {
			settle(ord, connector.Result{Status: connector.Rejected, Code: "NO"})
			continue
		}
		_, there := l.s.records[r[0]]
		l.s.records[r[0]] = r[1]
		created := connector.Yes
		if there {
			created = connector.No
		}
		settle(ord, connector.Result{Status: connector.Delivered, Created: created})
	}
	return nil
}

func (l *load) Abort(context.Context) error { return nil }

// drafting is a session that drafts a load of n rows.
type drafting struct {
	*session
	n                  int64
	fail               error
	adopted, discarded bool
}

func (s *drafting) Draft(_ context.Context, _ ledger.Delta, like ledger.Ack) (ledger.Draft, error) {
	if like.Entry.Created != connector.Yes || like.Entry.Run != "r1" || len(like.Before) != 1 {
		return nil, fmt.Errorf("drafting like %+v", like)
	}
	return s, s.fail
}

func (s *drafting) Rows() int64 { return s.n }

func (s *drafting) Adopt() error {
	s.adopted = true
	return nil
}

func (s *drafting) Discard() error {
	s.discarded = !s.adopted
	return nil
}

// prestaged is a bench whose rows were staged while they were read.
type prestaged struct {
	*bench
	tool    *stager
	session *drafting
	intents *deliver.Intents
}

func newPrestaged(t *testing.T, n int) *prestaged {
	p := &prestaged{bench: newBench(n)}
	p.tool = &stager{tool: p.bench.tool}
	p.session = &drafting{session: p.bench.session, n: int64(n)}
	p.dest, p.spec.Stages = p.tool, true
	for i, it := range p.items {
		it.New.Ordinal = uint64(100 + i)
	}
	return p
}

// deliver stages the items, drafts, and delivers.
func (p *prestaged) deliver(t *testing.T) error {
	t.Helper()
	o := p.options()
	o.Ledger = p.session
	o.Facts = &plan.Facts{Parts: map[plan.Part]int64{{Op: connector.OpUpsert}: int64(len(p.items))}}
	l := &load{s: p.tool, rows: map[uint64][2]string{}}
	var err error
	if p.intents, err = deliver.NewIntents(o, connector.OpUpsert); err != nil {
		t.Fatal(err)
	}
	for _, it := range p.items {
		l.rows[it.New.Ordinal] = [2]string{it.Match[0].String(), it.Values[0].String()}
		if err := p.intents.Add(it); err != nil {
			t.Fatal(err)
		}
	}
	draft := deliver.StartDraft(t.Context(), o, nil, connector.OpUpsert)
	o.Prestage = &deliver.Prestage{Stage: l, Op: connector.OpUpsert, Draft: draft, Intents: p.intents}
	d := deliver.New(o)
	derr := d.Run(t.Context())
	if err := draft.Discard(); err != nil {
		t.Fatal(err)
	}
	if err := d.Published(t.Context()); err != nil {
		t.Fatal(err)
	}
	return derr
}

// Invariant 1: a draft counts only when the tool accepted every row of it.
func Test_a_load_that_is_accepted_as_a_whole_is_settled_by_its_draft(t *testing.T) {
	p := newPrestaged(t, 50)
	p.tool.before = func() {
		if p.session.adopted {
			t.Error("the draft was adopted before the answer")
		}
		if len(p.journal.open) != 1 || p.journal.open[1] != 50 {
			t.Errorf("the commit left with the intents %v", p.journal.open)
		}
	}
	if err := p.deliver(t); err != nil {
		t.Fatal(err)
	}
	p.want(t, 50, 0, 0, 0)
	if !p.session.adopted || len(p.session.acks) != 0 || len(p.tool.records) != 50 || len(p.journal.open) != 0 {
		t.Errorf("adopted %v, %d acknowledgements, %d records, intents %v", p.session.adopted, len(p.session.acks), len(p.tool.records), p.journal.open)
	}
}

func Test_a_draft_is_thrown_away_when_one_row_ends_otherwise(t *testing.T) {
	for name, spoil := range map[string]func(*prestaged){
		"refused":      func(p *prestaged) { p.tool.refuse = map[string]bool{"7": true} },
		"there before": func(p *prestaged) { p.tool.records["7"] = "old" },
		"not drafted":  func(p *prestaged) { p.session.n-- },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPrestaged(t, 50)
			spoil(p)
			if err := p.deliver(t); err != nil {
				t.Fatal(err)
			}
			if p.session.adopted || !p.session.discarded {
				t.Errorf("adopted %v, discarded %v", p.session.adopted, p.session.discarded)
			}
			refused := int64(len(p.journal.refused))
			p.want(t, 50-refused, refused, 0, 0)
			if len(p.session.acks) != 50-int(refused) {
				t.Errorf("%d rows are acknowledged", len(p.session.acks))
			}
		})
	}
}

func Test_a_stage_that_is_lost_is_staged_anew_from_the_plan(t *testing.T) {
	p := newPrestaged(t, 50)
	p.tool.lose = 1
	if err := p.deliver(t); err != nil {
		t.Fatal(err)
	}
	p.want(t, 50, 0, 0, 0)
	if p.tool.commits != 2 || len(p.tool.records) != 50 || p.tally.Retries.Load() != 0 || len(p.journal.open) != 0 {
		t.Errorf("%d commits, %d records, %d retries, intents %v", p.tool.commits, len(p.tool.records), p.tally.Retries.Load(), maps.Clone(p.journal.open))
	}
}

func Test_a_draft_that_cannot_be_written_stops_the_load_before_anything_is_visible(t *testing.T) {
	p := newPrestaged(t, 50)
	p.session.fail = fault.New(fault.StateCorrupt, "the disk is sick")
	wantCode(t, p.deliver(t), fault.StateCorrupt)
	p.want(t, 0, 0, 0, 50)
	if p.tool.commits != 0 || len(p.tool.records) != 0 {
		t.Errorf("%d commits, %d records", p.tool.commits, len(p.tool.records))
	}
}
