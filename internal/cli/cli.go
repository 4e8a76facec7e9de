// Package cli is the command line. Every command builds one result and shows it in one of two renderings: text for people, or with
// --json one JSON document. Standard output holds the result and nothing else; progress and errors go to standard error.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/all"
	"github.com/upwelldata/upwell/internal/fault"
)

// Version is what `upwell version` says; the build stamps it.
var Version = "dev"

// Main runs one command and gives the exit code of the process. The first interrupt ends a run in good order, the second ends the
// process at once.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	limitHeap()
	return newApp(stdin, stdout, stderr, signals).main(args)
}

// app is one call of the program.
type app struct {
	stdin        io.Reader
	stdout       *outlet
	stderr       *outlet
	signals      <-chan os.Signal
	stop         chan struct{} // closed by the first interrupt
	graceful     atomic.Bool   // the command settles by itself when stop is closed
	over         chan struct{} // closed when the command is over, also one that was left behind
	now          func() time.Time
	tick         func(time.Duration) (<-chan time.Time, func())
	sources      []connector.SourceConnector
	destinations []connector.DestinationConnector

	json             bool // fixed before the command starts
	dir              string
	noColor, verbose bool
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, signals <-chan os.Signal) *app {
	return &app{
		stdin: stdin, stdout: &outlet{w: stdout}, stderr: &outlet{w: stderr}, signals: signals, stop: make(chan struct{}), over: make(chan struct{}),
		now: time.Now, tick: ticker, sources: all.Sources(), destinations: all.Destinations(),
	}
}

func ticker(every time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// main runs the command beside the signals.
func (a *app) main(args []string) int {
	a.json = wantsJSON(args)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		defer close(a.over)
		done <- a.execute(ctx, args)
	}()
	interrupted := false
	for {
		select {
		case code := <-done:
			return code
		case <-a.signals:
			if interrupted {
				a.endAtOnce() // before the command hears of it, so that it does not get a word in
				return fault.ExitInterrupted
			}
			interrupted = true
			close(a.stop)
			if a.graceful.Load() {
				a.stderr.line("interrupted: finishing what is in flight; once more ends at once")
				continue
			}
			cancel()
		}
	}
}

// endAtOnce says so and leaves the command behind, which writes no more. Its document stands where it was written already.
func (a *app) endAtOnce() {
	f := fault.New(fault.Cancelled, "interrupted twice: ending at once").WithFix("the next run settles what is open")
	a.stderr.line("%s; %s", f.Message, f.GetFix())
	if a.json {
		doc, err := document(problems{Error: f})
		if err = errors.Join(err, a.stdout.last(doc)); err != nil {
			a.stderr.line("error: %v", err)
		}
	}
	a.stdout.shut()
	a.stderr.shut()
}

// execute runs the command and shows whatever goes wrong. It never lets a panic out.
func (a *app) execute(ctx context.Context, args []string) (code int) {
	defer func() {
		if r := recover(); r != nil {
			stack := string(debug.Stack())
			code = a.fail(fault.New(fault.Internal, "the program broke: %v", r).WithFix("please report it; -v prints where it happened"))
			if a.verbose || slices.Contains(args, "-v") || slices.Contains(args, "--verbose") {
				a.stderr.line("%s", stack)
			}
		}
	}()
	root := a.root()
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return unknownFlag(cmd, args, err) })
	err := root.ExecuteContext(ctx)
	var end ended
	switch {
	case err == nil:
		return fault.ExitOK
	case errors.As(err, &end):
		return int(end)
	case ctx.Err() != nil:
		err = fault.New(fault.Cancelled, "interrupted").WithFix("nothing was changed; call it again")
	}
	return a.fail(err)
}

// wantsJSON looks for --json before flags are parsed, so that a wrong flag is answered in the form asked for.
func wantsJSON(args []string) (yes bool) {
	for _, arg := range args {
		switch arg {
		case "--":
			return yes
		case "--json", "--json=true":
			yes = true
		case "--json=false":
			yes = false
		}
	}
	return yes
}

// ended is a command that has shown its result and ends with this exit code.
type ended int

func (ended) Error() string { return "the command has ended" }

// end gives the exit code to return after a result was shown.
func end(code int) error {
	if code == fault.ExitOK {
		return nil
	}
	return ended(code)
}

// severity orders exit codes: of several the first wins.
var severity = []int{
	fault.ExitInterrupted, fault.ExitUsage, fault.ExitEnvironment, fault.ExitFailed, fault.ExitHeld, fault.ExitPartial, fault.ExitOK,
}

func worst(codes ...int) int {
	for _, s := range severity {
		if slices.Contains(codes, s) {
			return s
		}
	}
	if len(codes) > 0 {
		return codes[0]
	}
	return fault.ExitOK
}

// root builds the commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "upwell",
		Short: "Keep business tools in step with your warehouse",
		Long: `Upwell reads models from a warehouse and keeps records in business tools in step with them.

A project is a folder with an upwell.yml. Start with ` + "`upwell init`" + `.`,
		Example:       "  upwell init my-project\n  upwell -C my-project plan\n  upwell -C my-project run",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	f := root.PersistentFlags()
	f.StringVarP(&a.dir, "chdir", "C", ".", "project folder")
	f.Bool("json", false, "print one JSON document") // looked for by wantsJSON
	f.BoolVar(&a.noColor, "no-color", false, "no colours (also: NO_COLOR in the environment)")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say more")
	if err := root.MarkPersistentFlagDirname("chdir"); err != nil {
		return root
	}
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"start", "Start:", []*cobra.Command{a.initCommand(), a.demoCommand(), a.checkCommand(), a.previewCommand(), a.testCommand()}},
		{"run", "Run:", []*cobra.Command{a.planCommand(), a.runCommand(), a.retryCommand(), a.undoCommand()}},
		{"look", "Look:", []*cobra.Command{a.statusCommand(), a.runsCommand(), a.runLogCommand(), a.rejectsCommand(), a.explainCommand()}},
		{"state", "State:", []*cobra.Command{a.doctorCommand(), a.resetCommand()}},
		{"more", "More:", []*cobra.Command{a.connectorsCommand(), a.grantsCommand(), a.dbtCommand(), a.sandboxCommand(), a.schemaCommand(), a.completionCommand(), a.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, c := range group.commands {
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	help := a.helpCommand()
	help.GroupID = "more"
	root.SetHelpCommand(help)
	root.InitDefaultHelpCmd()
	return root
}
