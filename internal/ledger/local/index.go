package local

import (
	"encoding/binary"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"
)

// The probe index is derived from the segments: one slot per key in the order of key hashes, in three files of one column each.
//
//	slots   (hash, fingerprint) pairs, then fences: where the hashes with the same leading bits begin
//	flags   segment number, and whether the slot is special
//	match   first 64 bits of the match's identity, 0 = none; only where the match is not the key
//
// A special slot is always a candidate: it holds its fingerprint inverted, so that probing does not have to look at the flags.
const (
	columnMagic  = "UWINDEX1"
	columnFooter = 40
	slotSize     = 16
	flagSpecial  = 0x80
	maxSegments  = 0x7f
)

// column is one mapped file of the index.
type column struct {
	data  []byte // without the footer
	rows  int
	extra uint64
	file  *os.File
	unmap func() error
}

func openColumn(path string, width int, size int64) (*column, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, unreadable(err, "opening ledger file %s", filepath.Base(path))
	}
	c, err := mapColumn(f, path, width, size)
	if err != nil {
		discard(f)
		return nil, err
	}
	return c, nil
}

func mapColumn(f *os.File, path string, width int, size int64) (*column, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	if st.Size() != size || size < columnFooter {
		return nil, corrupt(path, "it is %d bytes long and was written with %d", st.Size(), size)
	}
	foot := make([]byte, columnFooter)
	if _, err := f.ReadAt(foot, size-columnFooter); err != nil {
		return nil, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	num := func(i int) uint64 { return binary.LittleEndian.Uint64(foot[i*8:]) }
	if string(foot[:8]) != columnMagic || num(4) != xxh3.Hash(foot[:32]) || num(1) != uint64(width) || num(2) > uint64(size)/uint64(width) {
		return nil, corrupt(path, "its footer is damaged or cut off")
	}
	data, unmap, err := mapFile(f, int(size-columnFooter))
	if err != nil {
		return nil, unreadable(err, "mapping ledger file %s", filepath.Base(path))
	}
	return &column{data: data, rows: int(num(2)), extra: num(3), file: f, unmap: unmap}, nil
}

func (c *column) close() error {
	if c == nil {
		return nil
	}
	discard(c.file)
	return c.unmap()
}

// columnWriter writes one file of the index, row by row.
type columnWriter struct {
	*sumWriter
	width int
	rows  int
}

func createColumn(d disk, path string, width int) (*columnWriter, error) {
	w, err := createSummed(d, path)
	if err != nil {
		return nil, err
	}
	return &columnWriter{sumWriter: w, width: width}, nil
}

func (w *columnWriter) finish(extra uint64) (fileRef, error) {
	f := []byte(columnMagic)
	for _, n := range []uint64{uint64(w.width), uint64(w.rows), extra} {
		f = binary.LittleEndian.AppendUint64(f, n)
	}
	w.write(binary.LittleEndian.AppendUint64(f, xxh3.Hash(f)))
	ref, err := w.sumWriter.finish()
	ref.Rows = int64(w.rows)
	return ref, err
}

// index is the open probe index. A nil index is that of an empty ledger.
type index struct {
	slots  *column
	flags  *column
	match  *column // nil where the match is the key
	n      int
	shift  uint
	fences []uint32 // in memory and checked, so that damage in the file cannot lead a search astray
}

// indexRef names the files of an index in the manifest.
type indexRef struct {
	Slots fileRef  `json:"slots"`
	Flags fileRef  `json:"flags"`
	Match *fileRef `json:"match,omitempty"`
}

func (r *indexRef) files() []fileRef {
	if r == nil {
		return nil
	}
	out := []fileRef{r.Slots, r.Flags}
	if r.Match != nil {
		out = append(out, *r.Match)
	}
	return out
}

func openIndex(dir string, ref *indexRef) (*index, error) {
	if ref == nil {
		return nil, nil
	}
	x := &index{}
	err := x.open(dir, ref)
	if err != nil {
		discard(x)
		return nil, err
	}
	return x, nil
}

func (x *index) open(dir string, ref *indexRef) (err error) {
	path := filepath.Join(dir, ref.Slots.Name)
	if x.slots, err = openColumn(path, slotSize, ref.Slots.Bytes); err != nil {
		return err
	}
	if x.flags, err = openColumn(filepath.Join(dir, ref.Flags.Name), 1, ref.Flags.Bytes); err != nil {
		return err
	}
	x.n = x.slots.rows
	bad := x.flags.rows != x.n || len(x.flags.data) != x.n
	if ref.Match != nil {
		if x.match, err = openColumn(filepath.Join(dir, ref.Match.Name), 8, ref.Match.Bytes); err != nil {
			return err
		}
		bad = bad || x.match.rows != x.n || len(x.match.data) != x.n*8
	}
	fb := x.slots.extra
	if bad || fb > 31 || len(x.slots.data) != x.n*slotSize+(1<<fb+1)*4 {
		return corrupt(path, "the files of the index do not fit each other")
	}
	x.shift = uint(64 - fb)
	raw := x.slots.data[x.n*slotSize:]
	x.fences = make([]uint32, 1<<fb+1)
	last := uint32(0)
	for i := range x.fences {
		v := binary.LittleEndian.Uint32(raw[i*4:])
		if v < last || int(v) > x.n {
			return corrupt(path, "the fences of the index are out of order")
		}
		x.fences[i], last = v, v
	}
	if int(last) != x.n {
		return corrupt(path, "the fences of the index end early")
	}
	return nil
}

// Close unmaps the index.
func (x *index) Close() error {
	if x == nil {
		return nil
	}
	for _, c := range []*column{x.slots, x.flags, x.match} {
		if err := c.close(); err != nil {
			return err
		}
	}
	return nil
}

func (x *index) rows() int {
	if x == nil {
		return 0
	}
	return x.n
}

func (x *index) hash(i int) uint64 { return binary.LittleEndian.Uint64(x.slots.data[i*slotSize:]) }

func (x *index) stored(i int) uint64 { return binary.LittleEndian.Uint64(x.slots.data[i*slotSize+8:]) }
func (x *index) special(i int) bool  { return x.flags.data[i]&flagSpecial != 0 }
func (x *index) segment(i int) int   { return int(x.flags.data[i] &^ flagSpecial) }

func (x *index) matchHash(i int) uint64 {
	if x.match == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(x.match.data[i*8:])
}

// find gives the slots [from, to) with a hash; to == from where there is none.
func (x *index) find(h uint64) (from, to int) {
	if x.rows() == 0 {
		return 0, 0
	}
	b := h >> x.shift
	from, end := int(x.fences[b]), int(x.fences[b+1])
	for from < end && x.hash(from) < h {
		from++
	}
	return from, x.group(from, h)
}

// group gives the end of the slots from i on with hash h.
func (x *index) group(i int, h uint64) int {
	for i < x.n && x.hash(i) == h {
		i++
	}
	return i
}

// fenceBits is how many leading bits the fences tell apart, for about 8 slots between two.
func fenceBits(rows int) uint {
	return uint(min(max(bits.Len64(uint64(rows))-3, 0), 28))
}

// indexWriter writes an index slot by slot, in hash order.
type indexWriter struct {
	slots, flags *columnWriter
	match        *columnWriter
	bits         uint
	fences       []uint32
	rows         int
}

func createIndex(d disk, dir, stem string, estimate int, match bool) (w *indexWriter, err error) {
	w = &indexWriter{bits: fenceBits(estimate)}
	w.fences = make([]uint32, 0, 1<<w.bits+1)
	if w.slots, err = createColumn(d, filepath.Join(dir, stem+".slots"), slotSize); err != nil {
		return nil, err
	}
	if w.flags, err = createColumn(d, filepath.Join(dir, stem+".flags"), 1); err != nil {
		w.abandon()
		return nil, err
	}
	if match {
		if w.match, err = createColumn(d, filepath.Join(dir, stem+".match"), 8); err != nil {
			w.abandon()
			return nil, err
		}
	}
	return w, nil
}

func (w *indexWriter) abandon() {
	for _, c := range []*columnWriter{w.slots, w.flags, w.match} {
		if c != nil {
			c.abandon()
		}
	}
}

// add appends a slot; stored is the fingerprint as it stands in the file.
func (w *indexWriter) add(hash, stored uint64, flags byte, match uint64) {
	for uint64(len(w.fences)) <= hash>>(64-w.bits) {
		w.fences = append(w.fences, uint32(w.rows))
	}
	var buf [slotSize]byte
	binary.LittleEndian.PutUint64(buf[:], hash)
	binary.LittleEndian.PutUint64(buf[8:], stored)
	w.slots.write(buf[:])
	buf[0] = flags
	w.flags.write(buf[:1])
	if w.match != nil {
		binary.LittleEndian.PutUint64(buf[:], match)
		w.match.write(buf[:8])
		w.match.rows++
	}
	w.rows++
	w.slots.rows++
	w.flags.rows++
}

func (w *indexWriter) finish() (*indexRef, error) {
	for len(w.fences) < 1<<w.bits+1 {
		w.fences = append(w.fences, uint32(w.rows))
	}
	var buf [4]byte
	for _, v := range w.fences {
		binary.LittleEndian.PutUint32(buf[:], v)
		w.slots.write(buf[:])
	}
	ref, err := &indexRef{}, error(nil)
	if ref.Slots, err = w.slots.finish(uint64(w.bits)); err != nil {
		w.flags.abandon()
		if w.match != nil {
			w.match.abandon()
		}
		return nil, err
	}
	if ref.Flags, err = w.flags.finish(0); err != nil {
		if w.match != nil {
			w.match.abandon()
		}
		return nil, err
	}
	if w.match != nil {
		m, err := w.match.finish(0)
		if err != nil {
			return nil, err
		}
		ref.Match = &m
	}
	return ref, nil
}
