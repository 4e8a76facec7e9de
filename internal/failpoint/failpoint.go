// Package failpoint lets a test end the process at a named step. Without the variable UPWELL_FAILPOINT, which only the tests of
// proof set in their children, a step costs the look at one flag.
//
// The variable holds NAME:N: at the N-th time the step is reached the process ends at once, as if killed. With NAME:0 nothing
// ends, and every time the step is reached a line with its name goes to standard error.
package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Variable arms a point.
const Variable = "UPWELL_FAILPOINT"

// Exit is the exit code of a process that ended at a point.
const Exit = 99

// The points, in the order a run meets them.
const (
	RunBegun     = "run-begun"     // the run is on record
	Adopted      = "adopted"       // what dead runs left open is on record
	Planned      = "planned"       // the plan is judged
	Intended     = "intended"      // an intent is durable
	Departing    = "departing"     // a request has passed the gate and is about to leave
	Answered     = "answered"      // a call has ended
	AckBuffered  = "ack-buffered"  // an acknowledgement waits for the disk
	AckDurable   = "ack-durable"   // acknowledgements are on disk
	Settled      = "settled"       // an intent is to be closed
	Delivered    = "delivered"     // everything was sent
	Publishing   = "publishing"    // the files of the new ledger are written
	Published    = "published"     // the new ledger is in force
	RunFinishing = "run-finishing" // the run's end is about to be recorded
	RunFinished  = "run-finished"  // the run's end is on record
)

// Points lists them.
var Points = []string{
	RunBegun, Adopted, Planned, Intended, Departing, Answered, AckBuffered, AckDurable, Settled, Delivered, Publishing, Published, RunFinishing, RunFinished,
}

var (
	name, nth, armed = arm(os.Getenv(Variable))
	hits             atomic.Int64
)

func arm(s string) (name string, nth int64, armed bool) {
	name, n, ok := strings.Cut(s, ":")
	if !ok {
		return "", 0, false
	}
	nth, err := strconv.ParseInt(n, 10, 64)
	return name, nth, err == nil
}

// Hit is called at a step.
func Hit(point string) {
	if armed && point == name {
		hit()
	}
}

func hit() {
	if nth == 0 {
		fmt.Fprintln(os.Stderr, name)
		return
	}
	if hits.Add(1) == nth {
		os.Exit(Exit)
	}
}
