package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/demo"
)

type demoResult struct{ *demo.Result }

func (*demoResult) text(*printer) {} // the demo has told it already

func (a *app) demoCommand() *cobra.Command {
	o := demo.Options{Rows: 2000, Seed: 1, Program: program()}
	once := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the program at work, on generated data and stand-ins of tools",
		Long: `Makes a demo project: the warehouse of a software company in DuckDB, a health score per account in SQL, a stand-in of Salesforce, a
product database and a webhook. Runs it, changes some data, runs it again and shows that only the changes go out; then the CRM refuses a record.
It needs no account and no network. The project stays, to look at it.

The product database is a PostgreSQL server if UPWELL_DEMO_POSTGRES names one, or if PGHOST names one on this machine; else it is a file.`,
		Example: "  upwell demo\n  upwell demo --rows 20000 --seed 7 --dir my-demo",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out, o.Upwell = a.stdout, a.again
			if a.json {
				o.Out = a.stderr
			}
			r, err := demo.Run(cmd.Context(), o)
			if err != nil || !a.json {
				return err
			}
			return a.show(&demoResult{r})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "a new folder for the project (default: a temporary one)")
	f.IntVar(&o.Rows, "rows", o.Rows, "accounts in the warehouse")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "another seed makes another company")
	f.BoolVar(&once, "once", false, "end after the last step, whatever could be served")
	return cmd
}

// program gives how this program was called, for hints that can be copied.
func program() string {
	if name := os.Args[0]; strings.HasPrefix(filepath.Base(name), "upwell") {
		return name
	}
	return "upwell"
}

// again runs another command in this process. An end of ctx reaches it as an interrupt, so that it ends in good order.
func (a *app) again(ctx context.Context, out io.Writer, args ...string) int {
	signals := make(chan os.Signal, 1)
	defer context.AfterFunc(ctx, func() { signals <- os.Interrupt })()
	inner := newApp(bytes.NewReader(nil), out, out, signals)
	if o, same := out.(*outlet); same {
		inner.stdout, inner.stderr = o, o // one outlet may be shut by a second interrupt, and knows its terminal
	}
	inner.noColor, inner.verbose = a.noColor, a.verbose
	if a.noColor {
		args = append([]string{"--no-color"}, args...)
	}
	return inner.main(args)
}
