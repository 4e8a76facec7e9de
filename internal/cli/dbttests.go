package cli

import (
	"time"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/project"
)

// dbtTests is what dbt's last command found of a model.
type dbtTests struct {
	Model    string       `json:"model"` // dbt's unique id
	Command  string       `json:"command,omitempty"`
	At       instant      `json:"at"`
	Held     []string     `json:"held"` // why its syncs are held, in dbt's words
	Warnings []string     `json:"warnings"`
	Tests    []oneDBTTest `json:"tests"`
}

type oneDBTTest struct {
	Name     string `json:"name"`
	Status   string `json:"status"` // passed | failed | warned | skipped | not run
	Severity string `json:"severity"`
	Failing  int64  `json:"failing"`
	Message  string `json:"message,omitempty"`
}

func newDBTTests(m *project.Model, v *dbt.Verdict) *dbtTests {
	out := &dbtTests{Model: m.Node.ID, Command: v.Command, At: instant(v.At), Held: list(v.Held), Warnings: list(v.Warnings), Tests: []oneDBTTest{}}
	for _, t := range v.Tests {
		one := oneDBTTest{Name: t.Name, Status: t.Word(), Severity: "error", Failing: t.Failures, Message: t.Message}
		if t.Warn {
			one.Severity = "warn"
		}
		out.Tests = append(out.Tests, one)
	}
	return out
}

func (d *dbtTests) text(p *printer) {
	if d.Command == "" {
		p.line("  dbt: no results of %s", clean(d.Model))
	} else {
		p.line("  dbt %s of %s", clean(d.Command), time.Time(d.At).UTC().Format("2006-01-02 15:04:05Z"))
	}
	for _, t := range d.Tests {
		s, word := green, t.Status
		switch t.Status {
		case "passed":
		case "failed":
			s, word = red, "FAILED"
		default:
			s = yellow
		}
		line := clean(t.Name)
		if t.Message != "" && t.Status != "passed" {
			line += ": " + clean(t.Message)
		}
		p.line("  %s  %s", p.paint(s, word), line)
	}
	for _, why := range d.Held {
		p.line("  %s  %s", p.paint(red, "HELD"), clean(why))
	}
}

func (d *dbtTests) count() (passed, failed, warned int) {
	for _, t := range d.Tests {
		switch t.Status {
		case "passed":
			passed++
		case "warned":
			warned++
		case "failed":
			failed++
		}
	}
	return passed, failed, warned
}
