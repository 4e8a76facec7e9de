package local

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"
	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
)

// The log holds acknowledgements that are not in a segment yet. A group of callers is one frame, written and synced at once; the
// next frame is written after that sync. So only the last frame of a log can be torn, and damage before a good frame is damage.
//
//	header  magic, base version, log number, run, checksum
//	frame   magic, length, sequence number, packed records, checksum
const (
	logMagic   = "UWACKLOG"
	frameMagic = 0x4d524655
	frameHead  = 16
)

// The kinds of record in a frame.
const (
	recordList byte = iota // the next of the lists that rows refer to
	recordAck
)

const (
	ackHead    = 0x01 // changes the entry
	ackHistory = 0x02
)

func logName(n uint64) string { return fmt.Sprintf("acks-%016x.log", n) }

type logFile struct {
	to     sink
	name   string
	number uint64
	seq    uint64
	lists  int // how many lists the log knows
	frames int
	buf    []byte
}

func createLog(d disk, dir string, base, number uint64, run string) (*logFile, error) {
	name := logName(number)
	to, err := d.create(filepath.Join(dir, name))
	if err != nil {
		return nil, unusable(err, "creating ledger file %s", name)
	}
	b := binary.LittleEndian.AppendUint64([]byte(logMagic), base)
	b = packed.AppendBytes(binary.LittleEndian.AppendUint64(b, number), run)
	b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
	if _, err := to.Write(b); err != nil {
		discard(to)
		return nil, unusable(err, "writing ledger file %s", name)
	}
	return &logFile{to: to, name: name, number: number}, nil
}

// append writes a frame and syncs it.
func (l *logFile) append(d disk, dir string, records []byte) error {
	need := frameHead + s2.MaxEncodedLen(len(records)) + 8
	if cap(l.buf) < need {
		l.buf = make([]byte, need)
	}
	l.buf = l.buf[:cap(l.buf)]
	packed := s2.Encode(l.buf[frameHead:], records)
	b := l.buf[:frameHead+len(packed)]
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(packed)))
	binary.LittleEndian.PutUint64(b[8:], l.seq)
	b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
	var err error
	if l.frames == 0 {
		err = l.to.Sync() // a header that is damaged before a good frame is damage, not a torn write
	}
	if err == nil {
		_, err = l.to.Write(b)
	}
	if err == nil {
		err = l.to.Sync()
	}
	if err == nil && l.frames == 0 {
		err = d.syncDir(dir) // the log's name must be as durable as its first frame
	}
	l.seq++
	l.frames++
	return unusable(err, "writing ledger file %s", l.name)
}

// logHead is what a log says of itself.
type logHead struct {
	base, number uint64
	run          string
	size         int
}

// parseLogHead gives ok false for a log that died before it held anything.
func parseLogHead(b []byte) (h logHead, ok bool) {
	if len(b) < 32 || string(b[:8]) != logMagic {
		return h, false
	}
	h.base, h.number = binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	d := decoder{packed.Reader{B: b[24:]}}
	h.run = string(d.Bytes())
	h.size = len(b) - len(d.B)
	if d.Bad || len(d.B) < 8 || binary.LittleEndian.Uint64(d.B) != xxh3.Hash(b[:h.size]) {
		return h, false
	}
	h.size += 8
	return h, true
}

// parseFrame gives the frame at the start of b and its length; n is 0 when there is no good frame.
func parseFrame(b []byte) (seq uint64, records []byte, n int) {
	if len(b) < frameHead+8 || binary.LittleEndian.Uint32(b) != frameMagic {
		return 0, nil, 0
	}
	size := int(binary.LittleEndian.Uint32(b[4:]))
	if size > len(b)-frameHead-8 {
		return 0, nil, 0
	}
	end := frameHead + size
	if binary.LittleEndian.Uint64(b[end:]) != xxh3.Hash(b[:end]) {
		return 0, nil, 0
	}
	records, err := s2.Decode(nil, b[frameHead:end])
	if err != nil {
		return 0, nil, 0
	}
	return binary.LittleEndian.Uint64(b[8:]), records, end + 8
}

// readLog gives the records of every good frame. torn is how many bytes at the end were not completely written; damage before a
// good frame is an error unless salvage is set, and then counted in lost.
func readLog(path string, salvage bool, each func(records []byte) error) (h logHead, torn, lost int, err error) {
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return h, 0, 0, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	h, ok := parseLogHead(b)
	if !ok {
		if _, later := nextFrame(b, 0); later {
			return h, 0, 0, corrupt(path, "its header is damaged")
		}
		return h, len(b), 0, nil
	}
	at, want := h.size, uint64(0)
	for at < len(b) {
		seq, records, n := parseFrame(b[at:])
		if n == 0 || seq < want {
			next, later := nextFrame(b[at+1:], want)
			if !later {
				return h, len(b) - at, lost, nil
			}
			if !salvage {
				return h, 0, 0, corrupt(path, "it is damaged at byte %d, before acknowledgements that are good", at)
			}
			lost += 1 + next
			at += 1 + next
			continue
		}
		if seq > want && !salvage {
			return h, 0, 0, corrupt(path, "acknowledgements before byte %d are missing", at)
		}
		if err := each(records); err != nil && salvage {
			return h, 0, lost + len(b) - at, nil
		} else if err != nil {
			return h, 0, 0, corrupt(path, "the acknowledgements at byte %d cannot be read", at)
		}
		at, want = at+n, seq+1
	}
	return h, 0, lost, nil
}

// nextFrame looks for a good frame with a sequence number of at least seq.
func nextFrame(b []byte, seq uint64) (at int, found bool) {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameMagic)
	for at < len(b) {
		i := bytes.Index(b[at:], magic[:])
		if i < 0 {
			return 0, false
		}
		at += i
		if s, _, n := parseFrame(b[at:]); n > 0 && s >= seq {
			return at, true
		}
		at++
	}
	return 0, false
}

// logs lists the log files of a folder in the order they were written.
func logs(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(err, "reading the ledger folder")
	}
	var out []string
	for _, e := range list {
		if strings.HasPrefix(e.Name(), "acks-") && strings.HasSuffix(e.Name(), ".log") {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

// builder holds acknowledgements in memory until they become a segment and a file of history.
type builder struct {
	entries arena
	history arena
	matches bool
}

func (b *builder) empty() bool { return len(b.entries.refs) == 0 && len(b.history.refs) == 0 }

func (b *builder) bytes() int {
	return b.entries.size() + b.history.size()
}

func (b *builder) reset() {
	b.entries.reset()
	b.history.reset()
	b.matches = false
}

// replay adds the records of a frame. The lists of a log begin anew, as the same lists in the same order.
func (b *builder) replay(seed uint64, records []byte, l *lists, known *int) error {
	d := decoder{packed.Reader{B: records}}
	for len(d.B) > 0 {
		switch d.Byte() {
		case recordList:
			id, list := d.Uvarint(), d.Strings()
			if d.Bad || id != uint64(*known) {
				return errRow
			}
			if *known < len(l.all) {
				if !slices.Equal(l.all[*known], list) {
					return errRow
				}
			} else if l.intern(list) != uint64(*known) {
				return errRow
			}
			*known++
		case recordAck:
			flags, key := d.Byte(), d.Bytes()
			hash := keyHash(seed, key)
			if flags&ackHead != 0 {
				body := d.Bytes()
				if !readable(body, key, l) {
					return errRow
				}
				b.entries.put(hash, key, func(b []byte) []byte { return append(b, body...) })
				b.matches = b.matches || len(body) > entryHead && body[entryHead] != matchNone
			}
			if flags&ackHistory != 0 {
				body := d.Bytes()
				if _, err := decodeHistory("", key, body, l); err != nil {
					return err
				}
				b.history.put(hash, key, func(b []byte) []byte { return append(b, body...) })
			}
		default:
			return errRow
		}
		if d.Bad {
			return errRow
		}
	}
	return nil
}

// readable reports that an acknowledged entry can be read with the lists known.
func readable(body, key []byte, l *lists) bool {
	if len(body) < entryHead {
		return false
	}
	head, payload := body[:entryHead], body[entryHead:]
	if head[entryHead-1]&tombstone != 0 {
		return len(payload) == 0
	}
	return decodeEntry(&ledger.Entry{}, key, head, payload, l) == nil
}
