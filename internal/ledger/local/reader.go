package local

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/klauspost/compress/s2"
	"github.com/zeebo/xxh3"
)

type part struct {
	at       int64
	len, raw int
	sum      uint64
}

type block struct {
	first      uint64
	rows       int
	keys, vals part
}

// table is an open table file.
type table struct {
	path   string
	file   *os.File
	kind   tableKind
	rows   int64
	blocks []block
	tail   []byte
}

// openTable opens a file and checks header, footer, directory and tail. size < 0 means not known from elsewhere.
func openTable(path string, kind tableKind, size int64) (*table, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, unreadable(err, "opening ledger file %s", filepath.Base(path))
	}
	t, err := readTable(f, path, kind, size)
	if err != nil {
		discard(f)
		return nil, err
	}
	return t, nil
}

func readTable(f *os.File, path string, kind tableKind, size int64) (*table, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	if size >= 0 && st.Size() != size {
		return nil, corrupt(path, "it is %d bytes long and was written with %d", st.Size(), size)
	}
	size = st.Size()
	if size < headerSize+footerSize {
		return nil, corrupt(path, "it is cut short (%d bytes)", size)
	}
	head, foot := make([]byte, headerSize), make([]byte, footerSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	if _, err := f.ReadAt(foot, size-footerSize); err != nil {
		return nil, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	num := func(i int) uint64 { return binary.LittleEndian.Uint64(foot[i*8:]) }
	if string(head[:8]) != tableMagic || binary.LittleEndian.Uint64(head[8:]) != uint64(kind) {
		return nil, corrupt(path, "its header is damaged, or it is another file")
	}
	if string(foot[:8]) != tableMagic || num(8) != xxh3.Hash(foot[:footerSize-8]) || num(1) != uint64(kind) {
		return nil, corrupt(path, "its footer is damaged or cut off")
	}
	at, dirLen, tailLen := num(3), num(4), num(6)
	body := uint64(size - footerSize)
	if at < headerSize || at > body || dirLen > body-at || tailLen != body-at-dirLen {
		return nil, corrupt(path, "its footer does not fit its length")
	}
	buf := make([]byte, dirLen+tailLen)
	if _, err := f.ReadAt(buf, int64(at)); err != nil && err != io.EOF {
		return nil, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	dir, tail := buf[:dirLen], buf[dirLen:]
	if xxh3.Hash(dir) != num(5) || xxh3.Hash(tail) != num(7) {
		return nil, corrupt(path, "its directory is damaged")
	}
	t := &table{path: path, file: f, kind: kind, rows: int64(num(2)), tail: tail}
	if !t.parse(dir, int64(at)) {
		return nil, corrupt(path, "its directory does not describe it")
	}
	return t, nil
}

// parse reads the directory; false when it does not describe the blocks up to end exactly.
func (t *table) parse(dir []byte, end int64) bool {
	at, rows := int64(headerSize), int64(0)
	uv := func() (int64, bool) {
		n, w := binary.Uvarint(dir)
		if w <= 0 || n > maxPart {
			return 0, false
		}
		dir = dir[w:]
		return int64(n), true
	}
	fixed := func() (uint64, bool) {
		if len(dir) < 8 {
			return 0, false
		}
		n := binary.LittleEndian.Uint64(dir)
		dir = dir[8:]
		return n, true
	}
	readPart := func() (part, bool) {
		n, ok1 := uv()
		raw, ok2 := uv()
		sum, ok3 := fixed()
		p := part{at: at, len: int(n), raw: int(raw), sum: sum}
		at += n
		return p, ok1 && ok2 && ok3 && at <= end
	}
	for len(dir) > 0 {
		first, ok1 := fixed()
		n, ok2 := uv()
		keys, ok3 := readPart()
		vals, ok4 := readPart()
		if !ok1 || !ok2 || !ok3 || !ok4 || n == 0 || n > blockRows {
			return false
		}
		if len(t.blocks) > 0 && first < t.blocks[len(t.blocks)-1].first {
			return false
		}
		t.blocks = append(t.blocks, block{first: first, rows: int(n), keys: keys, vals: vals})
		rows += n
	}
	return at == end && rows == t.rows
}

func (t *table) close() { discard(t.file) }

// load reads a part of a block into buf (compressed) and raw, and checks it.
func (t *table) load(p part, buf, raw []byte) (b, r []byte, err error) {
	if cap(buf) < p.len {
		buf = make([]byte, p.len+p.len/4)
	}
	buf = buf[:p.len]
	if _, err := t.file.ReadAt(buf, p.at); err != nil {
		return buf, raw, unreadable(err, "reading ledger file %s", filepath.Base(t.path))
	}
	if xxh3.Hash(buf) != p.sum {
		return buf, raw, corrupt(t.path, "the block at byte %d is damaged", p.at)
	}
	if n, err := s2.DecodedLen(buf); err != nil || n != p.raw {
		return buf, raw, corrupt(t.path, "the block at byte %d cannot be unpacked", p.at)
	}
	raw, err = s2.Decode(raw[:cap(raw)], buf)
	if err != nil {
		return buf, raw, corrupt(t.path, "the block at byte %d cannot be unpacked", p.at)
	}
	return buf, raw, nil
}

// tableCursor walks a table's rows forward, block by block.
type tableCursor struct {
	t     *table
	seed  uint64
	block int // current block, -1 before the first
	row   int
	// key part of the block
	ends           []uint32 // ends of keys
	vends          []uint32 // ends of payloads
	keysAt, headAt int
	comp, keys     []byte
	vcomp, vals    []byte
	vblock         int
	curHash        uint64
	placed         bool   // every row before the current one has a hash below floor
	floor          uint64 //
	fail           error
}

func (t *table) cursor(seed uint64) *tableCursor {
	return &tableCursor{t: t, seed: seed, block: -1, vblock: -1}
}

func (c *tableCursor) err() error { return c.fail }

// next steps to the next row; false at the end or on an error.
func (c *tableCursor) next() bool {
	if c.fail != nil || c.block >= len(c.t.blocks) {
		return false
	}
	c.floor = c.curHash + 1
	c.placed = c.block >= 0 && c.floor != 0
	c.row++
	if c.block < 0 || c.row >= c.t.blocks[c.block].rows {
		if !c.open(c.block + 1) {
			return false
		}
	}
	c.curHash = c.hashAt(c.row)
	return true
}

// open loads the key part of block i and stands on its first row.
func (c *tableCursor) open(i int) bool {
	c.block, c.row = i, 0
	if i >= len(c.t.blocks) {
		return false
	}
	b := &c.t.blocks[i]
	if c.comp, c.keys, c.fail = c.t.load(b.keys, c.comp, c.keys); c.fail != nil {
		return false
	}
	if !c.index(b) {
		c.fail = corrupt(c.t.path, "the block at byte %d does not hold its rows", b.keys.at)
		return false
	}
	return true
}

func (c *tableCursor) index(b *block) bool {
	c.ends, c.vends = c.ends[:0], c.vends[:0]
	rest, kend, vend := c.keys, uint64(0), uint64(0)
	for range b.rows {
		k, w := binary.Uvarint(rest)
		if w <= 0 || k > maxPart {
			return false
		}
		v, x := binary.Uvarint(rest[w:])
		if x <= 0 || v > maxPart {
			return false
		}
		rest = rest[w+x:]
		kend, vend = kend+k, vend+v
		if kend > maxPart || vend > maxPart {
			return false
		}
		c.ends, c.vends = append(c.ends, uint32(kend)), append(c.vends, uint32(vend))
	}
	c.keysAt = len(c.keys) - len(rest)
	c.headAt = c.keysAt + int(kend)
	return vend == uint64(b.vals.raw) && c.headAt+b.rows*c.t.kind.headLen() == len(c.keys)
}

func (c *tableCursor) keyAt(i int) []byte {
	from := 0
	if i > 0 {
		from = int(c.ends[i-1])
	}
	return c.keys[c.keysAt+from : c.keysAt+int(c.ends[i])]
}

func (c *tableCursor) hashAt(i int) uint64 {
	k := c.keyAt(i)
	if c.t.kind == kindRaw && len(k) >= 8 {
		return binary.BigEndian.Uint64(k)
	}
	return keyHash(c.seed, k)
}

func (c *tableCursor) hash() uint64 { return c.curHash }

// key is valid until the next step.
func (c *tableCursor) key() []byte { return c.keyAt(c.row) }

func (c *tableCursor) head() []byte {
	n := c.t.kind.headLen()
	return c.keys[c.headAt+c.row*n : c.headAt+(c.row+1)*n]
}

// payload loads the block's payload part when first asked. It is valid until a step leaves the block.
func (c *tableCursor) payload() ([]byte, error) {
	if c.vblock != c.block {
		var err error
		if c.vcomp, c.vals, err = c.t.load(c.t.blocks[c.block].vals, c.vcomp, c.vals); err != nil {
			return nil, err
		}
		c.vblock = c.block
	}
	from := uint32(0)
	if c.row > 0 {
		from = c.vends[c.row-1]
	}
	return c.vals[from:c.vends[c.row]], nil
}

// seek stands on the first row whose hash is at least h; false when there is none. Seeking forward is cheap: what is in hand is
// not loaded again.
func (c *tableCursor) seek(h uint64) bool {
	if c.fail != nil {
		return false
	}
	bs := c.t.blocks
	inHand := c.block >= 0 && c.block < len(bs)
	if c.placed && h >= c.floor && (!inHand || c.curHash >= h) {
		return inHand
	}
	if !inHand || bs[c.block].first >= h || (c.block+1 < len(bs) && bs[c.block+1].first < h) {
		i := max(sort.Search(len(bs), func(i int) bool { return bs[i].first >= h })-1, 0)
		if inHand && i == c.block {
			c.row = 0
		} else if !c.open(i) {
			return false
		}
		c.curHash = c.hashAt(0)
	} else {
		for c.row > 0 && c.hashAt(c.row-1) >= h {
			c.row--
		}
		c.curHash = c.hashAt(c.row)
	}
	found := true
	for found && c.curHash < h {
		found = c.next()
	}
	c.placed, c.floor = c.fail == nil, h
	return found
}

// alone reports that the next row, if any, has another hash.
func (c *tableCursor) alone() bool {
	if c.row+1 < c.t.blocks[c.block].rows {
		return c.hashAt(c.row+1) != c.curHash
	}
	return c.block+1 >= len(c.t.blocks) || c.t.blocks[c.block+1].first != c.curHash
}
