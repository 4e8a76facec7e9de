package connector

import (
	"fmt"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

// Status is how one row ended in one call.
type Status uint8

// The statuses. The zero value is Unknown, which is never success.
const (
	Unknown Status = iota
	Delivered
	Skipped      // nothing to do in the tool
	Rejected     // refused for good
	Retry        // may be sent again
	NotAttempted // certainly had no effect
)

// String gives the status as shown to people.
func (s Status) String() string {
	return [...]string{"unknown", "delivered", "skipped", "rejected", "retry", "not attempted"}[s]
}

// Tri is yes, no or not told.
type Tri uint8

// Values of Tri.
const (
	NotTold Tri = iota
	No
	Yes
)

// Result is the outcome of one row.
type Result struct {
	Status      Status
	RemoteID    string // Delivered: the tool's id, "" = not told
	Created     Tri    // Delivered: the record was new
	Unconfirmed bool   // Delivered: the tool only promised
	Warnings    []string
	Code        fault.Code // Skipped, Rejected, Retry: the tool's code
	Field       string     // Rejected: the field at fault
	Message     string     // Rejected, Retry: the tool's words
	After       time.Duration
}

// Outcomes collects the results of one batch. The engine makes it, the connector fills it. A row not marked is Unknown.
type Outcomes struct {
	results []Result
	marked  []bool
	extra   int // answers that belong to no row
	// Response is an excerpt of the tool's answer for people, redacted; httpkit fills it.
	Request, Response string
}

// NewOutcomes makes outcomes for n rows, all Unknown.
func NewOutcomes(n int) *Outcomes {
	return &Outcomes{results: make([]Result, n), marked: make([]bool, n)}
}

// Len is the number of rows.
func (o *Outcomes) Len() int { return len(o.results) }

// Result gives row i's outcome.
func (o *Outcomes) Result(i int) Result { return o.results[i] }

// Marked reports whether the connector spoke about row i.
func (o *Outcomes) Marked(i int) bool { return o.marked[i] }

// Extra is how many answers belonged to no row: such an answer cannot be trusted.
func (o *Outcomes) Extra() int { return o.extra }

// Set marks row i. A second word about a row makes it Unknown again: contradicting answers prove nothing. An index outside
// the batch counts as extra.
func (o *Outcomes) Set(i int, r Result) {
	if i < 0 || i >= len(o.results) {
		o.extra++
		return
	}
	if o.marked[i] {
		o.results[i] = Result{Status: Unknown, Code: fault.DestAnswer, Message: "the answer speaks twice about this row"}
		o.extra++
		return
	}
	o.results[i], o.marked[i] = r, true
}

// Delivered marks row i accepted.
func (o *Outcomes) Delivered(i int, remoteID string, created Tri) {
	o.Set(i, Result{Status: Delivered, RemoteID: remoteID, Created: created})
}

// DeliveredAll marks every row accepted, for tools that answer for the batch as a whole.
func (o *Outcomes) DeliveredAll() {
	for i := range o.results {
		o.Set(i, Result{Status: Delivered})
	}
}

// Skipped marks row i as having nothing to do, with the reason.
func (o *Outcomes) Skipped(i int, code fault.Code, format string, args ...any) {
	o.Set(i, Result{Status: Skipped, Code: code, Message: fmt.Sprintf(format, args...)})
}

// Rejected marks row i refused.
func (o *Outcomes) Rejected(i int, code fault.Code, field, message string) {
	o.Set(i, Result{Status: Rejected, Code: code, Field: field, Message: message})
}

// Retry marks row i as not done but worth another try, after a while (0 = engine's backoff).
func (o *Outcomes) Retry(i int, after time.Duration, code fault.Code, message string) {
	o.Set(i, Result{Status: Retry, After: after, Code: code, Message: message})
}

// NotAttempted marks row i as certainly without effect.
func (o *Outcomes) NotAttempted(i int) { o.Set(i, Result{Status: NotAttempted}) }

// Clear forgets everything, for another attempt with the same rows.
func (o *Outcomes) Clear() {
	clear(o.results)
	clear(o.marked)
	o.extra, o.Request, o.Response = 0, "", ""
}
