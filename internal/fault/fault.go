// Package fault holds the errors the engine acts on.
//
// A fault has a code (what happened, for people and documentation), a class (what the engine does about it), a message in
// the words of whoever refused, a fix, and where it is. Every error that crosses a package boundary towards the user is a
// fault; inside a package ordinary wrapped errors are fine. The registry in codes.go is the only list of codes: it prints
// docs/codes.md and decides exit codes.
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Class says what the engine does about a fault. Classes decide, codes explain.
type Class string

// The classes. Anything a connector cannot classify is ClassBug: it is reported, never retried.
const (
	ClassTransient    Class = "transient"     // try again with backoff
	ClassThrottled    Class = "throttled"     // wait RetryAfter (or backoff); never counts as an attempt
	ClassQuota        Class = "quota"         // pause the destination until Until
	ClassAuth         Class = "auth"          // refresh the credential once, then stop the run
	ClassConfig       Class = "config"        // stop the run: project, mapping or tool set-up is wrong
	ClassRow          Class = "row"           // this row is refused
	ClassBatchRefused Class = "batch_refused" // the whole batch was refused without naming the row: bisect
	ClassHeld         Class = "held"          // a guard, test, policy or approval stopped it
	ClassEnvironment  Class = "environment"   // cannot reach a connection; state folder unusable
	ClassSource       Class = "source"        // the source failed at run time
	ClassCancelled    Class = "cancelled"     // the user interrupted
	ClassBug          Class = "bug"           // a promise of the program is broken
)

// Landed says whether a failed call may have had an effect in the destination.
type Landed uint8

// A fault returned by a write without a statement is LandedMaybe: the careful reading is the zero value.
const (
	LandedMaybe Landed = iota // the request may have been applied
	LandedNo                  // the request certainly had no effect
)

// Where points at a place in a project file. Line and Column start at 1; 0 means unknown.
type Where struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String gives file:line:column as compilers print it.
func (w Where) String() string {
	switch {
	case w.Line == 0:
		return w.File
	case w.Column == 0:
		return fmt.Sprintf("%s:%d", w.File, w.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column)
	}
}

// Error is one fault. Message and Fix never hold secrets; Cause is for errors.Is/As and is not shown.
type Error struct {
	Code       Code          // from the registry, or the tool's own code for row faults
	Class      Class         // "" takes the registry's class for Code
	Message    string        // lower case, says what was being done and what was answered
	Fix        string        // "" takes the registry's fix for Code
	Where      *Where        // project file position, nil when there is none
	Field      string        // destination field, where the refusal names one
	Line       int           // SOURCE_QUERY_FAILED: line of the model's own SQL the source points at, from 1; 0 = it does not
	Column     int           // and the column, from 1; 0 = not told
	Landed     Landed        // for failed writes
	RetryAfter time.Duration // ClassThrottled: what the tool asked for; 0 = unknown
	Until      time.Time     // ClassQuota: when the quota resets; zero = unknown
	Cause      error
}

// New builds a fault with the registry's class and fix.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap builds a fault around a cause: its text is appended to the message and errors.Is/As see it.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	e := New(code, format, args...)
	if cause != nil {
		e.Message += ": " + cause.Error()
		e.Cause = cause
	}
	return e
}

// Error gives "CODE: message (fix)" with the place in front.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Where != nil {
		s = e.Where.String() + ": " + s
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// At sets the place and returns e.
func (e *Error) At(w Where) *Error { e.Where = &w; return e }

// WithFix sets the remedy and returns e.
func (e *Error) WithFix(format string, args ...any) *Error {
	e.Fix = fmt.Sprintf(format, args...)
	return e
}

// WithClass sets the class and returns e.
func (e *Error) WithClass(c Class) *Error { e.Class = c; return e }

// NotLanded states that the failed call certainly had no effect and returns e.
func (e *Error) NotLanded() *Error { e.Landed = LandedNo; return e }

// GetClass is the fault's class, from the registry when none was set.
func (e *Error) GetClass() Class {
	if e.Class != "" {
		return e.Class
	}
	if info, ok := Lookup(e.Code); ok {
		return info.Class
	}
	return ClassBug
}

// GetFix is the remedy, from the registry when none was set.
func (e *Error) GetFix() string {
	if e.Fix != "" {
		return e.Fix
	}
	info, _ := Lookup(e.Code)
	return info.Fix
}

// MarshalJSON writes the contract's error document.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code    Code   `json:"code"`
		Class   Class  `json:"class"`
		Message string `json:"message"`
		Fix     string `json:"fix"`
		Field   string `json:"field,omitempty"`
		Where   *Where `json:"where,omitempty"`
	}{e.Code, e.GetClass(), e.Message, e.GetFix(), e.Field, e.Where})
}

// As finds the first fault in err's chain; any other error becomes an INTERNAL bug fault. nil stays nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Internal, Message: err.Error(), Cause: err}
}

// Is reports whether err holds a fault with this code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// List is several faults found together (a lint run); it is an error itself.
type List []*Error

// Error joins the faults, one a line.
func (l List) Error() string {
	s := ""
	for i, e := range l {
		if i > 0 {
			s += "\n"
		}
		s += e.Error()
	}
	return s
}

// Unwrap gives the faults to errors.Is/As.
func (l List) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}
