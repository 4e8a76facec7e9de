package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
)

// explainResult is everything about one record.
type explainResult struct {
	Sync      string         `json:"sync"`
	Key       object         `json:"key"`
	State     string         `json:"state"`
	ModelRow  object         `json:"model_row"`
	Mapped    object         `json:"mapped"`
	Ledger    *ledgerDoc     `json:"ledger"`
	LastError *fault.Error   `json:"last_error"`
	Attempts  int            `json:"attempts"`
	NextAt    instant        `json:"next_attempt_at"`
	History   []historyEntry `json:"history"`
	Note      string         `json:"note,omitempty"`
	// Unread is why the model could not be read: model_row and mapped are null then, and nothing is said of the next run.
	Unread *fault.Error `json:"error,omitempty"`

	sync *project.Sync
	rows int
	now  time.Time
}

// ledgerDoc is what was last accepted for the key.
type ledgerDoc struct {
	State       string  `json:"state"`
	Match       object  `json:"match"`
	Fields      object  `json:"fields"`
	DeliveredAt instant `json:"delivered_at"`
	RunID       string  `json:"run_id"`
	RemoteID    *string `json:"remote_id"`
}

type historyEntry struct {
	RunID   string      `json:"run_id"`
	At      instant     `json:"at"`
	Op      string      `json:"op"`
	Outcome string      `json:"outcome"`
	Fields  differences `json:"fields"`
}

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain SYNC KEY",
		Short: "Tell everything about one record",
		Long: `Tells how one record stands: its row in the model, what it maps to, what the tool last accepted, the last refusal, and what runs did to
it. KEY is the value of the key, or col=value,col=value for a key of several columns.

When the source cannot be reached it tells what is on record, says what it could not look at, and ends with exit code 5.`,
		Example:           "  upwell explain health_to_crm 7590-VHVEG\n  upwell explain usage_to_db 'account_id=7,month=2026-11-01' --json",
		Args:              between(2, 2),
		ValidArgsFunction: a.completeNames(1, syncNames),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			p, err := a.reading(cmd.Context())
			if err != nil {
				return err
			}
			defer p.closing(&err)
			s, err := p.sync(args[0])
			if err != nil {
				return err
			}
			x, err := p.Explain(cmd.Context(), s, args[1])
			if err != nil {
				return err
			}
			r := newExplainResult(s, x, p.Engine)
			r.now = a.now()
			err = a.show(r)
			if x.Unread != nil {
				err = errors.Join(err, end(x.Unread.Exit()))
			}
			return err
		},
	}
}

func newExplainResult(s *project.Sync, x *run.Explanation, e *run.Engine) *explainResult {
	r := &explainResult{
		Sync: s.Name, Key: x.Key, State: x.State, ModelRow: x.ModelRow, Mapped: x.Mapped, Attempts: 0, NextAt: instant(x.NextAttempt()),
		History: []historyEntry{}, Note: x.Note, Unread: x.Unread, sync: s, rows: x.Rows,
	}
	if x.Invalid != nil {
		r.LastError = &fault.Error{Code: x.Invalid.Code, Class: fault.ClassRow, Message: x.Invalid.Message, Field: x.Invalid.Field}
	}
	if f := x.Refusal; f != nil {
		r.Attempts = f.Attempts
		if r.LastError == nil {
			r.LastError = &fault.Error{Code: f.Code, Class: fault.ClassRow, Message: f.Message, Field: f.Field}
		}
	}
	if l := x.Ledger; l != nil {
		doc := &ledgerDoc{State: ledgerState(l.State), Match: object{}, Fields: object{}, DeliveredAt: instant(l.At), RunID: l.Run}
		if l.RemoteID != "" {
			doc.RemoteID = &l.RemoteID
		}
		for i, v := range l.Match {
			doc.Match = append(doc.Match, run.Named{Name: matchName(s, e.Project.Models[s.Model], i), Value: v})
		}
		for i, v := range l.Values {
			if !v.IsAbsent() {
				doc.Fields = append(doc.Fields, run.Named{Name: l.Fields[i], Value: v})
			}
		}
		r.Ledger = doc
	}
	for i := range x.History {
		h := &x.History[i]
		r.History = append(r.History, historyEntry{h.Run, instant(h.At), string(h.Op), h.Outcome.String(), changesOf(h)})
	}
	return r
}

// matchName names the i-th part of a record's identity; without a match it is the model's key.
func matchName(s *project.Sync, m *project.Model, i int) string {
	switch {
	case i < len(s.Match):
		return s.Match[i].Field
	case i < len(m.Key):
		return m.Key[i]
	}
	return fmt.Sprintf("match_%d", i+1)
}

func ledgerState(s ledger.State) string {
	switch s {
	case ledger.Present:
		return "present"
	case ledger.Left:
		return "left"
	case ledger.Baseline:
		return "baseline"
	case ledger.Missed:
		return "missed"
	case ledger.Cleared:
		return "cleared"
	}
	return "unknown"
}

// sentence says first of all how the record stands.
func (r *explainResult) sentence() string {
	in := fmt.Sprintf("%s.%s", r.sync.Destination, r.sync.Object)
	switch r.State {
	case "in_sync":
		if r.ModelRow == nil {
			return "left the model, and stays in " + in + " as it is"
		}
		return "is in " + in + " as the model has it"
	case "will_add":
		return "is in the model and not yet in " + in + "; the next run adds it"
	case "will_change":
		return "differs from what " + in + " has; the next run changes it"
	case "will_remove":
		return "left the model; the next run removes it from " + in
	case "rejected":
		return "was rejected by " + r.sync.Destination
	case "invalid":
		return "cannot be sent"
	case "unknown":
		return "was sent, and what became of it is not known"
	case "absent":
		return "is neither in the model nor in " + in + " by this sync"
	case "unread":
		if r.Ledger == nil {
			return "was not delivered to " + in + " by this sync, as far as is on record"
		}
		return "is in " + in + " as the ledger says; whether the model still says so could not be asked"
	}
	return r.State
}

func (r *explainResult) text(p *printer) {
	p.line("%s %s", p.paint(bold, r.Key.String()), r.sentence())
	if r.LastError != nil {
		r.errorText(p)
	}
	if r.Note != "" && r.Unread == nil {
		p.line("  note: %s", clean(r.Note))
	}
	p.blank()
	p.line("model %s", r.sync.Model)
	switch {
	case r.Unread != nil:
		p.line("  could not be read: %s [%s]", clean(r.Unread.Message), r.Unread.Code)
		if fix := r.Unread.GetFix(); fix != "" {
			p.line("  fix: %s", clean(fix))
		}
	case r.ModelRow == nil:
		p.line("  has no such row")
	case r.rows > 1:
		p.line("  has %d rows with this key; the first:", r.rows)
		r.ModelRow.list(p)
	default:
		r.ModelRow.list(p)
	}
	if r.Mapped != nil {
		p.blank()
		p.line("maps to")
		r.Mapped.list(p)
	}
	p.blank()
	p.line("ledger")
	if l := r.Ledger; l == nil {
		p.line("  nothing was delivered for this key")
	} else {
		id := ""
		if l.RemoteID != nil {
			id = ", id " + clean(*l.RemoteID)
		}
		p.line("  %s, delivered %s by run %s%s", l.State, moment(time.Time(l.DeliveredAt), r.now), l.RunID, id)
		append(slices.Clone(l.Match), l.Fields...).list(p)
	}
	if len(r.History) > 0 {
		p.blank()
		p.line("history, newest first")
	}
	for _, h := range r.History {
		p.line("  %s  %s, %s  run %s", time.Time(h.At).UTC().Format("2006-01-02 15:04:05Z"), h.Op, h.Outcome, h.RunID)
		for _, f := range h.Fields {
			p.line("      %s: %s", clean(f.field), f.text(""))
		}
	}
}

func (r *explainResult) errorText(p *printer) {
	e := r.LastError
	field := ""
	if e.Field != "" {
		field = clean(e.Field) + ": "
	}
	p.line("  %s%s [%s]", field, clean(e.Message), clean(string(e.Code)))
	if fix := e.GetFix(); fix != "" {
		p.line("  fix: %s", clean(fix))
	}
	if r.Attempts > 0 {
		when := "when its record changes, or after `upwell retry " + r.Sync + "`"
		if t := time.Time(r.NextAt); !t.IsZero() {
			when = due(t, r.now)
		}
		p.line("  %s; due again: %s", plural(int64(r.Attempts), "attempt"), when)
	}
}

func (o object) list(p *printer) {
	width := 0
	for _, n := range o {
		width = max(width, len([]rune(n.Name)))
	}
	for _, n := range o {
		p.line("  %-*s  %s", width, clean(n.Name), value(n.Value))
	}
}
