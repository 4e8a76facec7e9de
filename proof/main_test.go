// Package proof_test proves the promises of the program from the outside: processes that are killed, requests of dead processes
// that still land, disks that lie or are full, tools that are sick. Every proof prints one line with its figures.
//
// A proof that needs a process of its own starts the test binary again as a child (TestMain), which runs one sync of a project
// folder. Rows come from a generator (source_test.go), go through HTTP (wire_test.go) to an oracle (oracle_test.go) that keeps
// what every key was sent.
package proof_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/state"
)

const (
	childVar   = "UPWELL_PROOF_CHILD" // project folder; set = this process is a child
	timeoutVar = "UPWELL_PROOF_TIMEOUT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVar); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// report is what a child says of its run.
type report struct {
	Record *run.Record `json:"record"`
	Code   string      `json:"code"`
	Text   string      `json:"text"`
}

// child runs the project's sync once, as `upwell run` does.
func child(dir string) int {
	out := report{}
	if how := os.Getenv(mountVar); how != "" {
		out = confined(dir, how)
	} else {
		out = once(dir)
	}
	b, merr := json.Marshal(out)
	if merr != nil {
		fmt.Fprintln(os.Stderr, merr)
		return 1
	}
	fmt.Println(string(b))
	if out.Code != "" || out.Record.Status == run.Failed {
		return 1
	}
	return 0
}

func once(dir string) report {
	rec, err := runSync(context.Background(), dir, nil)
	out := report{Record: rec}
	if err != nil {
		out.Code, out.Text = string(fault.As(err).Code), err.Error()
	}
	return out
}

// connectors are those of the proofs, by type.
type connectors struct {
	sources      map[string]connector.SourceConnector
	destinations map[string]connector.DestinationConnector
}

func (c connectors) Source(typ string) (connector.SourceConnector, bool) {
	s, ok := c.sources[typ]
	return s, ok
}

func (c connectors) Destination(typ string) (connector.DestinationConnector, bool) {
	d, ok := c.destinations[typ]
	return d, ok
}

func (c connectors) registry() project.Registry {
	var s, d []connector.Spec
	for _, x := range c.sources {
		s = append(s, x.Spec)
	}
	for _, x := range c.destinations {
		d = append(d, x.Spec)
	}
	return project.NewRegistry(s, d)
}

func standard() connectors {
	return connectors{
		sources:      map[string]connector.SourceConnector{"generator": generatorSource()},
		destinations: map[string]connector.DestinationConnector{"wire": wireDestination(), "postgres": postgres.Destination()},
	}
}

// open loads the project, opens its state for writing and gives its engine.
func open(ctx context.Context, dir string, c connectors, choice state.Choice) (*run.Engine, *state.State, error) {
	p, faults := project.Load(dir, c.registry())
	if len(faults) > 0 {
		return nil, nil, faults
	}
	st, err := state.Open(ctx, p, choice)
	if err != nil {
		return nil, nil, err
	}
	e := &run.Engine{Project: p, Connectors: c, Store: st.Store}
	e.Ledger = e.Homes(st)
	return e, st, nil
}

// runSync runs the sync named s.
func runSync(ctx context.Context, dir string, o *run.RunOptions) (*run.Record, error) {
	e, st, err := open(ctx, dir, standard(), state.Ask)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = &run.RunOptions{}
	}
	rec, err := e.Run(ctx, e.Project.Syncs["s"], *o)
	if cerr := st.Close(); err == nil {
		err = cerr
	}
	return rec, err
}

// write makes a file of the project.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wireProject is a project that sends a generated model to an oracle.
func wireProject(t *testing.T, o *oracle, rows int, sync string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "upwell.yml", fmt.Sprintf(`version: 1
name: proof
sources: {wh: {type: generator, rows: %d}}
destinations: {tool: {type: wire, url: %q, allow_private: true}}
models: {m: {source: wh, table: t, key: id}}
syncs:
  s:
    model: m
    destination: tool
    object: Account
%s`, rows, o.url(), strings.TrimLeft(sync, "\n")))
	setVersion(t, dir, 1)
	return dir
}

const mirrorSync = `
    mode: mirror
    match: {Id: id}
    fields: {V: v, Name: name}
`

// process is a child under way.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out strings.Builder
	err strings.Builder
}

func start(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self)}
	p.cmd.Env = append(append(os.Environ(), childVar+"="+dir), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends the child at once and reports whether it was still running.
func (p *process) kill() bool {
	_ = p.cmd.Process.Kill()
	err := p.cmd.Wait()
	return err != nil && p.cmd.ProcessState.ExitCode() == -1
}

// wait lets the child end by itself.
func (p *process) wait() report {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("the child has not ended: %s", p.err.String())
	}
	return p.report()
}

func (p *process) report() report {
	p.t.Helper()
	var r report
	if err := json.Unmarshal([]byte(p.out.String()), &r); err != nil {
		p.t.Fatalf("the child said %q %q (%v), exit %v", p.out.String(), p.err.String(), err, p.cmd.ProcessState)
	}
	return r
}
