package connector

import (
	"context"
	"errors"
	"time"

	"github.com/upwelldata/upwell/internal/row"
)

// Destination is an open connection to one account of one tool. Methods may be called from several goroutines. No method
// loops over operations, sleeps, retries, paces, splits or logs.
type Destination interface {
	// Check makes one cheap authenticated call that changes nothing. The account owns the limits.
	Check(ctx context.Context) (Account, error)
	// Objects gives the live schema of the objects named; nil names = all, without their fields where listing them is
	// expensive. A name the tool does not have is left out of the answer. A FreeObject destination answers what is asked.
	Objects(ctx context.Context, names []string) ([]Object, error)
	// Write sends one batch of one operation, within the operation's limits, and marks every row in out. A returned error
	// speaks for the rows still Unknown and for no others; its Landed says whether the request may have had an effect.
	// An empty batch makes no call.
	Write(ctx context.Context, to Target, rows *row.Batch, out *Outcomes) error
	Close() error
}

// JobWriter is a destination with a bulk API that answers later. The engine uses it for operations whose JobAbove is set,
// when a plan has at least that many rows.
type JobWriter interface {
	// Submit creates a job for the rows. It calls save with the job's handle before the job can start; save returning an
	// error means the job must be thrown away. After save the engine polls the handle, also in another process.
	Submit(ctx context.Context, to Target, rows *row.Batch, save func(Job) error) error
	// Poll looks at the job once. When it is done it marks every row in out; a row the results do not mention stays
	// Unknown, a row the tool did not process is NotAttempted. rows are the rows of Submit, in the same order.
	Poll(ctx context.Context, job Job, to Target, rows *row.Batch, out *Outcomes) (done bool, err error)
	// Abandon tells the tool to drop a job that was saved but never started, or whose run ended. Unknown jobs are no error.
	Abandon(ctx context.Context, job Job) error
}

// Job is a handle on an asynchronous job in the tool: plain data, stored durably.
type Job struct {
	ID        string            `json:"id"`
	Data      map[string]string `json:"data,omitempty"` // whatever Poll needs; no secrets
	PollAfter time.Duration     `json:"-"`              // how long to wait before the next look; 0 = engine's choice
}

// Stager is a destination where rows can be put aside unseen and made visible together: a temporary table or file.
type Stager interface {
	Stage(ctx context.Context, to Target) (Stage, error)
}

// Stage is one staged load. Nothing of it is visible in the tool before Commit. Calls come one at a time.
type Stage interface {
	// Write puts rows aside. It may be called while the model is still being read. Meta.Ordinal names each row.
	Write(ctx context.Context, rows *row.Batch) error
	// Commit makes visible every staged row whose ordinal is not in exclude, in one atomic step where the tool can, and
	// reports rows through settle, which it may call many times. A row it refuses does not stop the rest: rows are found
	// by bisecting. A returned error speaks for all rows not yet settled.
	Commit(ctx context.Context, exclude map[uint64]bool, settle func(ordinal uint64, r Result)) error
	// Abort throws away what was staged. It is safe after Commit and at any time.
	Abort(ctx context.Context) error
}

// Filler is a Stager that can put a load where it belongs at once, unseen until it is committed, as long as the object holds no
// records: an open transaction that fills an empty table.
type Filler interface {
	// Fill begins such a load of OpUpsert or OpInsert, of rows in which no field is Absent. It gives nil when the object is not
	// empty, or cannot be filled that way; then rows go through Stage. The stage it gives cannot leave rows out and does not
	// look for a bad row: Write and Commit then return an error that wraps ErrStageLost.
	Fill(ctx context.Context, to Target) (Stage, error)
}

// ErrStageLost is wrapped by errors of a stage that holds nothing any more and never made anything visible: the rows have to be
// staged anew.
var ErrStageLost = errors.New("what was staged is gone")

// Reader is a destination whose records can be read: for look-ups, remote ids, unknown outcomes, read_before and verify.
type Reader interface {
	// ReadBack looks for records by the values of by (destination field names): one Found per row of matches, same order.
	// fields are the values wanted. len(matches) is at most the object's ReadBatch.
	ReadBack(ctx context.Context, object Object, by []string, matches [][]row.Value, fields []string) ([]Found, error)
}

// Found is the answer for one match.
type Found struct {
	Exists    bool
	Ambiguous bool // several records match; RemoteID and Values are empty
	RemoteID  string
	Values    []row.Value // in the order of fields; Absent where the tool did not tell
}

// Timed is a destination whose settings decide how long a request may take: requests of a dead process may land that much later.
// Without it Spec.Timeout says so.
type Timed interface {
	Timeout() time.Duration
}

// Account is who the credentials belong to. Limits are counted per account.
type Account struct {
	ID      string // stable and unique per tool: organisation id, host and database
	Name    string // for people
	Version string // what the server says it is
	Windows []Window
	Used    []Usage // what the call told of the windows
}

// Target says what a batch is for.
type Target struct {
	Object Object
	Op     Op
	// IdField is the match field for tools that take one external id; Match has all of them.
	Match  []string
	Fields []string // what rows may hold beside Match, in batch order
	// Kinds gives the kind the model declares for each of Fields, and MatchKinds for Match; staging tables are made from it.
	Kinds      []row.Kind
	MatchKinds []row.Kind
	Sync       string
	RunID      string
	SkipExists bool // OpInsert: a record that exists is skipped instead of rejected
	// Lookups: fields whose value is another record's identity. The engine has resolved them; the map tells the object, for
	// tools that want it named.
	Lookups map[string]string
}

// Object is something a destination can write: a CRM object, a table, a list, an event stream.
type Object struct {
	Name      string
	Label     string
	Kind      ObjectKind
	Fields    []Field
	FreeField bool // fields need not be declared: any name is written
	NoNaN     bool // with FreeField: NaN and infinities are refused, whatever the field
	// Keys are the field sets that can identify a record for upsert and update; nil with FreeField = any.
	Keys [][]string
	// CanMove: a record's match can be changed, by remote id or by the old match.
	CanMove bool
	// NeedsRemoteID lists operations that address records by the tool's own id; the engine resolves it first.
	NeedsRemoteID []Op
	Ops           map[Op]Operation
	ReadBatch     int // rows per ReadBack, 0 = cannot be read
}

// ObjectKind is what removal and addition mean for an object.
type ObjectKind string

// The object kinds.
const (
	KindRecord ObjectKind = "record" // create, update, delete
	KindEvent  ObjectKind = "event"  // append only
	KindList   ObjectKind = "list"   // membership: add and remove
	KindTable  ObjectKind = "table"
	KindFile   ObjectKind = "file"
)

// Field is one field of an object as the tool describes it.
type Field struct {
	Name       string
	Label      string
	Kind       row.Kind // what it holds; row.Absent = anything
	Creatable  bool
	Updatable  bool
	Required   bool // on create, without default
	Nullable   bool
	Unique     bool
	Match      bool // may be a match field
	FoldCase   bool // match values that differ only in case are the same record
	TrimSpace  bool // match values that differ only in surrounding blanks are the same record
	MaxLength  int  // characters; 0 = not limited or not known
	Precision  int  // digits in all, 0 = not known
	Scale      int  // digits of the fraction
	Choices    []string
	Restricted bool     // only Choices are accepted
	Refers     []string // objects a reference points at
	NoNaN      bool     // NaN and infinities are refused
	NoNUL      bool     // texts with a NUL character are refused
	MaxBytes   int      // of a text or of bytes; 0 = not limited or not known
	Bits       int      // whole numbers: their width; 0 = 64
	Unsigned   bool     // whole numbers: none is below zero
	Single     bool     // floats of 32 bits: a number that has no exact or shortest form there is refused
	// Step is the finest part of a second that times keep; finer ones are refused. 0 = not limited or not known.
	Step time.Duration
}

// Operation is what an object offers for one Op, and its limits. The engine never exceeds them.
type Operation struct {
	MaxRows     int           // rows per request; 0 = 1
	MaxBytes    int           // encoded bytes per request, 0 = no limit
	MaxRowBytes int           // encoded bytes per row, 0 = no limit
	Concurrency int           // requests in flight, 0 = 1
	Group       Group         // endpoint group of its requests
	Idempotent  bool          // sending the same row twice leaves the same state: may be repeated after an unknown outcome
	Dedupes     time.Duration // idempotency keys are honoured this long, 0 = they are not
	Partial     bool          // absent fields are left alone: only changed fields need to be sent
	JobAbove    int           // use JobWriter from this many rows on, 0 = never
	JobRows     int           // rows per job
	JobBytes    int           // encoded bytes per job
	Affinity    string        // field whose equal values are never in two requests in flight, and neighbours in a job (parent id against lock contention), "" = none
	Unconfirmed bool          // the tool accepts and never tells the verdict
}

// Sizer is a destination that can tell a row's encoded size; without it the engine estimates from the values as JSON.
type Sizer interface {
	RowBytes(to Target, rows *row.Batch, i int) int
}
