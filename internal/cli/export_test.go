package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/connector"
)

// Console is Main with its seams open.
type Console struct {
	Signals chan os.Signal
	Ticks   chan time.Time
	Sources []connector.SourceConnector // beside the real ones

	mu      sync.Mutex
	started []*app
}

// Wait returns when every command is over, also those that were left behind.
func (c *Console) Wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.started {
		<-a.over
	}
}

// Main runs one command.
func (c *Console) Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(stdin, stdout, stderr, c.Signals)
	a.sources = append(a.sources, c.Sources...)
	if c.Ticks != nil {
		a.tick = func(time.Duration) (<-chan time.Time, func()) { return c.Ticks, func() {} }
	}
	c.mu.Lock()
	c.started = append(c.started, a)
	c.mu.Unlock()
	return a.main(args)
}

var (
	Worst    = worst
	Fit      = fit
	Harmless = harmless
	Clean    = clean
	Span     = span
	Number   = number
	Plural   = plural
)

// Commands gives the command tree.
func Commands() *cobra.Command { return newApp(nil, nil, nil, nil).root() }
