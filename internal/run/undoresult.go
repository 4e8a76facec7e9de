package run

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

// UndoResult is what undoing a run would do, or did.
type UndoResult struct {
	Of      *Record
	Summary *plan.Summary
	Skipped []UndoSkip // a sample; SkippedBy counts all
	// SkippedBy counts keys that are left alone, by reason.
	SkippedBy map[string]int64
	// Withheld counts values that a policy of today keeps back, by reason; the rest of their rows is restored.
	Withheld  map[string]int64
	forbidden bool // a policy is the reason why rows are left alone
}

// UndoSkip is a key an undo leaves alone.
type UndoSkip struct {
	Key    []row.Value
	Reason string
}

const sampledSkips = 50

func (u *undoing) skip(key []byte, why string) {
	u.result.SkippedBy[why]++
	if len(u.result.Skipped) < sampledSkips {
		vals, _ := row.ParseKey(key) //nolint:errcheck // keys were made by AppendKey
		u.result.Skipped = append(u.result.Skipped, UndoSkip{Key: vals, Reason: why})
	}
}

// Held is the fault of an undo that restores less than it could because of policies, nil when they keep nothing back.
func (r *UndoResult) Held() error {
	if !r.forbidden && len(r.Withheld) == 0 {
		return nil
	}
	what := slices.Sorted(maps.Keys(r.Withheld))
	for i, reason := range what {
		what[i] = fmt.Sprintf("%s (%d values)", reason, r.Withheld[reason])
	}
	if r.forbidden {
		what = append(what, "rows were left alone for the same reason")
	}
	return fault.New(fault.PolicyDenied, "values the run replaced are not restored: %s", strings.Join(what, "; ")).
		WithFix("change the policy, or leave it at that; `upwell undo %s --dry-run` lists what is left alone", r.Of.ID)
}
