package ledger

import (
	"context"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// Home is where one sync's ledger lives. Reading never changes a byte and works beside a writer in another process; writing is
// for the one process that holds the project's state lock.
type Home interface {
	// Snapshot opens the state last published, for plan, explain and undo. A ledger that was never written is empty.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Begin opens the ledger for a run: it first recovers what an unclean end left behind, acknowledgements included.
	Begin(ctx context.Context, run string) (Session, error)
	// Reset forgets all entries and starts a new generation; history of past runs stays.
	Reset(ctx context.Context) error
	// Inspect checks every byte and tells what is damaged; repair mends what can be mended (a derived index, a torn tail).
	Inspect(ctx context.Context, repair bool) ([]Damage, error)
}

// Damage is one thing wrong on disk.
type Damage struct {
	File     string
	What     string
	Repaired bool
	Loss     string // what repairing gives up, for people; "" = nothing
}

// Snapshot is one published state, immutable.
type Snapshot interface {
	Meta() Meta
	// Verify reads everything and compares checksums: STATE_CORRUPT names the file. It must end before a request leaves.
	Verify(ctx context.Context) error
	// Get finds a key's entry, nil when there is none. It reads a block, never the whole ledger.
	Get(ctx context.Context, key []byte) (*Entry, error)
	// Each yields all entries in key-hash order. An entry is valid until the next step.
	Each(ctx context.Context) iter.Seq2[*Entry, error]
	// KeyHistory yields what runs did to a key, newest first; it reads a block per run.
	KeyHistory(ctx context.Context, key []byte) iter.Seq2[History, error]
	// RunHistory yields every key a run changed. NOT_FOUND when the run left no history.
	RunHistory(ctx context.Context, run string) iter.Seq2[History, error]
	// Compare starts comparing a read of the model.
	Compare(opts CompareOptions) (Comparison, error)
	Close() error
}

// CompareOptions steer one comparison.
type CompareOptions struct {
	All        bool              // every row is a candidate (--full, changed mapping with null: skip)
	Dirty      map[uint64][]byte // key hash -> key, of keys with an open or unknown intent: always candidates, and yielded when not read
	DirtyMatch map[string][]byte // key -> MatchID its open request was for, of dirty keys; may be nil
	MatchIsKey bool              // Record.MatchID is nil: match collisions cannot happen
	TempDir    string            // for spools
	Memory     int64             // bytes the comparison may hold besides the probe index; 0 = 64 MiB
}

// Comparison is one read in progress. Probe and Put are called by one goroutine each, and may run at the same time.
type Comparison interface {
	// Probe compares rows by key hash and fingerprint and sets candidate[i] for every row that must be Put: new, different,
	// seen twice, dirty or in a special state. Every row is probed exactly once, except null-key rows: see PutNullKey.
	// A row known to be invalid is probed with fingerprint 0, which is always a candidate.
	Probe(hash, print []uint64, candidate []bool)
	// Put spools a candidate. Exactly the candidates are put, each once. The record is not kept.
	Put(rec *Record) error
	// PutNullKey counts a row without a key and keeps a sample of it (inv names the column).
	PutNullKey(inv Invalid)
	// Finish says the read is complete; only then is anything missing from it taken for removed.
	Finish(ctx context.Context) (Delta, error)
	// Close throws the comparison away.
	Close() error
}

// Differ is a snapshot that finds by itself which rows of a model may differ, where the model is, so that only those are read. That
// of a session keeps what it found for Publish; any other changes nothing.
type Differ interface {
	// Diff compares. nil: it cannot, in this state; the model must be read and compared whole.
	Diff(ctx context.Context, m Model, opts CompareOptions) (Difference, error)
}

// Historian is a snapshot that knows which runs' history it has, old to new.
type Historian interface{ Runs() []string }

// Model is what a Differ compares with.
type Model struct {
	Query   connector.Query // SQL or Table, and Where
	Key     []string
	Fields  []arrow.Field // the columns that the mapping reads, in its order; the key's are among them
	Match   []string      // columns that identify the record in the tool; nil when they are the key
	Mapping string        // its hash: another one than was published may make other records of the same columns
	Settled []State       // entries in these states need not be told of when their row is gone
}

// Difference is a comparison whose rows come from the warehouse.
type Difference interface {
	Comparison
	// Rows yields the rows that may differ, with the columns of Model.Fields. Every one is probed, and put where that says so.
	Rows(ctx context.Context) iter.Seq2[arrow.RecordBatch, error]
	// Query is what Rows reads.
	Query() connector.Query
	// Total is the number of rows of the model, when Rows has ended.
	Total() int64
}

// Session is a run's write access.
type Session interface {
	Snapshot() Snapshot
	// Ack records settled rows. With durable it returns when they are on disk (group commit over all callers); without, they
	// are durable with Publish at the latest. Safe for several goroutines.
	Ack(ctx context.Context, acks []Ack, durable bool) error
	// Publish makes the run's acknowledgements the new state, in one atomic step, and ends the session's writing. Snapshot stays
	// what it was at the session's beginning.
	Publish(ctx context.Context, m Publication) error
	// Close ends the session. Durable acknowledgements not yet published are recovered by the next Begin.
	Close() error
}

// Drafter is a session that can write down, ahead of the tool's answer, what it records when a load is accepted as a whole.
type Drafter interface {
	// Draft writes the acknowledgements of every row of a delta. They are like the one given, but for key, fingerprint, match and
	// values, which are the row's: every record has every field. It gives nil for a delta that holds anything but valid rows of
	// keys a ledger without entries does not know. Nothing of a draft counts, and a later Begin finds nothing of it, unless it was
	// adopted. It may be written while the delta is walked.
	Draft(ctx context.Context, d Delta, like Ack) (Draft, error)
}

// Draft is acknowledgements that do not count yet.
type Draft interface {
	Rows() int64
	// Adopt records every row, as Ack does without durable. The tool must have accepted them all.
	Adopt() error
	// Discard throws a draft away that was not adopted.
	Discard() error
}

// Publication is what a finished run tells the ledger about itself.
type Publication struct {
	KeyColumns    []string
	KeyKinds      []row.Kind
	MatchFields   []string
	Mapping       string
	Target        Target
	NullKeys      int64
	Complete      bool // the run read and settled everything it planned
	NewGeneration bool // match or key changed: entries of other generations were dropped before
}
