// Package packed writes and reads the small parts that rows of a ledger, in both of its homes, and plans kept in memory are made of:
// lengths, numbers, texts.
package packed

import "encoding/binary"

// AppendBytes appends a length and what it counts.
func AppendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendStrings appends a count and texts.
func AppendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = AppendBytes(b, s)
	}
	return b
}

// Reader reads parts; after the first thing that does not fit it is Bad, has nothing left and gives zeros.
type Reader struct {
	B   []byte // what is left
	Bad bool
}

// Fail says that what was read does not fit.
func (r *Reader) Fail() { r.Bad, r.B = true, nil }

// Uvarint reads a number written by binary.AppendUvarint.
func (r *Reader) Uvarint() uint64 {
	n, w := binary.Uvarint(r.B)
	if w <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[w:]
	return n
}

// Varint reads a number written by binary.AppendVarint.
func (r *Reader) Varint() int64 {
	n, w := binary.Varint(r.B)
	if w <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[w:]
	return n
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.B) == 0 {
		r.Fail()
		return 0
	}
	c := r.B[0]
	r.B = r.B[1:]
	return c
}

// Fixed reads eight bytes, the lowest first.
func (r *Reader) Fixed() uint64 {
	if len(r.B) < 8 {
		r.Fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(r.B)
	r.B = r.B[8:]
	return n
}

// Bytes reads what AppendBytes wrote; it stays a part of B.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.B)) {
		r.Fail()
		return nil
	}
	s := r.B[:n:n]
	r.B = r.B[n:]
	return s
}

// Strings reads what AppendStrings wrote.
func (r *Reader) Strings() []string {
	n := r.Uvarint()
	if n > uint64(len(r.B)) {
		r.Fail()
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = string(r.Bytes())
	}
	return out
}
