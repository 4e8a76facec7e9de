package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/demo"
)

type demoResult struct{ *demo.Result }

// text says nothing: the demo has told everything while it went on.
func (demoResult) text(*printer) {}

func (a *app) demoCommand() *cobra.Command {
	o := demo.Options{Rows: 2000, Seed: 1, Program: program()}
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it at work, with a generated warehouse and stand-ins of tools",
		Long: `Generates the warehouse of a software company with a health score per account, starts local stand-ins of the tools it is synced
to, and calls the real commands: a first run, a second one after some data changed, which sends the changes only, and a record that the CRM
refuses. It needs no account, and nothing leaves this machine. The project stays in its folder.

The warehouse is a DuckDB file, or with --warehouse a stand-in of Snowflake, BigQuery, Databricks or Redshift that ends with the demo. The
models are the same there, to the letter. Redshift's stand-in computes with a PostgreSQL server: one that UPWELL_DEMO_POSTGRES names, or
PGHOST on this machine, with a superuser; it gets a database there and drops it.

The product database is a PostgreSQL server if UPWELL_DEMO_POSTGRES names one, or PGHOST one on this machine; else it is a file.`,
		Example: "  upwell demo\n  upwell demo --rows 50000 --dir my-demo --once\n  upwell demo --warehouse snowflake",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out, o.Upwell = a.stdout, a.again
			if a.json {
				o.Out = a.stderr
			}
			r, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.show(demoResult{r})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "a new folder for the project (default: a temporary one)")
	f.StringVar(&o.Warehouse, "warehouse", demo.DuckDB, "where the company's data is: "+strings.Join(demo.Warehouses(), ", "))
	f.IntVar(&o.Rows, "rows", o.Rows, "how many accounts the company has")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "the same seed generates the same company")
	if err := cmd.RegisterFlagCompletionFunc("warehouse", words(demo.Warehouses()...)); err != nil {
		f.Lookup("warehouse").Usage += " (no completion)"
	}
	f.BoolVar(&once, "once", false, "end when everything was shown")
	return cmd
}

// again runs another command within this one. The end of ctx reaches it as a first interrupt, so that it ends in good order.
func (a *app) again(ctx context.Context, out io.Writer, args ...string) int {
	signals := make(chan os.Signal, 1)
	defer context.AfterFunc(ctx, func() { signals <- os.Interrupt })()
	inner := newApp(strings.NewReader(""), out, out, signals)
	if o, same := out.(*outlet); same { // it knows its terminal, and a second interrupt shuts it
		inner.stdout, inner.stderr = o, o
	}
	inner.now, inner.tick, inner.sources, inner.destinations = a.now, a.tick, a.sources, a.destinations
	if a.noColor {
		args = append(args, "--no-color")
	}
	return inner.main(args)
}

// program is how a person called this program.
func program() string {
	if name := os.Args[0]; strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	return "upwell"
}
