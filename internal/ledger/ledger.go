// Package ledger holds what each key looked like when the destination last accepted it, and compares a read of the model with
// it. A ledger has a home: local segments (package local) or tables in the warehouse. Both give the same Delta for the same data.
package ledger

import (
	"context"
	"iter"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// State says what an entry stands for.
type State uint8

// The states of an entry. Written to disk: append only.
const (
	Present  State = iota // delivered; the tool has it as far as we know
	Left                  // its row left the model and removed: keep left the record alone
	Baseline              // recorded as delivered by first_run: baseline; never removed before we delivered it
	Missed                // update mode: the tool had no such record; looked at again daily
	Cleared               // its row left the model and its fields were cleared
)

// Entry is what the ledger knows of one key.
type Entry struct {
	Key         []byte // canonical, see row.AppendKey
	Fingerprint uint64 // of the mapped record last accepted
	State       State
	Match       []row.Value // identity delivered, as sent
	MatchID     []byte      // the same, normalised, as in Record; nil when the match is the key itself
	Fields      []string    // destination fields of Values; shared between entries of one shape
	Values      []row.Value // last delivered value per field; Absent = never delivered
	RemoteID    string
	Created     connector.Tri // whether the tool said we created the record
	Run         string        // run that delivered it last
	At          time.Time     // second resolution
}

// Record is one mapped row of the model.
type Record struct {
	Key         []byte
	Hash        uint64 // row.KeyHash(seed, Key)
	Fingerprint uint64
	Match       []row.Value
	MatchID     []byte      // canonical, normalised as the object declares; nil when the match is the key itself
	Values      []row.Value // in the mapping's field order; Absent = not part of this record
	Invalid     *Invalid    // the row cannot be sent; Values may then be nil
	Ordinal     uint64      // the caller's number of the row, kept by the spool
}

// Invalid is why a row was refused before planning.
type Invalid struct {
	Code    fault.Code
	Field   string
	Message string
}

// Change is one key whose row differs from the ledger, is new, left the model, or cannot be sent.
type Change struct {
	Hash uint64
	Key  []byte
	New  *Record // nil: the row is not in the model
	Old  *Entry  // nil: the ledger does not know the key
	// Claimed: New is nil and another key of this read claims the same match, so nothing may be removed.
	Claimed bool
	// OldClaimed: another key of this read claims the match the entry was delivered with.
	OldClaimed bool
	// OpenClaimed: another key of this read claims the match an open request was for (CompareOptions.DirtyMatch).
	OpenClaimed bool
	// Taken: New's match is that of another key's entry, or of another key's open request (CompareOptions.DirtyMatch).
	Taken bool
}

// ReadCounts is what comparing a read found, in rows of the model.
type ReadCounts struct {
	Read      int64
	Unchanged int64 // same fingerprint; candidates the planner finds unchanged are counted by it
	// Invalid counts rows, KEY_NULL rows included: Read = Unchanged + Invalid + changes yielded with a valid New.
	Invalid  map[fault.Code]int64
	NullKeys int64
}

// Delta is the outcome of comparing one complete read with the ledger. Each yields the changes in a fixed order, as often as
// asked; a Change and what it points at are valid until the next step.
type Delta interface {
	Counts() ReadCounts
	// Each yields every key that is new, differs, is invalid, or left the model. Samples of the rows with null keys come first,
	// with a nil Key; everything else follows in the order of key hashes. An invalid row is a Change of its own, so a key with
	// three rows is three changes with New.Invalid KEY_DUPLICATE; New.Values may be nil there. A dirty key that was not read and
	// is not in the ledger is a Change with neither New nor Old.
	Each(ctx context.Context) iter.Seq2[Change, error]
	Close() error
}

// Meta is what a ledger knows of itself.
type Meta struct {
	Version     uint64   // grows with every publication
	Generation  uint64   // grows when match or key change
	Seed        uint64   // of hashes and fingerprints
	Rows        int64    // keys held, in any state
	KeyColumns  []string // of the generation
	KeyKinds    []row.Kind
	MatchFields []string
	Mapping     string // hash of the mapping last published
	Target      Target // where the entries were delivered; empty in ledgers of versions that did not note it
	Fields      []string
	NullKeys    int64 // KEY_NULL rows of the last complete run
	Complete    bool  // a full run has completed since the ledger was made or rebuilt
	LastRun     string
	LastRunAt   time.Time
}

// Target is where a sync's records go.
type Target struct {
	Type        string // of the destination
	Destination string // its name in the project
	Account     string // as the tool tells it
	Object      string
}

// Publish takes over what a run tells of itself. Generation is the home's to count.
func (m *Meta) Publish(p Publication) {
	m.KeyColumns, m.KeyKinds, m.MatchFields, m.Mapping, m.Target = p.KeyColumns, p.KeyKinds, p.MatchFields, p.Mapping, p.Target
	if p.Complete {
		m.NullKeys, m.Complete = p.NullKeys, true
	}
	if p.NewGeneration {
		m.Complete = p.Complete
	}
}

// Ack is one settled row to be recorded.
type Ack struct {
	Op       connector.Op
	Entry    Entry     // the new entry; for a delete only Key is used
	Delete   bool      // forget the key
	Before   []History // at most one: what the run replaced, nil when nothing is known
	Outcome  connector.Status
	HistOnly bool // record history, leave the entry alone
}

// History is one change of one key by one run.
type History struct {
	Run     string
	At      time.Time
	Op      connector.Op
	Outcome connector.Status
	Created connector.Tri
	Fields  []string    // fields the run wrote
	Old     []row.Value // value before, per field; Absent = not known
	New     []row.Value // value after, per field
	// Read says that Old was read from the tool, where somebody may have changed what an earlier run left. It is not kept.
	Read bool
	// PrevState, PrevMatch, PrevRemoteID and PrevFingerprint restore the entry on undo; Known is false when the key was new.
	Known        bool
	PrevState    State
	PrevMatch    []row.Value
	PrevRemoteID string
	// PrevFingerprint is the fingerprint the entry had.
	PrevFingerprint uint64
	Key             []byte
}
