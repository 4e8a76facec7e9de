package local

import "bytes"

// cursor walks rows in the order of (hash, key).
type cursor interface {
	next() bool
	hash() uint64
	key() []byte
	head() []byte
	payload() ([]byte, error)
	err() error
}

// order says which of equal keys comes first: that of the cursor added first, or of the one added last.
type order bool

const (
	oldFirst order = false
	newFirst order = true
)

// merge walks several cursors as one. It is itself a cursor.
type merge struct {
	order   order
	cursors []cursor
	heap    []int // indexes of cursors that stand on a row, smallest first
	started bool
	fail    error
}

func newMerge(o order) *merge { return &merge{order: o} }

func (m *merge) add(c cursor) { m.cursors = append(m.cursors, c) }

func (m *merge) less(a, b int) bool {
	x, y := m.cursors[a], m.cursors[b]
	if hx, hy := x.hash(), y.hash(); hx != hy {
		return hx < hy
	}
	if n := bytes.Compare(x.key(), y.key()); n != 0 {
		return n < 0
	}
	return (a < b) == (m.order == oldFirst)
}

func (m *merge) next() bool {
	if m.fail != nil {
		return false
	}
	if !m.started {
		m.started = true
		for i, c := range m.cursors {
			if c.next() {
				m.heap = append(m.heap, i)
			} else if m.fail = c.err(); m.fail != nil {
				return false
			}
		}
		for i := len(m.heap)/2 - 1; i >= 0; i-- {
			m.down(i)
		}
		return len(m.heap) > 0
	}
	if len(m.heap) == 0 {
		return false
	}
	c := m.cursors[m.heap[0]]
	if !c.next() {
		if m.fail = c.err(); m.fail != nil {
			return false
		}
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	if len(m.heap) > 0 {
		m.down(0)
	}
	return len(m.heap) > 0
}

func (m *merge) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(m.heap) && m.less(m.heap[c], m.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

// source is the number of the cursor the row comes from.
func (m *merge) source() int              { return m.heap[0] }
func (m *merge) top() cursor              { return m.cursors[m.heap[0]] }
func (m *merge) hash() uint64             { return m.top().hash() }
func (m *merge) key() []byte              { return m.top().key() }
func (m *merge) head() []byte             { return m.top().head() }
func (m *merge) payload() ([]byte, error) { return m.top().payload() }
func (m *merge) err() error               { return m.fail }
