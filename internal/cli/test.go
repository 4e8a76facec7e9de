package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

type testResult struct {
	Models []modelTests `json:"models"`
}

type modelTests struct {
	Model string       `json:"model"`
	Tests []oneTest    `json:"tests"`
	DBT   *dbtTests    `json:"dbt,omitempty"`   // of a dbt model: what dbt's last command found
	Error *fault.Error `json:"error,omitempty"` // the first test that could not be run, or why none could
}

type oneTest struct {
	Name     string       `json:"name"`
	Status   string       `json:"status"` // passed | failed | warned | error
	Severity string       `json:"severity"`
	Failing  int64        `json:"failing"`
	Message  string       `json:"message,omitempty"`
	Columns  []string     `json:"columns,omitempty"`
	Sample   [][]string   `json:"sample,omitempty"`
	Error    *fault.Error `json:"error,omitempty"` // it could not be run
}

func (r *testResult) text(p *printer) {
	passed, failed, warned, broken := 0, 0, 0, 0
	for _, m := range r.Models {
		p.line("%s", p.paint(bold, m.Model))
		if len(m.Tests) == 0 && m.DBT == nil && m.Error == nil {
			p.line("  no tests")
		}
		for _, t := range m.Tests {
			switch t.Status {
			case "passed":
				passed++
				p.line("  %s  %s", p.paint(green, "passed"), t.Name)
			case "warned":
				warned++
				p.line("  %s  %s: %s", p.paint(yellow, "warned"), t.Name, clean(t.Message))
				t.rows(p)
			case "error":
				broken++
				p.line("  %s   %s", p.paint(red, "error"), t.Name)
				p.fault("error", t.Error)
			default:
				failed++
				p.line("  %s  %s: %s", p.paint(red, "FAILED"), t.Name, clean(t.Message))
				t.rows(p)
			}
		}
		if m.DBT != nil {
			m.DBT.text(p)
			p1, f1, w1 := m.DBT.count()
			passed, failed, warned = passed+p1, failed+f1, warned+w1
		}
		if m.Error != nil && !slices.ContainsFunc(m.Tests, func(t oneTest) bool { return t.Error != nil }) {
			p.fault("error", m.Error)
		}
	}
	p.blank()
	if broken > 0 {
		p.line("%d passed, %d failed, %d warned, %d could not be run", passed, failed, warned, broken)
		return
	}
	p.line("%d passed, %d failed, %d warned", passed, failed, warned)
}

func (t *oneTest) rows(p *printer) {
	if len(t.Sample) == 0 {
		return
	}
	rows := make([][]cell, len(t.Sample))
	for i, line := range t.Sample {
		for _, v := range line {
			rows[i] = append(rows[i], left(clean(v)))
		}
	}
	p.table("          ", t.Columns, rows)
	if more := t.Failing - int64(len(t.Sample)); more > 0 {
		p.line("          and %s more", number(more))
	}
}

func (a *app) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [MODEL...]",
		Short: "Run the tests of models",
		Long: `Runs the tests of the models named, or of all. A failed test of severity error ends with exit code 4: runs of its syncs are held
too. Beside them stands what dbt's last command found of models of dbt; their tests are not run again.`,
		Example:           "  upwell test\n  upwell test customers",
		Args:              between(0, -1),
		ValidArgsFunction: a.completeNames(-1, modelNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.load()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = modelNames(p)
			}
			var models []*project.Model
			for _, name := range args {
				m, err := model(p, name)
				if err != nil {
					return err
				}
				models = append(models, m)
			}
			r, code := &testResult{Models: []modelTests{}}, fault.ExitOK
			for _, m := range models {
				one, c := a.testModel(cmd.Context(), p, m)
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				r.Models = append(r.Models, one)
				code = worst(code, c)
			}
			if err := a.show(r); err != nil {
				return err
			}
			return end(code)
		},
	}
}

func (a *app) testModel(ctx context.Context, p *project.Project, m *project.Model) (out modelTests, code int) {
	out = modelTests{Model: m.Name, Tests: []oneTest{}}
	e := a.engine(p, nil)
	says, derr := e.DBTSays(m)
	if derr == nil && m.Node != nil {
		out.DBT = newDBTTests(m, says)
		if len(says.Held) > 0 {
			code = fault.ExitHeld
		}
	}
	results, err := e.TestModel(ctx, m)
	for _, t := range results {
		one := oneTest{Name: t.Name, Status: "passed", Severity: "error", Failing: t.Failing, Message: t.Message, Columns: t.Columns, Sample: t.Sample, Error: t.Error}
		if t.Warn {
			one.Severity = "warn"
		}
		switch {
		case t.Error != nil:
			one.Status = "error"
			code = worst(code, t.Error.Exit())
		case t.Passed:
		case t.Warn:
			one.Status = "warned"
		default:
			one.Status, code = "failed", worst(code, fault.ExitHeld)
		}
		out.Tests = append(out.Tests, one)
	}
	if err == nil {
		err = derr
	}
	if err != nil {
		out.Error = fault.As(err)
		code = worst(code, out.Error.Exit())
	}
	return out, code
}
