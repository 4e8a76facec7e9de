package redshifttest

import "sync"

// Trouble is what may happen to a query while its rows come.
type Trouble int

// The troubles.
const (
	Cut     Trouble = iota + 1 // the connection is gone
	Kill                       // somebody stops the query: CANCEL, or a rule of workload management
	Expire                     // the session has lived its time
	Swallow                    // a row is lost, and the count at the end tells
)

// Faults are what goes wrong from now on. The zero value is fair weather.
type Faults struct {
	fmu       sync.Mutex
	trouble   Trouble
	atRow     int
	conflicts int
	paused    bool
	resizing  bool
	cursorMB  bool
}

// At makes trouble for the next query that gives so many rows.
func (f *Faults) At(row int, what Trouble) {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	f.trouble, f.atRow = what, row
}

// Conflict makes the next n transactions lose against another.
// https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation-serializable-isolation-troubleshooting.html
func (f *Faults) Conflict(n int) {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	f.conflicts = n
}

// Pause makes the cluster take no connections: https://docs.aws.amazon.com/redshift/latest/mgmt/rs-mgmt-pause-resume-cluster.html
func (f *Faults) Pause(is bool) {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	f.paused = is
}

// Resize makes the cluster read-only: https://docs.aws.amazon.com/redshift/latest/mgmt/managing-cluster-operations.html#rs-resize-tutorial
func (f *Faults) Resize(is bool) {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	f.resizing = is
}

// CursorsFull makes every result larger than what the cluster keeps for cursors:
// https://docs.aws.amazon.com/redshift/latest/dg/declare.html#declare-constraints
func (f *Faults) CursorsFull(is bool) {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	f.cursorMB = is
}

func (f *Faults) isPaused() bool {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	return f.paused
}

// due gives the trouble of the row, once.
func (f *Faults) due(row int) Trouble {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	if f.trouble == 0 || row < f.atRow {
		return 0
	}
	what := f.trouble
	f.trouble = 0
	return what
}

// now gives the refusal that faults demand of a statement, nil for none.
func (f *Faults) now(kind string) *refusal {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	writes := kind == "INSERT" || kind == "UPDATE" || kind == "DELETE" || kind == "CREATE" || kind == "DROP"
	switch {
	case writes && f.resizing:
		return &refusal{"25006", "cannot execute " + kind + " in a read-only transaction", ""}
	case writes && f.conflicts > 0:
		f.conflicts--
		return &refusal{"XX000", "1023", "Serializable isolation violation on table - 100167, transactions forming the cycle are: 55705701, 55705754 (pid:16606)"}
	case kind == "FETCH" && f.cursorMB:
		return &refusal{"XX000", "exceeded the maximum size allowed for the total set of cursor data: 8000MB.", ""}
	}
	return nil
}
