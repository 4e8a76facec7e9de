// Package demo shows the product at work: it generates the warehouse of a software company, starts stand-ins of the tools its
// people use, and calls the real commands on a project between them. It tells what happens; everything else that is printed
// comes from the commands.
package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/connectors/webhook/webhooktest"
	"github.com/upwelldata/upwell/internal/fault"
)

// Options are how the demo is asked for.
type Options struct {
	Dir  string // folder of the demo project; "" = a new temporary one
	Rows int    // accounts, MinRows to MaxRows
	Seed uint64
	// Warehouse is where the company's data is: one of Warehouses; "" = DuckDB.
	Warehouse string
	Out       io.Writer
	// Upwell calls the command line with what it prints going to out, and gives the exit code.
	Upwell func(ctx context.Context, out io.Writer, args ...string) int
	// Program is how a person calls the command line: "upwell", "bin/upwell".
	Program string
	// After, when set, is called after every step with the stand-in of the CRM as it is then.
	After func(step Step, crm *salesforcetest.Server)
}

// The accounts a demo can have: fewer show nothing, more take long to generate.
const (
	MinRows = 100
	MaxRows = 1_000_000
)

// Step names a point of the demo.
type Step string

// The steps, in order.
const (
	Generated Step = "generated" // warehouse and project are there
	First     Step = "first"     // everything was delivered
	Changed   Step = "changed"   // the warehouse has changed
	Second    Step = "second"    // the changes were delivered
	Refused   Step = "refused"   // one record was refused
	Mended    Step = "mended"    // it was delivered after all
)

// Result is what the demo did, by the stand-ins' own count.
type Result struct {
	Dir       string         `json:"dir"`
	Rows      int            `json:"rows"`
	Seed      uint64         `json:"seed"`
	Warehouse string         `json:"warehouse"`
	Product   string         `json:"product"` // postgres | file
	CRM       map[Step]Wrote `json:"crm"`
	Refused   string         `json:"refused_account"`
}

// Wrote is what one step wrote to the CRM.
type Wrote struct {
	Requests int `json:"requests"` // that write
	Records  int `json:"records"`
}

// show is one performance.
type show struct {
	Options
	crm     *salesforcetest.Server
	hook    *webhooktest.Server
	company string // the file the company is generated in
	house   *house
	product product
	spared  string // the account whose record is refused in the end
	seen    Wrote  // what the CRM counted up to the last step
	result  *Result
}

// Run performs the demo. The stand-ins end with it; the project stays.
func Run(ctx context.Context, o Options) (res *Result, err error) {
	if o.Rows < MinRows || o.Rows > MaxRows {
		return nil, fault.New(fault.UsageUnknown, "the demo can have %d to %d accounts, not %d", MinRows, MaxRows, o.Rows).WithFix("for instance --rows 2000")
	}
	s := &show{Options: o, result: &Result{Rows: o.Rows, Seed: o.Seed, CRM: map[Step]Wrote{}}}
	if err := s.folder(); err != nil {
		return nil, err
	}
	s.result.Dir = s.Dir
	done, err := s.build(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if s.crm, err = salesforcetest.Start(""); err != nil {
		return nil, fault.Wrap(fault.UsageUnknown, err, "starting the stand-in of Salesforce")
	}
	defer s.crm.Close() //nolint:errcheck // it ends with the process at the latest
	if s.hook, err = webhooktest.Start(""); err != nil {
		return nil, fault.Wrap(fault.UsageUnknown, err, "starting the stand-in of a webhook")
	}
	defer s.hook.Close() //nolint:errcheck // it ends with the process at the latest
	for name, value := range map[string]string{
		"UPWELL_DEMO_CRM_URL": s.crm.URL(), "UPWELL_DEMO_CRM_CLIENT_ID": salesforcetest.ClientID, "UPWELL_DEMO_CRM_SECRET": salesforcetest.ClientSecret,
		"UPWELL_DEMO_HOOK_URL": s.hook.URL(), "UPWELL_DEMO_HOOK_TOKEN": webhooktest.Token,
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "setting %s", name)
		}
	}
	if s.product, err = chooseProduct(ctx); err != nil {
		return nil, err
	}
	s.result.Product = s.product.kind
	for _, act := range []func(context.Context) error{s.generate, s.first, s.second, s.refusal} {
		if err := act(ctx); err != nil {
			if ctx.Err() != nil {
				s.say("\nInterrupted. The project, as far as it came, is in %s", s.Dir)
			}
			return nil, err
		}
	}
	s.farewell()
	return s.result, nil
}

// build says where the company is generated and opens its warehouse; done closes it.
func (s *show) build(ctx context.Context) (done func(), err error) {
	if s.house, err = open(ctx, s.Warehouse); err != nil {
		return nil, err
	}
	if s.house == nil {
		s.result.Warehouse, s.company = DuckDB, filepath.Join(s.Dir, "data", "warehouse.duckdb")
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "upwell-demo-company-")
	if err != nil {
		_ = s.house.close() //nolint:errcheck // the first error counts
		return nil, fault.Wrap(fault.UsageUnknown, err, "making a folder for the company's data")
	}
	s.result.Warehouse, s.company = s.house.name, filepath.Join(dir, "company.duckdb")
	return func() {
		_ = s.house.close()   //nolint:errcheck // it ends with the process at the latest
		_ = os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	}, nil
}

// folder makes the project's folder, which must not hold a project yet.
func (s *show) folder() error {
	if s.Dir == "" {
		dir, err := os.MkdirTemp("", "upwell-demo-")
		if err != nil {
			return fault.Wrap(fault.UsageUnknown, err, "making a folder for the demo").WithFix("name one with --dir")
		}
		s.Dir = dir
		return nil
	}
	abs, err := filepath.Abs(s.Dir)
	if err != nil {
		return fault.Wrap(fault.UsageUnknown, err, "finding the folder %s", s.Dir)
	}
	s.Dir = abs
	entries, err := os.ReadDir(abs)
	switch {
	case os.IsNotExist(err):
		if err := os.MkdirAll(abs, 0o755); err != nil {
			return fault.Wrap(fault.UsageUnknown, err, "making the folder %s", abs)
		}
	case err != nil:
		return fault.Wrap(fault.UsageUnknown, err, "looking into the folder %s", abs)
	case len(entries) > 0:
		// The stand-ins of an earlier demo are gone and took their records along: its ledger speaks of tools that no longer exist.
		return fault.New(fault.UsageUnknown, "the folder %s is not empty", abs).
			WithFix("name a new folder with --dir, or leave it out; an earlier demo can still be looked at with `%s -C %s status`", s.Program, abs)
	}
	return nil
}

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// call shows a command as a person would type it in the project's folder, and runs it. Another exit code than one of those
// expected ends the demo.
func (s *show) call(ctx context.Context, expected []int, args ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line := "\n$ upwell"
	for _, a := range args {
		line += " " + a
	}
	s.say("%s", line)
	code := s.Upwell(ctx, s.Out, append([]string{"-C", s.Dir}, args...)...)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range expected {
		if code == e {
			return nil
		}
	}
	return fault.New(fault.Internal, "the demo expected `upwell %s` to end with %d, and it ended with %d", args[0], expected[0], code).
		WithFix("please report it, with what is printed above; the project is in %s", s.Dir)
}

// wrote tells what the CRM has been written since the last step, by its own count.
func (s *show) wrote(step Step) Wrote {
	st := s.crm.Stats()
	now := Wrote{Records: st.Rows["Account"]}
	for route, n := range st.Requests {
		if isWrite(route) {
			now.Requests += n
		}
	}
	w := Wrote{now.Requests - s.seen.Requests, now.Records - s.seen.Records}
	s.seen = now
	s.result.CRM[step] = w
	if s.After != nil {
		s.After(step, s.crm)
	}
	return w
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + one + "s"
}

// number writes 7043 as 7,043, as the commands do.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func since(t time.Time) string { return fmt.Sprintf("%.1f s", time.Since(t).Seconds()) }
