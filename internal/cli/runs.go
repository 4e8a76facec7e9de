package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

type runsResult struct {
	Runs []runDoc `json:"runs"`
	now  time.Time
}

func (r *runsResult) text(p *printer) {
	if len(r.Runs) == 0 {
		p.line("no runs yet; `%s run` makes the first", p.upwell)
		return
	}
	var rows [][]cell
	for _, d := range r.Runs {
		c := d.Counts
		what := d.Sync
		if d.Undoes != "" {
			what += " (undo)"
		}
		code := ""
		if d.Error != nil {
			code = clean(string(d.Error.Code))
		}
		took := "-"
		if to := time.Time(d.FinishedAt); !to.IsZero() {
			took = span(to.Sub(time.Time(d.StartedAt)))
		}
		rows = append(rows, []cell{
			left(d.RunID), left(what), painted(statusStyle(string(d.Status)), string(d.Status)), left(distance(time.Time(d.StartedAt), r.now)), right(took),
			right(number(c.Read)), right(number(c.Delivered)), right(number(c.Rejected + c.Unknown + c.Invalid)), left(code),
		})
	}
	p.table("", []string{"RUN", "SYNC", "STATUS", "STARTED", "TOOK", "READ", "DELIVERED", "REFUSED", ""}, rows)
}

func (a *app) runsCommand() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use:               "runs [SYNC]",
		Short:             "List runs, newest first",
		Example:           "  upwell runs\n  upwell runs health_to_crm --limit 100",
		Args:              between(0, 1),
		ValidArgsFunction: a.completeNames(1, syncNames),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if limit < 1 {
				return fault.New(fault.UsageUnknown, "--limit must be at least 1")
			}
			p, err := a.looking(cmd.Context())
			if err != nil {
				return err
			}
			defer p.closing(&err)
			r := &runsResult{Runs: []runDoc{}, now: a.now()}
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			if p.Store != nil {
				records, err := p.Store.Runs(cmd.Context(), name, limit)
				if err != nil {
					return err
				}
				for i := range records {
					r.Runs = append(r.Runs, newRunDoc(&records[i]))
				}
			}
			if name != "" && len(r.Runs) == 0 { // runs of a sync that was since removed are still listed
				if _, err := p.sync(name); err != nil {
					return err
				}
			}
			return a.show(r)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many runs")
	return cmd
}

// runLogResult is one run in full.
type runLogResult struct {
	Run        runDoc         `json:"run"`
	Definition string         `json:"definition"`
	Changes    []recordChange `json:"changes"`
	More       bool           `json:"more_changes"`
	Refused    []refusedRow   `json:"refused"`
	now        time.Time
}

// recordChange is what the run did to one record.
type recordChange struct {
	Key     object       `json:"key"`
	Op      connector.Op `json:"op"`
	Outcome string       `json:"outcome"`
	Fields  differences  `json:"fields"`
}

func (a *app) runLogCommand() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use:               "run-log RUN",
		Short:             "Show one run in full",
		Long:              "Shows one run: counts, guards, warnings, the error, what it changed field by field, and the rows refused in it. RUN is an id, its unique beginning, or `latest`.",
		Example:           "  upwell run-log latest\n  upwell run-log 01JDPX --changes 100",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			p, err := a.looking(cmd.Context())
			if err != nil {
				return err
			}
			defer p.closing(&err)
			rec, err := p.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := p.runLog(cmd.Context(), rec, limit)
			if err != nil {
				return err
			}
			r.now = a.now()
			return a.show(r)
		},
	}
	cmd.Flags().IntVar(&limit, "changes", limit, "how many changed records to show")
	return cmd
}

// find finds a run on record.
func (o *opened) find(ctx context.Context, id string) (*run.Record, error) {
	if o.Store == nil {
		return nil, fault.New(fault.NotFound, "there is no run %q: nothing has run yet", id).WithFix("`upwell run` makes the first")
	}
	return o.Store.Run(ctx, id)
}

// findChanged is find, but that `latest` is the newest run that changed something: a run that was held or had nothing to do is not
// what people mean to take back.
func (o *opened) findChanged(ctx context.Context, id string) (*run.Record, error) {
	if id != "latest" || o.Store == nil {
		return o.find(ctx, id)
	}
	const lookBack = 1000
	runs, err := o.Store.Runs(ctx, "", lookBack)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if c := runs[i].Counts; c.Delivered+c.Unknown > 0 {
			return &runs[i], nil
		}
	}
	return nil, fault.New(fault.NotFound, "no run on record changed anything").WithFix("there is nothing to undo")
}

func (o *opened) runLog(ctx context.Context, rec *run.Record, limit int) (r *runLogResult, err error) {
	r = &runLogResult{Run: newRunDoc(rec), Definition: rec.Definition, Changes: []recordChange{}, Refused: []refusedRow{}}
	refused, err := o.Store.Refusals(ctx, rec.Sync)
	if err != nil {
		return nil, err
	}
	columns := o.keyColumns(rec.Sync)
	for i := range refused {
		if refused[i].Run == rec.ID {
			r.Refused = append(r.Refused, newRefusedRow(&refused[i], columns))
		}
	}
	snap, err := o.Ledger(rec.Sync).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	for h, err := range snap.RunHistory(ctx, rec.ID) {
		if fault.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(r.Changes) == limit {
			r.More = true
			break
		}
		vals, err := row.ParseKey(h.Key)
		if err != nil {
			return nil, fault.Wrap(fault.StateCorrupt, err, "reading a key of run %s", rec.ID)
		}
		r.Changes = append(r.Changes, recordChange{keyOf(columns, vals), h.Op, h.Outcome.String(), changesOf(&h)})
	}
	slices.SortStableFunc(r.Changes, func(x, y recordChange) int { return compareKeys(x.Key.values(), y.Key.values()) })
	return r, nil
}

// changesOf gives the fields of a history entry.
func changesOf(h *ledger.History) differences {
	out := differences{}
	for i, f := range h.Fields {
		d := difference{field: f}
		if i < len(h.Old) {
			d.old = h.Old[i].Clone()
		}
		if i < len(h.New) {
			d.new = h.New[i].Clone()
		}
		out = append(out, d)
	}
	return out
}

func (r *runLogResult) text(p *printer) {
	r.Run.text(p)
	p.line("  started %s", moment(time.Time(r.Run.StartedAt), r.now))
	if r.Run.Full {
		p.line("  everything was sent again (--full)")
	}
	for _, w := range r.Run.Allowed {
		p.line("  guards lifted: %s", w)
	}
	if len(r.Changes) > 0 {
		p.blank()
		p.line("changed:")
	}
	for _, c := range r.Changes {
		p.line("  %s  %s, %s", p.paint(bold, c.Key.String()), c.Op, c.Outcome)
		for _, f := range c.Fields {
			p.line("      %s: %s", clean(f.field), f.text(""))
		}
	}
	if r.More {
		p.line("  and more; --changes N shows N")
	}
	if len(r.Refused) > 0 {
		p.blank()
		p.line("refused in this run and still open:")
	}
	for i, b := range r.Refused {
		if i == shownSamples && !p.verbose {
			p.line("  and %s more; `%s rejects %s`", number(int64(len(r.Refused)-i)), p.upwell, r.Run.Sync)
			break
		}
		p.line("  %s: %s [%s]", b.Key, clean(b.Message), clean(string(b.Code)))
	}
}
