package cli

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
)

type statusResult struct {
	Syncs []syncStatus `json:"syncs"`
	now   time.Time
}

// syncStatus is how a sync stands.
type syncStatus struct {
	Sync  string `json:"sync"`
	State string `json:"state"` // never | running | interrupted | succeeded | partial | failed | held | cancelled
	// Refused are the rows on record as rejected, invalid or unknown.
	Refused       int64        `json:"refused"`
	Paused        string       `json:"paused,omitempty"`
	LastRun       *runDoc      `json:"last_run"`
	LastSuccessAt instant      `json:"last_success_at"`   // end of the last run that succeeded or was partial
	Freshness     *float64     `json:"freshness_seconds"` // since the start of that run: how old the data in the tool is
	NextRunAt     instant      `json:"next_run_at"`       // when its schedule is due; whoever starts runs is to start it then
	Problem       *fault.Error `json:"problem"`
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how every sync stands, problems first",
		Long: `Shows the last run of every sync, how old the data in the tool is, how many rows are refused, and when its schedule is due; then the
problems. No process of Upwell starts due syncs by itself: cron, CI or a person does, with ` + "`upwell run`" + `.`,
		Example: "  upwell status\n  upwell status --json",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			p, err := a.looking(cmd.Context())
			if err != nil {
				return err
			}
			defer p.closing(&err)
			r := &statusResult{Syncs: []syncStatus{}, now: a.now()}
			for _, name := range keys(p.Project.Syncs) {
				one, err := p.status(cmd.Context(), p.Project.Syncs[name], r.now)
				if err != nil {
					return err
				}
				r.Syncs = append(r.Syncs, one)
			}
			slices.SortStableFunc(r.Syncs, func(x, y syncStatus) int { return cmp.Compare(x.rank(), y.rank()) })
			return a.show(r)
		},
	}
}

// rank puts problems first, the worse before the lesser.
func (s *syncStatus) rank() int {
	switch {
	case s.Problem == nil:
		return 5
	case s.State == "failed":
		return 0
	case s.State == "held":
		return 1
	case s.State == "interrupted" || s.State == "cancelled":
		return 2
	case s.State == "partial":
		return 3
	}
	return 4
}

// status looks at a sync's runs and refusals.
func (o *opened) status(ctx context.Context, s *project.Sync, now time.Time) (syncStatus, error) {
	out := syncStatus{Sync: s.Name, State: "never"}
	if o.Store == nil {
		return out, nil
	}
	last, done, err := o.lastRuns(ctx, s.Name)
	if err != nil {
		return out, err
	}
	refused, err := o.rejects(ctx, s.Name)
	if err != nil {
		return out, err
	}
	st, err := o.Store.SyncState(ctx, s.Name)
	if err != nil {
		return out, err
	}
	out.Refused, out.Paused = refused.total(), st.Paused
	if last != nil {
		doc := newRunDoc(last)
		out.LastRun, out.State = &doc, string(last.Status)
		if !last.Status.Ended() {
			out.State = "interrupted"
			if o.state.Busy() {
				out.State = "running"
			}
		}
		if st.Paused == "" {
			out.NextRunAt = instant(nextRun(s.Schedule, last, now))
		}
	}
	if done != nil {
		out.LastSuccessAt = instant(done.FinishedAt)
		age := now.Sub(done.StartedAt).Seconds()
		out.Freshness = &age
	}
	out.Problem = problemOf(s.Name, &out, last, refused)
	return out, nil
}

// lastRuns gives the newest run and the newest that delivered what it planned but for refused rows.
func (o *opened) lastRuns(ctx context.Context, sync string) (last, done *run.Record, err error) {
	for _, n := range []int{20, 100000} {
		runs, err := o.Store.Runs(ctx, sync, n)
		if err != nil || len(runs) == 0 {
			return nil, nil, err
		}
		last = &runs[0]
		for i := range runs {
			if runs[i].Kind != "undo" && (runs[i].Status == run.Succeeded || runs[i].Status == run.Partial) {
				return last, &runs[i], nil
			}
		}
		if len(runs) < n {
			break
		}
	}
	return last, nil, nil
}

// problemOf says what a person should look at, nil when there is nothing.
func problemOf(sync string, s *syncStatus, last *run.Record, refused *rejectsResult) *fault.Error {
	switch {
	case s.State == "interrupted":
		return fault.New(fault.Cancelled, "the process of run %s ended before the run did", last.ID).WithFix("upwell run %s settles what is open", sync)
	case last != nil && last.Error != nil:
		return last.Error
	case s.State == "cancelled":
		return fault.New(fault.Cancelled, "the last run was interrupted").WithFix("upwell run %s", sync)
	case len(refused.Groups) > 0:
		f := fault.New(refused.Groups[0].Code, "%s refused", plural(s.Refused, "row")).WithFix("upwell rejects %s", sync)
		if _, known := fault.Lookup(f.Code); !known {
			f.WithClass(fault.ClassRow)
		}
		return f
	case s.Paused != "":
		return fault.New(fault.UndoNotPossible, "paused: %s", s.Paused).WithClass(fault.ClassHeld).WithFix("upwell run %s goes on; its schedule starts again with `upwell reset %s --pause`", sync, sync)
	}
	return nil
}

// nextRun computes when a scheduled sync is next due from its last start; zero when it has no schedule of its own.
func nextRun(s project.Schedule, last *run.Record, now time.Time) time.Time {
	switch {
	case s.Every > 0:
		return last.StartedAt.Add(s.Every)
	case s.Cron != "":
		zone := time.UTC
		if s.Timezone != "" {
			if z, err := time.LoadLocation(s.Timezone); err == nil {
				zone = z
			}
		}
		if c, err := cron.ParseStandard(s.Cron); err == nil {
			return c.Next(last.StartedAt.In(zone))
		}
	case s.Continuous && !last.FinishedAt.IsZero():
		return later(last.FinishedAt, last.StartedAt.Add(s.MinInterval))
	case s.Continuous:
		return now
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r *statusResult) text(p *printer) {
	if len(r.Syncs) == 0 {
		p.line("the project has no syncs")
		return
	}
	var rows [][]cell
	for _, s := range r.Syncs {
		line := []cell{left(s.Sync), painted(statusStyle(s.State), s.State), left("-"), left("-"), right(""), left("-")}
		if s.LastRun != nil {
			c := s.LastRun.Counts
			line[2] = left(distance(time.Time(s.LastRun.StartedAt), r.now))
			line[4] = right(number(c.Delivered) + " of " + number(c.Planned.Add+c.Planned.Change+c.Planned.Remove))
		}
		if s.Freshness != nil {
			line[3] = left(span(time.Duration(*s.Freshness * float64(time.Second))))
		}
		if next := time.Time(s.NextRunAt); !next.IsZero() {
			line[5] = left(due(next, r.now))
		}
		line = append(line, right(number(s.Refused)))
		line[5], line[6] = line[6], line[5]
		rows = append(rows, line)
	}
	p.table("", []string{"SYNC", "STATE", "LAST RUN", "FRESHNESS", "DELIVERED", "REFUSED", "DUE"}, rows)
	if slices.ContainsFunc(r.Syncs, func(s syncStatus) bool { return !time.Time(s.NextRunAt).IsZero() }) {
		p.blank()
		p.line("due by schedule: no server is there to start these runs; cron, CI or you do, with `%s run`", p.upwell)
	}
	for _, s := range r.Syncs {
		if s.Problem == nil {
			continue
		}
		p.blank()
		p.line("%s: %s [%s]", p.paint(bold, s.Sync), clean(s.Problem.Message), clean(string(s.Problem.Code)))
		if fix := s.Problem.GetFix(); fix != "" {
			p.line("    fix: %s", clean(fix))
		}
	}
}

func due(t, now time.Time) string {
	if !t.After(now) {
		return "due"
	}
	return distance(t, now)
}
