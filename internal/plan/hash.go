package plan

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/xxh3"
)

// hasher sums up a plan independently of row order: definitions, ledger version, and (key, operation, fingerprint) of every
// item, added as 128-bit numbers.
type hasher struct {
	head   xxh3.Uint128
	lo, hi uint64
	n      uint64
	buf    []byte
}

func newHasher(definitions string, version uint64) *hasher {
	b := binary.BigEndian.AppendUint64([]byte(definitions), version)
	return &hasher{head: xxh3.Hash128(b)}
}

// ItemSum is an item's share of the plan hash: it changes when key, operation or planned values do.
func ItemSum(it *Item, buf []byte) (xxh3.Uint128, []byte) {
	buf = append(append(buf[:0], it.Key...), 0, byte(it.Action))
	buf = append(buf, it.Op...)
	buf = binary.BigEndian.AppendUint64(buf, it.Fingerprint)
	return xxh3.Hash128(buf), buf
}

func (h *hasher) add(it *Item) {
	var u xxh3.Uint128
	u, h.buf = ItemSum(it, h.buf)
	h.lo += u.Lo
	h.hi += u.Hi
	h.n++
}

func (h *hasher) sum() string {
	var b []byte
	for _, u := range []uint64{h.head.Hi, h.head.Lo, h.hi, h.lo, h.n} {
		b = binary.BigEndian.AppendUint64(b, u)
	}
	s := xxh3.Hash128(b).Bytes()
	return hex.EncodeToString(s[:])
}
