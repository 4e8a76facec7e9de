package row

import "strings"

// Clone gives the value with a text of its own, for values whose text stands in borrowed memory.
func (v Value) Clone() Value {
	v.str = strings.Clone(v.str)
	return v
}
