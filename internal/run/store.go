package run

import (
	"context"
	"time"

	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
)

// Status is where a run is or how it ended; docs/states.md draws the transitions.
type Status string

// The states of a run.
const (
	Queued     Status = "queued"
	Reading    Status = "reading"
	Planning   Status = "planning"
	Delivering Status = "delivering"
	Settling   Status = "settling"
	Succeeded  Status = "succeeded"
	Partial    Status = "partial"
	Failed     Status = "failed"
	Held       Status = "held"
	Cancelled  Status = "cancelled"
)

// Ended reports whether the state is final.
func (s Status) Ended() bool {
	switch s {
	case Succeeded, Partial, Failed, Held, Cancelled:
		return true
	case Queued, Reading, Planning, Delivering, Settling:
	}
	return false
}

// Counts are a run's rows. read = invalid + unchanged + waiting + add + change and
// add + change + remove = delivered + skipped + rejected + unknown + withheld + pending (Invariant 6).
type Counts struct {
	Read        int64   `json:"read"`
	Invalid     int64   `json:"invalid"`
	Unchanged   int64   `json:"unchanged"`
	Waiting     int64   `json:"waiting"`
	Planned     Planned `json:"planned"`
	Delivered   int64   `json:"delivered"`
	Unconfirmed int64   `json:"unconfirmed"`
	Skipped     int64   `json:"skipped"`
	Rejected    int64   `json:"rejected"`
	Unknown     int64   `json:"unknown"`
	Withheld    int64   `json:"withheld"`
	Pending     int64   `json:"pending"`
}

// Planned are the operations of a plan.
type Planned struct {
	Add    int64 `json:"add"`
	Change int64 `json:"change"`
	Remove int64 `json:"remove"`
}

// Record is one run as the store keeps it.
type Record struct {
	ID         string    `json:"run_id"`
	Sync       string    `json:"sync"`
	Kind       string    `json:"kind"` // run | undo
	Undoes     string    `json:"undoes,omitempty"`
	Status     Status    `json:"status"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Counts     Counts    `json:"counts"`
	// InvalidBy counts the invalid rows by code; the store keeps a sample of them.
	InvalidBy        map[fault.Code]int64 `json:"invalid_by,omitempty"`
	Requests         int64                `json:"requests"`
	Retries          int64                `json:"retries"`
	ThrottledSeconds float64              `json:"throttled_seconds"`
	Error            *fault.Error         `json:"error"`
	PlanHash         string               `json:"plan_hash,omitempty"`
	Definition       string               `json:"definition,omitempty"`
	Guards           []plan.Guard         `json:"guards,omitempty"`
	Warnings         []string             `json:"warnings,omitempty"`
	Allowed          []string             `json:"allowed,omitempty"`
	Full             bool                 `json:"full,omitempty"`
	Target           *ledger.Target       `json:"target,omitempty"` // where it wrote
	// Made is what the fields were made of; nil = not on record, as of an undo.
	Made *govern.Making `json:"made,omitempty"`
}

// The kinds of runs.
const (
	kindRun  = "run"
	kindUndo = "undo"
)

// Refused is a row on record as rejected, invalid or unknown.
type Refused struct {
	Sync      string
	Key       []byte
	Kind      string // rejected | invalid | unknown
	Code      fault.Code
	Field     string
	Message   string
	FirstSeen time.Time
	LastSeen  time.Time
	NextAt    time.Time // when it is due again; zero = when it changes or a person asks
	Attempts  int
	Run       string
	Excerpt   string
}

// OpenKey is a key whose last request has an open outcome.
type OpenKey struct {
	plan.Dirty
	Deadline time.Time // after it the request can no longer land
}

// Store is the durable memory of runs: what ran, what was refused, which requests are open. A store has one writer. Reading
// works beside a writer in another process and changes nothing.
type Store interface {
	// BeginRun records a run's start. Runs of the same sync left without an end by a dead process become failed.
	BeginRun(ctx context.Context, r *Record) error
	// SetStatus records a run's progress.
	SetStatus(ctx context.Context, id string, s Status) error
	// FinishRun records a run's end.
	FinishRun(ctx context.Context, r *Record) error
	// Run finds one run; NOT_FOUND. An id may be cut short where it stays unique; "latest" is the newest.
	Run(ctx context.Context, id string) (*Record, error)
	// Runs lists runs, newest first; sync "" = all.
	Runs(ctx context.Context, sync string, limit int) ([]Record, error)

	// Journal is the delivery's memory for one run. mapping is stored with refusals.
	Journal(sync, run, mapping string) deliver.Journal
	// Adopt turns the open intents of dead runs into open keys, durably, leaving out rows for which settled answers true.
	Adopt(ctx context.Context, sync string, settled func(run string, row deliver.IntentRow) (bool, error)) error
	// Open lists the keys with an open outcome.
	Open(ctx context.Context, sync string) ([]OpenKey, error)
	// Renew says that a new generation begins: keys stay open, but the records their requests were for are not its records.
	Renew(ctx context.Context, sync string) error
	// Refused lists what the planner must know of refusals (rejected and unknown rows), by key.
	Refused(ctx context.Context, sync string, now time.Time) (map[string]plan.Refusal, error)
	// Jobs lists asynchronous jobs a dead run left behind.
	Jobs(ctx context.Context, sync string) ([]deliver.SavedJob, error)

	// Invalidate records the invalid rows of a complete read and closes those of earlier reads.
	Invalidate(ctx context.Context, sync, run string, rows []Refused) error
	// Gone closes refusals of keys that are neither in the model nor in the ledger any more.
	Gone(ctx context.Context, sync string, keys [][]byte) error
	// Refusals lists rows on record; sync "" = all.
	Refusals(ctx context.Context, sync string) ([]Refused, error)
	// RefusalOf finds one key's, nil when there is none.
	RefusalOf(ctx context.Context, sync string, key []byte) (*Refused, error)
	// MakeDue makes refused rows due now and says how many.
	MakeDue(ctx context.Context, sync string) (int64, error)

	// SyncState and SetSyncState keep small facts about a sync.
	SyncState(ctx context.Context, sync string) (SyncState, error)
	SetSyncState(ctx context.Context, sync string, s SyncState) error
	// Forget drops everything about a sync but its runs.
	Forget(ctx context.Context, sync string) error
	Close() error
}

// SyncState are small facts about a sync.
type SyncState struct {
	// Home is where the ledger lives when that is not, or no longer, the state folder from the beginning: warehouse:SOURCE or local.
	Home         string `json:"home,omitempty"`
	Paused       string `json:"paused,omitempty"` // why its schedule is paused, "" = it is not
	AdoptNext    bool   `json:"adopt_next,omitempty"`
	RemovalsHeld bool   `json:"removals_held,omitempty"` // until one full run has completed
	Published    bool   `json:"published,omitempty"`     // there is a ledger: where none is found it is lost
}
