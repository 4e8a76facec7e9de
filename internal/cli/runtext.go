package cli

import (
	"fmt"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

func (r *runResult) text(p *printer) {
	for i := range r.Runs {
		if i > 0 {
			p.blank()
		}
		r.Runs[i].text(p)
	}
	if len(r.Skipped) > 0 && len(r.Runs) > 0 {
		p.blank()
	}
	for _, s := range r.Skipped {
		p.line("%s  %s: %s", p.paint(bold, s.Sync), p.paint(yellow, "skipped"), s.Reason)
	}
	if len(r.Runs)+len(r.Skipped) == 0 {
		p.line("the project has no syncs")
	}
}

func statusStyle(s string) style {
	switch s {
	case "succeeded", "ok":
		return green
	case "partial", "held", "cancelled", "interrupted", "running":
		return yellow
	case "failed":
		return red
	}
	return dim
}

func (d *runDoc) text(p *printer) {
	what := ""
	if d.Undoes != "" {
		what = "  undo of " + d.Undoes
	}
	took := ""
	if from, to := time.Time(d.StartedAt), time.Time(d.FinishedAt); !to.IsZero() {
		took = "in " + span(to.Sub(from))
	}
	p.line("%s  %s %s  run %s%s", p.paint(bold, d.Sync), p.paint(statusStyle(string(d.Status)), string(d.Status)), took, d.RunID, what)
	d.countsText(p)
	warningsText(p, d.Warnings)
	if d.Error != nil {
		word := p.paint(red, "error")
		if d.Status == run.Held || d.Status == run.Cancelled {
			word = p.paint(yellow, string(d.Status))
		}
		p.line("  %s: %s [%s]", word, clean(d.Error.Message), clean(string(d.Error.Code)))
		if d.Error.Where != nil {
			p.line("    at  %s", d.Error.Where)
		}
		if fix := d.Error.GetFix(); fix != "" && d.Status != run.Cancelled {
			p.line("    fix: %s", clean(fix))
		}
	}
	d.next(p)
}

// countsText shows what was read, what was planned, and what became of it.
func (d *runDoc) countsText(p *printer) {
	c := d.Counts
	if c.Read+c.Planned.Remove == 0 && d.Error != nil {
		return
	}
	p.line("  read %s: %s unchanged, %s to add, %s to change%s%s; %s to remove", number(c.Read), number(c.Unchanged), number(c.Planned.Add),
		number(c.Planned.Change), some(c.Waiting, "waiting"), some(c.Invalid, "invalid"), number(c.Planned.Remove))
	if planned := c.Planned.Add + c.Planned.Change + c.Planned.Remove; planned > 0 {
		line := fmt.Sprintf("  %s delivered of %s", number(c.Delivered), number(planned))
		if c.Unconfirmed > 0 {
			line += fmt.Sprintf(" (%s unconfirmed)", number(c.Unconfirmed))
		}
		p.line("%s%s%s%s%s%s", line, some(c.Skipped, "skipped"), some(c.Rejected, "rejected"), some(c.Unknown, "unknown"), some(c.Withheld, "withheld"),
			some(c.Pending, "pending"))
	}
	if d.Requests > 0 {
		line := "  " + plural(d.Requests, "request")
		if d.Retries > 0 {
			line += some(d.Retries, "repeated")
		}
		if d.ThrottledSeconds >= 1 {
			line += ", held back for " + seconds(d.ThrottledSeconds) + " by limits"
		}
		p.line("%s", line)
	}
}

func some(n int64, what string) string {
	if n == 0 {
		return ""
	}
	return ", " + number(n) + " " + what
}

// next says what to do now.
func (d *runDoc) next(p *printer) {
	c := d.Counts
	switch {
	case d.Status == run.Failed && d.Error != nil && d.Error.Code == fault.Internal:
	case d.Status == run.Cancelled:
		p.line("  next: %s run %s   # goes on where it stopped", p.upwell, d.Sync)
	case c.Rejected+c.Invalid+c.Unknown > 0:
		p.line("  next: %s rejects %s", p.upwell, d.Sync)
	case d.Status == run.Held && d.Error != nil && d.Error.Code == fault.TestFailed:
		p.line("  next: %s test", p.upwell)
	case d.Status == run.Held && d.Error != nil && d.Error.Code == fault.PolicyDenied:
		p.line("  next: %s check", p.upwell)
	case d.Status == run.Held:
		p.line("  next: %s plan %s", p.upwell, d.Sync)
	}
}
