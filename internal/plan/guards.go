package plan

import (
	"fmt"

	"github.com/upwelldata/upwell/internal/project"
)

// Guard is one guard and what it saw.
type Guard struct {
	Guard string `json:"guard"` // max_removed | max_changed | allow_empty | null_keys
	Limit string `json:"limit"`
	Value string `json:"value"`
	Held  bool   `json:"held"`
	// Count is how many items it withholds (Held), the ceiling of a lift.
	Count int64 `json:"count,omitempty"`
}

// guards judges the counts. Invariant 4: a guard holds before the first removal.
func (p *Planner) guards(s *Summary, allow Allow) []Guard {
	g := p.d.Sync.Guards
	total := p.d.Meta.Rows
	share := func(n int64) string {
		if total == 0 {
			return "0%"
		}
		return fmt.Sprintf("%.4g%%", 100*float64(n)/float64(total))
	}
	value := func(t project.Threshold, n int64) string {
		if t.Rows != nil {
			return fmt.Sprint(n)
		}
		return share(n)
	}
	lifted := func(reason, guard string, n int64) bool {
		ceiling, bound := p.d.Ceilings[guard]
		return allow[reason] && (!bound || n <= ceiling)
	}
	out := []Guard{
		{
			Guard: "max_removed", Limit: g.MaxRemoved.String, Value: value(g.MaxRemoved, s.Counts.Remove), Count: s.Counts.Remove,
			Held: s.Counts.Remove > 0 && g.MaxRemoved.Exceeded(s.Counts.Remove, total) && !lifted("removed", "max_removed", s.Counts.Remove),
		},
		{
			Guard: "max_changed", Limit: g.MaxChanged.String, Value: value(g.MaxChanged, s.Counts.Change), Count: s.Counts.Change,
			Held: g.MaxChanged.Exceeded(s.Counts.Change, total) && !lifted("changed", "max_changed", s.Counts.Change),
		},
	}
	if empty := s.Counts.Read == 0 && total >= 100; empty && !g.AllowEmpty {
		out = append(out, Guard{Guard: "allow_empty", Limit: "false", Value: "0 rows read", Count: s.Counts.Remove, Held: !lifted("empty", "allow_empty", s.Counts.Remove)})
	}
	if grew := s.NullKeys > p.d.Meta.NullKeys && p.d.Meta.Version > 0; grew && s.Counts.Remove > 0 {
		out = append(out, Guard{
			Guard: "null_keys", Limit: fmt.Sprint(p.d.Meta.NullKeys), Value: fmt.Sprint(s.NullKeys), Count: s.Counts.Remove,
			Held: !lifted("removed", "null_keys", s.Counts.Remove),
		})
	}
	return out
}

// Held gives the guards that hold something back.
func (s *Summary) Held() []Guard {
	var out []Guard
	for _, g := range s.Guards {
		if g.Held {
			out = append(out, g)
		}
	}
	return out
}

// Withholds says which guard holds an item back, "" when none does.
func (s *Summary) Withholds(it *Item) string {
	for _, g := range s.Guards {
		if !g.Held {
			continue
		}
		switch g.Guard {
		case "max_changed":
			if it.Action == Change {
				return g.Guard
			}
		default:
			if it.Action == Remove || it.Action == Leave || it.Action == Forget {
				return g.Guard
			}
		}
	}
	return ""
}
