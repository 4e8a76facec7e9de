package deliver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Tally counts rows while a run goes on; anyone may read it.
type Tally struct {
	Read, Candidates                                                               atomic.Int64
	Delivered, Unconfirmed, Skipped, Rejected, Unknown, Withheld, Pending, Retries atomic.Int64
	Planned                                                                        atomic.Int64
	warned                                                                         warned
}

// warned counts what the tool remarked on accepted rows. It keeps a few kinds of remark: they repeat.
type warned struct {
	mu    sync.Mutex
	rows  map[string]int64
	other int64
}

const maxWarnings = 20

func (w *warned) add(texts []string) {
	if len(texts) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rows == nil {
		w.rows = map[string]int64{}
	}
	for _, t := range texts {
		if _, known := w.rows[t]; known || len(w.rows) < maxWarnings {
			w.rows[t]++
		} else {
			w.other++
		}
	}
}

// Warnings are the remarks of the tool on rows it accepted, with how many rows each concerns.
func (t *Tally) Warnings() []string {
	t.warned.mu.Lock()
	defer t.warned.mu.Unlock()
	var out []string
	for _, text := range slices.Sorted(maps.Keys(t.warned.rows)) {
		out = append(out, fmt.Sprintf("%d accepted rows: %s", t.warned.rows[text], text))
	}
	if t.warned.other > 0 {
		out = append(out, fmt.Sprintf("%d accepted rows: other remarks of the tool", t.warned.other))
	}
	return out
}

// Settled is how many planned rows have an end.
func (t *Tally) Settled() int64 {
	return t.Delivered.Load() + t.Skipped.Load() + t.Rejected.Load() + t.Unknown.Load() + t.Withheld.Load() + t.Pending.Load()
}

// Intent is rows about to be sent in one request or job.
type Intent struct {
	Op       connector.Op
	Rows     []IntentRow
	At       time.Time
	Deadline time.Time // after it the request can no longer land
}

// IntentRow is one row of an intent: what a later run needs to settle it.
type IntentRow struct {
	Key      []byte
	Match    []row.Value
	RemoteID string
}

// IntentRows is a large intent that gathers its rows. It is no intent before Intend.
type IntentRows interface {
	Add(r IntentRow) error
	// Intend makes an intent of the rows added; in has none. It is durable when Intend returns (Invariant 5).
	Intend(ctx context.Context, in Intent) (id int64, err error)
	// Discard throws rows away of which no intent was made; after Intend it does nothing.
	Discard() error
}

// Refusal is a row the tool refused, or whose outcome is not known.
type Refusal struct {
	Key         []byte
	Match       []row.Value
	RemoteID    string
	Op          connector.Op
	Unknown     bool // outcome not known
	Person      bool // only a person may decide to send again
	Code        fault.Code
	Field       string
	Message     string
	Fingerprint uint64
	Excerpt     string // request and response, redacted
	Attempts    int
}

// Journal is the durable memory of requests: what is about to be sent, what was refused, which jobs run.
type Journal interface {
	// Intend is durable when it returns (Invariant 5). The id is unique and grows.
	Intend(ctx context.Context, in Intent) (id int64, err error)
	// IntendMany begins the intent of a staged load, which may have any number of rows.
	IntendMany() (IntentRows, error)
	// Extend moves an intent's deadline, durably: a request of it leaves later than foreseen.
	Extend(ctx context.Context, id int64, deadline time.Time) error
	// Settle closes an intent whose rows all have a known outcome in the ledger or a refusal on record.
	Settle(ctx context.Context, id int64) error
	// Refuse records refusals; an open refusal of the same key is updated and keeps its first time.
	Refuse(ctx context.Context, rows []Refusal) error
	// Resolve closes refusals and open outcomes of keys that were delivered.
	Resolve(ctx context.Context, keys [][]byte) error
	// SaveJob stores a job's handle and rows durably, tied to its intent.
	SaveJob(ctx context.Context, intent int64, op connector.Op, job connector.Job, rows []byte) (id int64, err error)
	// CloseJob forgets a job that is settled.
	CloseJob(ctx context.Context, id int64) error
}
