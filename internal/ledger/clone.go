package ledger

import (
	"slices"

	"github.com/upwelldata/upwell/internal/row"
)

// Clone copies a record whose memory is borrowed.
func (r *Record) Clone() *Record {
	c := *r
	c.Key, c.MatchID = slices.Clone(r.Key), slices.Clone(r.MatchID)
	c.Match, c.Values = cloneValues(r.Match), cloneValues(r.Values)
	return &c
}

func cloneValues(in []row.Value) []row.Value {
	if in == nil {
		return nil
	}
	out := make([]row.Value, len(in))
	for i, v := range in {
		out[i] = v.Clone()
	}
	return out
}
