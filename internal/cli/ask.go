package cli

import (
	"bufio"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
)

// canAsk refuses to go on where nobody can answer.
func (a *app) canAsk(doing string) error {
	if a.json || !a.answers() {
		return fault.New(fault.UsageUnknown, "%s asks first, and nobody can answer here", doing).WithFix("look at what it would do, then pass --yes")
	}
	return nil
}

// answers reports whether standard input is a person's.
func (a *app) answers() bool { return isTerminal(a.stdin) }

// ask asks a question on standard error; anything but yes is no.
func (a *app) ask(question string) bool {
	if _, err := a.stderr.Write([]byte(question + " [y/N] ")); err != nil {
		return false
	}
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && line == "" {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}
