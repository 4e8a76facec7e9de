package local

import (
	"encoding/binary"
	"path/filepath"

	"github.com/klauspost/compress/s2"
	"github.com/zeebo/xxh3"
)

// A table is an immutable file of rows (key, head, payload) in the order of (key hash, key). Keys and heads of a block are
// compressed apart from its payloads, so that walking keys never touches values.
//
//	header     16 bytes: magic, kind
//	blocks     key part, payload part
//	directory  per block: first hash, lengths, checksums
//	tail       bytes of the owner: the lists its rows refer to
//	footer     72 bytes: where directory and tail are, and their checksum
//
// A key's hash is not stored: it is computed from the key and the ledger's seed.
const (
	tableMagic  = "UWLEDGER"
	headerSize  = 16
	footerSize  = 72
	blockTarget = 8 << 10
	blockRows   = 4096
	maxPart     = 1 << 30
)

type tableKind uint32

const (
	kindEntries tableKind = 1 + iota
	kindHistory
	kindSpool
	kindRaw // the hash of a row is the first eight bytes of its key
)

// headLen is how many bytes of a row stand beside its key.
func (k tableKind) headLen() int {
	switch k {
	case kindEntries:
		return entryHead
	case kindSpool:
		return 1
	case kindHistory, kindRaw:
	}
	return 0
}

// fileRef is what the manifest knows of a file.
type fileRef struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Sum   string `json:"xxh3"`
	Rows  int64  `json:"rows"`
}

// sumWriter writes through and sums what it wrote.
type sumWriter struct {
	to    sink
	path  string
	buf   []byte
	bytes int64
	sum   *xxh3.Hasher
	err   error
}

func createSummed(d disk, path string) (*sumWriter, error) {
	to, err := d.create(path)
	if err != nil {
		return nil, unusable(err, "creating ledger file %s", filepath.Base(path))
	}
	return &sumWriter{to: to, path: path, buf: make([]byte, 0, 256<<10), sum: xxh3.New()}, nil
}

func (w *sumWriter) write(b []byte) {
	w.bytes += int64(len(b))
	if len(w.buf)+len(b) > cap(w.buf) {
		w.flush()
		if len(b) >= cap(w.buf) {
			w.out(b)
			return
		}
	}
	w.buf = append(w.buf, b...)
}

func (w *sumWriter) out(b []byte) {
	if w.err == nil && len(b) > 0 {
		w.sum.Write(b)
		_, w.err = w.to.Write(b)
	}
}

func (w *sumWriter) flush() {
	w.out(w.buf)
	w.buf = w.buf[:0]
}

// finish makes the file durable and closes it.
func (w *sumWriter) finish() (fileRef, error) {
	w.flush()
	if w.err == nil {
		w.err = w.to.Sync()
	}
	if err := w.to.Close(); w.err == nil {
		w.err = err
	}
	if w.err != nil {
		return fileRef{}, unusable(w.err, "writing ledger file %s", filepath.Base(w.path))
	}
	return fileRef{Name: filepath.Base(w.path), Bytes: w.bytes, Sum: hex(w.sum.Sum64())}, nil
}

func (w *sumWriter) abandon() { discard(w.to) }

type tableWriter struct {
	out   *sumWriter
	kind  tableKind
	first uint64
	n     int
	lens  []byte
	keys  []byte
	heads []byte
	vals  []byte
	part  []byte
	comp  []byte
	dir   []byte
	rows  uint64
}

func createTable(d disk, path string, kind tableKind) (*tableWriter, error) {
	out, err := createSummed(d, path)
	if err != nil {
		return nil, err
	}
	return newTable(out, kind), nil
}

func newTable(out *sumWriter, kind tableKind) *tableWriter {
	out.write(binary.LittleEndian.AppendUint64([]byte(tableMagic), uint64(kind)))
	return &tableWriter{out: out, kind: kind}
}

// add appends a row; rows come in the order of (hash, key).
func (w *tableWriter) add(hash uint64, key, head, payload []byte) {
	if w.n > 0 && (len(w.keys)+len(w.heads)+len(w.vals)+len(payload) > blockTarget || w.n == blockRows) {
		w.flush()
	}
	if w.n == 0 {
		w.first = hash
	}
	w.n++
	w.rows++
	w.lens = binary.AppendUvarint(binary.AppendUvarint(w.lens, uint64(len(key))), uint64(len(payload)))
	w.keys = append(w.keys, key...)
	w.heads = append(w.heads, head...)
	w.vals = append(w.vals, payload...)
}

func (w *tableWriter) flush() {
	if w.n == 0 {
		return
	}
	w.part = append(append(append(w.part[:0], w.lens...), w.keys...), w.heads...)
	w.dir = binary.LittleEndian.AppendUint64(w.dir, w.first)
	w.dir = binary.AppendUvarint(w.dir, uint64(w.n))
	w.writePart(w.part)
	w.writePart(w.vals)
	w.n, w.lens, w.keys, w.heads, w.vals = 0, w.lens[:0], w.keys[:0], w.heads[:0], w.vals[:0]
}

func (w *tableWriter) writePart(raw []byte) {
	if need := s2.MaxEncodedLen(len(raw)); cap(w.comp) < need {
		w.comp = make([]byte, need)
	}
	c := s2.Encode(w.comp[:cap(w.comp)], raw)
	w.dir = binary.AppendUvarint(binary.AppendUvarint(w.dir, uint64(len(c))), uint64(len(raw)))
	w.dir = binary.LittleEndian.AppendUint64(w.dir, xxh3.Hash(c))
	w.out.write(c)
}

// finish writes directory, tail and footer, and makes the file durable.
func (w *tableWriter) finish(tail []byte) (fileRef, error) {
	w.flush()
	at := w.out.bytes
	w.out.write(w.dir)
	w.out.write(tail)
	f := []byte(tableMagic)
	for _, n := range []uint64{uint64(w.kind), w.rows, uint64(at), uint64(len(w.dir)), xxh3.Hash(w.dir), uint64(len(tail)), xxh3.Hash(tail)} {
		f = binary.LittleEndian.AppendUint64(f, n)
	}
	w.out.write(binary.LittleEndian.AppendUint64(f, xxh3.Hash(f)))
	ref, err := w.out.finish()
	ref.Rows = int64(w.rows)
	return ref, err
}
