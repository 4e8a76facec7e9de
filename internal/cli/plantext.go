package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/plan"
)

const shownSamples = 10

func (r *planResult) text(p *printer) {
	for i := range r.Plans {
		if i > 0 {
			p.blank()
		}
		r.Plans[i].text(p)
	}
	for i, f := range r.Failed {
		if i > 0 || len(r.Plans) > 0 {
			p.blank()
		}
		p.line("%s: %s", p.paint(bold, f.Sync), p.paint(red, "could not be planned"))
		for _, one := range f.all {
			p.fault("error", one)
		}
	}
	switch {
	case len(r.Plans)+len(r.Failed) == 0:
		p.line("the project has no syncs")
	case r.file != "":
		p.blank()
		p.line("saved in %s; apply it with: %s run --plan %s", r.file, p.upwell, r.file)
	}
}

func (d *planDoc) text(p *printer) {
	p.line("%s  %s -> %s.%s (%s)", p.paint(bold, d.Sync), d.sync.Model, d.sync.Destination, d.sync.Object, d.RunMode)
	d.samplesText(p)
	c := d.Counts
	p.blank()
	if c.Add+c.Change+c.Remove == 0 {
		p.line("  %s", p.paint(green, "No changes."))
	} else {
		p.line("  %s to add, %s to change, %s to remove", number(c.Add), number(c.Change), number(c.Remove))
	}
	line := fmt.Sprintf("  read %s: %s unchanged", number(c.Read), number(c.Unchanged))
	if c.Waiting > 0 {
		line += fmt.Sprintf(", %s rejected earlier and waiting", number(c.Waiting))
	}
	if c.Invalid > 0 {
		line += fmt.Sprintf(", %s invalid", number(c.Invalid))
	}
	p.line("%s", line)
	d.invalidText(p)
	guardsText(p, d.Guards)
	if e := d.Estimate; e.Requests > 0 {
		line := fmt.Sprintf("  estimate: %s, about %s", plural(e.Requests, "request"), seconds(e.Seconds))
		if e.DailyQuotaShare > 0 {
			line += ", " + percent(e.DailyQuotaShare) + " of the daily quota"
		}
		p.line("%s", line)
	}
	if n := d.Estimate.SourceBytes; n > 0 {
		p.line("  the warehouse scans about %s to read the model", volume(n))
	}
	if d.MappingChanged {
		p.line("  the mapping has changed since the last run: records differ by it")
	}
	warningsText(p, d.Warnings)
}

func (d *planDoc) samplesText(p *printer) {
	left := map[string]int64{"add": d.Counts.Add, "change": d.Counts.Change, "remove": d.Counts.Remove}
	shown := map[string]int{}
	signs := map[string]string{"add": p.paint(green, "+"), "change": p.paint(yellow, "~"), "remove": p.paint(red, "-")}
	if len(d.Samples) > 0 {
		p.blank()
	}
	for _, op := range []string{"add", "change", "remove"} {
		for _, s := range d.Samples {
			if s.Op != op || shown[op] >= d.shown && !p.verbose {
				continue
			}
			shown[op]++
			left[op]--
			p.line("  %s %s", signs[op], s.Key)
			for _, f := range s.Fields {
				p.line("      %s: %s", clean(f.field), f.text(op))
			}
		}
		if left[op] > 0 && shown[op] > 0 {
			p.line("  %s and %s more to %s", signs[op], number(left[op]), op)
		}
	}
}

// text shows what happens to one field.
func (d difference) text(op string) string {
	switch {
	case op == "add":
		return value(d.new)
	case op == "remove" || d.new.IsAbsent():
		return value(d.old)
	}
	if d.old.IsAbsent() { // what it was is not known
		return value(d.new)
	}
	return value(d.old) + " -> " + value(d.new)
}

func (d *planDoc) invalidText(p *printer) {
	for i, bad := range d.Invalid {
		if i == shownSamples && !p.verbose {
			p.line("    and more")
			return
		}
		field := ""
		if bad.Field != "" && !strings.Contains(bad.Message, bad.Field) {
			field = clean(bad.Field) + ": "
		}
		p.line("    %s %s: %s%s [%s]", p.paint(yellow, "!"), bad.Key, field, clean(bad.Message), clean(string(bad.Code)))
	}
}

func guardsText(p *printer, guards []plan.Guard) {
	for _, g := range guards {
		if !g.Held {
			if p.verbose {
				p.line("  guard %s: %s, the limit is %s: passes", g.Guard, g.Value, g.Limit)
			}
			continue
		}
		p.line("  %s by the guard %s: %s, the limit is %s; %s withheld", p.paint(red, "HELD"), g.Guard, g.Value, g.Limit, plural(g.Count, "row"))
	}
}

func warningsText(p *printer, warnings []string) {
	for _, w := range warnings {
		p.line("  %s %s", p.paint(yellow, "warning:"), clean(w))
	}
}

func seconds(s float64) string {
	if s < 1 {
		return "1 s"
	}
	if s < 120 {
		return strconv.FormatFloat(s, 'f', 0, 64) + " s"
	}
	return strconv.FormatFloat(s/60, 'f', 0, 64) + " min"
}

func percent(share float64) string {
	if share < 0.0001 {
		return "under 0.01%"
	}
	return strconv.FormatFloat(100*share, 'g', 3, 64) + "%"
}

// volume gives a number of bytes in the unit that people pay for.
func volume(n int64) string {
	const unit = 1 << 10
	v, name := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < unit {
			break
		}
		v, name = v/unit, next
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + name
}
