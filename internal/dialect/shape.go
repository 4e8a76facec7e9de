package dialect

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/row"
)

// Shape is the columns of the model that a ledger keeps: its key first, then what else the mapping reads.
type Shape struct {
	Key    []string
	Fields []arrow.Field // the key's and all others, as the warehouse describes them
	Match  []string      // columns that identify the record in the tool; nil when that is the key
}

// Columns names the columns.
func (s Shape) Columns() []string {
	out := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = f.Name
	}
	return out
}

// Kept are the columns of the match that also stand in the ledger for records that no row stands for, so that the warehouse knows
// which rows claim one: where what a tool identifies is for certain what such a column holds.
func (s Shape) Kept() []arrow.Field {
	var out []arrow.Field
	for _, m := range s.Match {
		f := s.field(m)
		_, own := f.Metadata.GetValue(row.TypeKey)
		if k := kind(f); !own && (k == row.Text || k == row.Int) && !slices.Contains(s.Key, m) {
			out = append(out, f)
		}
	}
	return out
}

func (s Shape) field(name string) arrow.Field {
	for _, f := range s.Fields {
		if f.Name == name {
			return f
		}
	}
	return arrow.Field{Name: name}
}

// kind is the kind of a field; what the warehouse cannot carry was refused before.
func kind(f arrow.Field) row.Kind {
	k, err := row.KindOf(f)
	if err != nil {
		return row.Absent
	}
	return k
}
