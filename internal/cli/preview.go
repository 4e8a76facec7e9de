package cli

import (
	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

type previewResult struct {
	Model   string          `json:"model"`
	Columns []previewColumn `json:"columns"`
	Rows    []object        `json:"rows"`
	Limit   int             `json:"limit"`
}

type previewColumn struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

func (r *previewResult) text(p *printer) {
	head := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		head[i] = c.Name
	}
	rows := make([][]cell, len(r.Rows))
	for i, o := range r.Rows {
		for _, n := range o {
			rows[i] = append(rows[i], cell{text: value(n.Value), right: n.Value.Kind().Numeric()})
		}
	}
	p.table("", head, rows)
	p.blank()
	if len(r.Rows) == r.Limit {
		p.line("the first %s of %s; --limit shows more", plural(int64(r.Limit), "row"), r.Model)
		return
	}
	p.line("%s", plural(int64(len(r.Rows)), "row"))
}

func (a *app) previewCommand() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use:               "preview MODEL",
		Short:             "Show rows of a model",
		Example:           "  upwell preview customers\n  upwell preview customers --limit 5 --json",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames(1, modelNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return fault.New(fault.UsageUnknown, "--limit must be at least 1")
			}
			p, err := a.load()
			if err != nil {
				return err
			}
			m, err := model(p, args[0])
			if err != nil {
				return err
			}
			names, kinds, rows, err := a.engine(p, nil).Preview(cmd.Context(), m, limit)
			if err != nil {
				return err
			}
			return a.show(preview(m.Name, limit, names, kinds, rows))
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many rows")
	return cmd
}

func preview(model string, limit int, names []string, kinds []row.Kind, rows [][]row.Value) *previewResult {
	r := &previewResult{Model: model, Limit: limit, Columns: []previewColumn{}, Rows: []object{}}
	for i, n := range names {
		r.Columns = append(r.Columns, previewColumn{n, kinds[i].String()})
	}
	for _, line := range rows {
		o := make(object, len(line))
		for i, v := range line {
			o[i] = run.Named{Name: names[i], Value: v}
		}
		r.Rows = append(r.Rows, o)
	}
	return r
}
