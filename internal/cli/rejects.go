package cli

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

type rejectsResult struct {
	Groups   []refusedGroup `json:"groups"`
	Rows     []refusedRow   `json:"rows"`
	Exported string         `json:"exported,omitempty"`
	now      time.Time
}

// refusedGroup is the refused rows of one code and field.
type refusedGroup struct {
	Sync      string     `json:"sync"`
	Kind      string     `json:"kind"`
	Code      fault.Code `json:"code"`
	Field     string     `json:"field"`
	Count     int64      `json:"count"`
	Message   string     `json:"message"` // of the newest row, the tool's own words
	Fix       string     `json:"fix"`
	SampleKey object     `json:"sample_key"`
	FirstSeen instant    `json:"first_seen"`
	LastSeen  instant    `json:"last_seen"`

	run string
}

// refusedRow is one refused row.
type refusedRow struct {
	Sync      string     `json:"sync"`
	Key       object     `json:"key"`
	Kind      string     `json:"kind"` // rejected | invalid | unknown
	Code      fault.Code `json:"code"`
	Field     string     `json:"field"`
	Message   string     `json:"message"`
	FirstSeen instant    `json:"first_seen"`
	LastSeen  instant    `json:"last_seen"`
	Attempts  int        `json:"attempts"`
	NextAt    instant    `json:"next_attempt_at"`
	RunID     string     `json:"run_id"`
	Excerpt   string     `json:"excerpt,omitempty"`
}

func newRefusedRow(r *run.Refused, columns []string) refusedRow {
	vals, err := row.ParseKey(r.Key)
	if err != nil {
		vals = nil
	}
	return refusedRow{
		Sync: r.Sync, Key: keyOf(columns, vals), Kind: r.Kind, Code: r.Code, Field: r.Field, Message: r.Message, FirstSeen: instant(r.FirstSeen),
		LastSeen: instant(r.LastSeen), Attempts: r.Attempts, NextAt: instant(r.NextAt), RunID: r.Run, Excerpt: r.Excerpt,
	}
}

func (a *app) rejectsCommand() *cobra.Command {
	export := ""
	cmd := &cobra.Command{
		Use:   "rejects [SYNC]",
		Short: "Show rejected, invalid and unknown rows",
		Long: `Shows the rows that are not in the tool as the model has them, grouped by code and field, with the tool's own words: rejected by the
tool, invalid before anything was sent, or sent with an outcome that is not known. A row disappears from here when it is delivered or leaves
the model.`,
		Example:           "  upwell rejects\n  upwell rejects health_to_crm --json\n  upwell rejects health_to_crm --export rejects.csv",
		Args:              between(0, 1),
		ValidArgsFunction: a.completeNames(1, syncNames),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if export != "" {
				if err := exportable(export); err != nil {
					return err
				}
			}
			p, err := a.looking(cmd.Context())
			if err != nil {
				return err
			}
			defer p.closing(&err)
			name := ""
			if len(args) == 1 {
				name = args[0]
				if _, err := p.sync(name); err != nil {
					return err
				}
			}
			r, err := p.rejects(cmd.Context(), name)
			if err != nil {
				return err
			}
			r.now = a.now()
			if export != "" {
				if err := exportRows(path(export), r.Rows); err != nil {
					return err
				}
				r.Exported = export
			}
			return a.show(r)
		},
	}
	cmd.Flags().StringVar(&export, "export", "", "write all rows into this file: .csv or .jsonl")
	return cmd
}

// rejects gathers the refused rows of a sync, "" = of all.
func (o *opened) rejects(ctx context.Context, sync string) (*rejectsResult, error) {
	r := &rejectsResult{Groups: []refusedGroup{}, Rows: []refusedRow{}}
	if o.Store == nil {
		return r, nil
	}
	refused, err := o.Store.Refusals(ctx, sync)
	if err != nil {
		return nil, err
	}
	type id struct {
		sync, kind, field string
		code              fault.Code
	}
	at := map[id]int{}
	for i := range refused {
		x := &refused[i]
		line := newRefusedRow(x, o.keyColumns(x.Sync))
		r.Rows = append(r.Rows, line)
		g, ok := at[id{x.Sync, x.Kind, x.Field, x.Code}]
		if !ok {
			g = len(r.Groups)
			at[id{x.Sync, x.Kind, x.Field, x.Code}] = g
			f := fault.New(x.Code, "")
			r.Groups = append(r.Groups, refusedGroup{
				Sync: x.Sync, Kind: x.Kind, Code: x.Code, Field: x.Field, Message: x.Message, Fix: f.GetFix(), SampleKey: line.Key,
				FirstSeen: line.FirstSeen, LastSeen: line.LastSeen, run: x.Run,
			})
		}
		group := &r.Groups[g]
		group.Count++
		if x.FirstSeen.Before(time.Time(group.FirstSeen)) {
			group.FirstSeen = instant(x.FirstSeen)
		}
		if x.LastSeen.After(time.Time(group.LastSeen)) {
			group.LastSeen, group.Message, group.SampleKey = instant(x.LastSeen), x.Message, line.Key
		}
	}
	if err := o.countInvalid(ctx, r.Groups); err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.Groups, func(x, y refusedGroup) int {
		return cmp.Or(cmp.Compare(x.Sync, y.Sync), cmp.Compare(y.Count, x.Count))
	})
	return r, nil
}

// countInvalid takes the number of invalid rows from the run that found them: rows without a key and rows of one key are on record
// once, and of each code a sample.
func (o *opened) countInvalid(ctx context.Context, groups []refusedGroup) error {
	for i := range groups {
		g := &groups[i]
		alone := !slices.ContainsFunc(groups, func(h refusedGroup) bool {
			return h.Sync == g.Sync && h.Kind == g.Kind && h.Code == g.Code && h.Field != g.Field
		})
		if g.Kind != "invalid" || !alone {
			continue
		}
		rec, err := o.Store.Run(ctx, g.run)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			g.Count = max(g.Count, rec.InvalidBy[g.Code])
		}
	}
	return nil
}

// total counts the refused rows.
func (r *rejectsResult) total() (n int64) {
	for i := range r.Groups {
		n += r.Groups[i].Count
	}
	return n
}

func (r *rejectsResult) text(p *printer) {
	if len(r.Groups) == 0 {
		p.line("no rejected, invalid or unknown rows")
		return
	}
	sync := ""
	for _, g := range r.Groups {
		if g.Sync != sync {
			if sync != "" {
				p.blank()
			}
			sync = g.Sync
			p.line("%s", p.paint(bold, sync))
		}
		field := ""
		if g.Field != "" {
			field = " in " + clean(g.Field)
		}
		p.line("  %s %s: %s%s", number(g.Count), p.paint(statusStyle("partial"), g.Kind), clean(string(g.Code)), field)
		p.line("      says:  %s", clean(g.Message))
		p.line("      key:   %s   first %s, last %s", g.SampleKey, distance(time.Time(g.FirstSeen), r.now), distance(time.Time(g.LastSeen), r.now))
		if g.Fix != "" {
			p.line("      fix:   %s", clean(g.Fix))
		}
	}
	p.blank()
	if r.Exported != "" {
		p.line("%s written to %s", plural(int64(len(r.Rows)), "row"), r.Exported)
		return
	}
	p.line("one record:  %s explain %s KEY", p.upwell, r.Groups[0].Sync)
	p.line("all rows:    %s rejects %s --export rejects.csv", p.upwell, r.Groups[0].Sync)
	p.line("try again:   %s retry %s && %s run %s", p.upwell, r.Groups[0].Sync, p.upwell, r.Groups[0].Sync)
}
