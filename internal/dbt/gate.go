package dbt

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

// Mode is what a gate asks of dbt.
type Mode string

// The modes of a gate.
const (
	GateResults  Mode = "results"  // what dbt reports decides; nothing is asked where it reports nothing
	GateRequired Mode = "required" // dbt must have built or tested the model since its manifest was written
	GateOff      Mode = "off"
)

// Gate decides by dbt's results whether a model may go out.
type Gate struct {
	Mode     Mode
	Results  File // run_results.json
	Sources  File // sources.json
	Newer    bool
	Manifest time.Time // when the manifest was written
}

// File is a file and what it is called in messages.
type File struct {
	Path string `json:"-"` // absolute, so of this machine
	Name string
}

// Verdict is what dbt says of a model.
type Verdict struct {
	Held     []string // why it may not go out, in dbt's words; empty = it may
	Warnings []string
	Command  string    // dbt's last command, "" = not known
	At       time.Time // when it ended
	Tests    []TestResult
}

// TestResult is how a test of the model went; Status "" = not run.
type TestResult struct {
	Test
	Result
}

// Fault gives the fault of a model that is held, nil when it may go out.
func (v *Verdict) Fault(model string) *fault.Error {
	if v == nil || len(v.Held) == 0 {
		return nil
	}
	return fault.New(fault.DBTHeld, "model %s: %s", model, strings.Join(v.Held, "; "))
}

// Judge reads dbt's results and judges the model by them. An error means that they are there and cannot be read.
func (g Gate) Judge(m *Model) (*Verdict, error) {
	v := &Verdict{}
	if g.Mode == GateOff {
		return v, nil
	}
	results, err := ReadRunResults(g.Results.Path, g.Results.Name, g.Newer)
	switch {
	case errors.Is(err, os.ErrNotExist):
		v.lack(g.Mode, "there is no "+g.Results.Name+" that says how dbt went", false)
	case err != nil:
		return nil, err
	default:
		v.results(g, m, results)
	}
	if len(m.Sources) == 0 {
		return v, nil
	}
	ages, err := ReadFreshness(g.Sources.Path, g.Sources.Name, g.Newer)
	switch {
	case errors.Is(err, os.ErrNotExist): // who does not ask dbt for freshness is not asked for it here
	case err != nil:
		return nil, err
	default:
		v.freshness(m, ages)
	}
	return v, nil
}

// lack notes that dbt's word is missing: a reason to hold where it is required, else a warning if there is something to be warned of.
func (v *Verdict) lack(mode Mode, why string, warn bool) {
	switch {
	case mode == GateRequired:
		v.Held = append(v.Held, why)
	case warn:
		v.Warnings = append(v.Warnings, why)
	}
}

func (v *Verdict) results(g Gate, m *Model, r *RunResults) {
	v.Command, v.At = r.Command, r.GeneratedAt
	for _, t := range m.Tests {
		v.Tests = append(v.Tests, TestResult{Test: t, Result: r.Results[t.ID]})
	}
	if !r.Executed() {
		v.Tests = nil
		v.lack(g.Mode, fmt.Sprintf("%s was written by dbt %s, which builds and tests nothing", g.Results.Name, orWord(r.Command, "(no command named)")), true)
		return
	}
	own, built := r.Results[m.ID]
	said := built
	if built {
		v.node(m, own)
	}
	for _, t := range v.Tests {
		said = said || t.Status != ""
		v.test(t)
	}
	switch {
	case len(v.Held) > 0:
	case !said:
		v.lack(g.Mode, fmt.Sprintf("dbt %s of %s neither built nor tested %s", r.Command, moment(r.GeneratedAt), m.Name), false)
	case r.GeneratedAt.Before(g.Manifest):
		v.lack(g.Mode, fmt.Sprintf("dbt's results of %s are older than its manifest of %s: it has been called since, or is at work", moment(r.GeneratedAt), moment(g.Manifest)), true)
	}
}

// node judges how the model itself went. dbt's statuses: https://docs.getdbt.com/reference/artifacts/run-results-json; no-op and
// reused are what newer versions say of models that needed no work.
func (v *Verdict) node(m *Model, r Result) {
	switch r.Status {
	case "success", "pass", "no-op", "reused":
	case "warn":
		v.Warnings = append(v.Warnings, "dbt warns of "+m.Name+said(r.Message))
	case "skipped":
		v.Held = append(v.Held, "dbt skipped "+m.Name+said(r.Message))
	case "partial success":
		v.Held = append(v.Held, "dbt built "+m.Name+" in part only"+said(r.Message))
	case "error", "fail", "runtime error":
		v.Held = append(v.Held, "dbt failed to build "+m.Name+said(r.Message))
	default:
		v.Held = append(v.Held, "dbt reports "+m.Name+" as "+quoted(r.Status)+", which this version does not know"+said(r.Message))
	}
}

// test judges a test. Severity warn never holds; of error a test that did not run holds too: nobody looked.
func (v *Verdict) test(t TestResult) {
	what := ""
	switch t.Status {
	case "", "pass", "success", "no-op", "reused":
		return
	case "warn":
		v.Warnings = append(v.Warnings, "dbt test "+t.Name+" warns"+said(t.Message))
		return
	case "fail":
		what = "failed"
	case "skipped":
		what = "was skipped"
	case "error", "runtime error":
		what = "could not be run"
	default:
		what = "ended as " + quoted(t.Status) + ", which this version does not know"
	}
	why := "dbt test " + t.Name + " " + what + said(t.Message)
	if t.Warn {
		v.Warnings = append(v.Warnings, why)
		return
	}
	v.Held = append(v.Held, why)
}

func (v *Verdict) freshness(m *Model, f *Freshness) {
	for _, id := range m.Sources {
		s, ok := f.Sources[id]
		if !ok {
			continue
		}
		name := strings.TrimPrefix(id, "source.")
		loaded := ""
		if !s.LoadedAt.IsZero() {
			loaded = ": last loaded " + moment(s.LoadedAt) + ", looked at " + moment(s.AsOf)
		}
		switch s.Status {
		case "pass", "no-op":
		case "warn":
			v.Warnings = append(v.Warnings, "dbt finds source "+name+" rather old"+loaded)
		case "error":
			v.Held = append(v.Held, "dbt finds source "+name+" too old"+loaded)
		default:
			v.Held = append(v.Held, "dbt could not tell how old source "+name+" is"+said(s.Message))
		}
	}
}

// Word gives the test's status as people see it beside their own tests.
func (t TestResult) Word() string {
	switch {
	case t.Status == "":
		return "not run"
	case slices.Contains([]string{"pass", "success", "no-op", "reused"}, t.Status):
		return "passed"
	case t.Status == "warn" || t.Warn:
		return "warned"
	case t.Status == "skipped":
		return "skipped"
	}
	return "failed"
}

func said(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return oneLine(s, 40)
}

// moment writes a time for people; dbt's times are exact to the microsecond, which nobody reads.
func moment(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
