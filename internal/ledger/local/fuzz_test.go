package local

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/ledger"
)

// The fuzz tests below take any answer; they look for panics and for what cannot be read back.

// resum makes the checksums of a table fit its bytes again, so that the parsers behind them see what was fuzzed.
func resum(b []byte) []byte {
	if len(b) < headerSize+footerSize {
		return b
	}
	foot := b[len(b)-footerSize:]
	at, dir := binary.LittleEndian.Uint64(foot[24:]), binary.LittleEndian.Uint64(foot[32:])
	if body := uint64(len(b) - footerSize); at <= body && dir <= body-at {
		binary.LittleEndian.PutUint64(foot[40:], xxh3.Hash(b[at:at+dir]))
		binary.LittleEndian.PutUint64(foot[56:], xxh3.Hash(b[at+dir:body]))
	}
	binary.LittleEndian.PutUint64(foot[footerSize-8:], xxh3.Hash(foot[:footerSize-8]))
	return b
}

func FuzzTable(f *testing.F) {
	dir, _ := worn(f, false)
	for name, b := range read(f, dir) {
		if ext := filepath.Ext(name); (ext == ".seg" || ext == ".hist") && len(b) < 8000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "t")
		put(t, filepath.Dir(path), "t", resum(bytes.Clone(b)))
		for _, kind := range []tableKind{kindEntries, kindHistory, kindSpool, kindRaw} {
			tab, err := openTable(path, kind, -1)
			if err != nil {
				continue
			}
			l, err := decodeLists(tab.tail)
			if err != nil {
				l = &lists{}
			}
			c := tab.cursor(1)
			for c.next() {
				p, err := c.payload()
				if err != nil {
					break
				}
				if kind == kindEntries {
					_ = decodeEntry(&ledger.Entry{}, c.key(), c.head(), p, l)
				} else {
					_, _ = decodeHistory("r", c.key(), p, l)
				}
			}
			for _, h := range []uint64{0, 1 << 63, 1<<64 - 1, 5} {
				c.seek(h)
			}
			tab.close()
		}
	})
}

func FuzzPayloads(f *testing.F) {
	l := &lists{}
	a := testAck(1, 2, "r1")
	a.Entry.MatchID = []byte("x")
	f.Add(appendEntry(nil, &a.Entry, l))
	h, flags, _ := historyOf(&a, "r1")
	f.Add(appendHistory(nil, &h, flags, l))
	f.Add(appendRecord(nil, &ledger.Record{Key: []byte("k"), MatchID: []byte("m"), Values: a.Entry.Values, Invalid: &ledger.Invalid{Code: "X"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		head := make([]byte, entryHead)
		var e ledger.Entry
		if decodeEntry(&e, []byte("k"), head, b, l) == nil {
			if _, err := relist(nil, b, l, &lists{}); err != nil {
				t.Fatalf("an entry that can be read cannot be copied: %v", err)
			}
			var again ledger.Entry
			if err := decodeEntry(&again, []byte("k"), head, appendEntry(nil, &e, l), l); err != nil {
				t.Fatalf("an entry cannot be written and read again: %v", err)
			}
		}
		_, _ = decodeHistory("r", []byte("k"), b, l)
		if len(b) > 0 {
			recordHead(b[0], b[1:])
			_ = decodeRecord(&ledger.Record{}, 1, []byte("k"), b[0], b[1:])
		}
		_, _ = decodeLists(b)
	})
}

func FuzzLog(f *testing.F) {
	dir, _ := worn(f, true)
	for name, b := range read(f, dir) {
		if filepath.Ext(name) == ".log" {
			f.Add(b, false)
			f.Add(b[:len(b)/2], true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, salvage bool) {
		path := filepath.Join(t.TempDir(), "acks-0000000000000001.log")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		table, l, known := &builder{}, &lists{}, 0
		_, torn, lost, err := readLog(path, salvage, func(records []byte) error { return table.replay(1, records, l, &known) })
		if err == nil && torn+lost > len(b) {
			t.Fatalf("%d bytes torn and %d lost of %d", torn, lost, len(b))
		}
		// Records behind a good checksum may still be nonsense.
		_ = (&builder{}).replay(1, b, &lists{}, new(int))
	})
}

func FuzzManifest(f *testing.F) {
	dir, _ := worn(f, false)
	f.Add(read(f, dir)[manifestName])
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if len(b) > sealLen {
			b = append(bytes.Clone(b[:len(b)-sealLen]), "xxh3:"+hex(xxh3.Hash(b[:len(b)-sealLen]))+"\n"...)
		}
		put(t, dir, manifestName, b)
		if s, err := openState(dir); err == nil {
			discard(closer(s.release))
		}
	})
}

func FuzzIndex(f *testing.F) {
	dir, _ := worn(f, false)
	for name, b := range read(f, dir) {
		if filepath.Ext(name) == ".slots" {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		b = bytes.Clone(b)
		if len(b) >= columnFooter {
			foot := b[len(b)-columnFooter:]
			binary.LittleEndian.PutUint64(foot[32:], xxh3.Hash(foot[:32]))
		}
		put(t, dir, "x.slots", b)
		n := int64(len(b)/slotSize) + 1
		for rows := max(n-8, 0); rows <= n; rows++ {
			w, err := createColumn(osDisk{}, filepath.Join(dir, "x.flags"), 1)
			if err != nil {
				t.Fatal(err)
			}
			w.write(make([]byte, rows))
			w.rows = int(rows)
			flags, err := w.finish(0)
			if err != nil {
				t.Fatal(err)
			}
			x, err := openIndex(dir, &indexRef{Slots: fileRef{Name: "x.slots", Bytes: int64(len(b))}, Flags: flags})
			if err != nil {
				continue
			}
			for _, h := range []uint64{0, 1 << 63, 1<<64 - 1, 77} {
				x.find(h)
			}
			c := &comparison{s: &state{index: x}, seen: newBitmap(x.rows())}
			c.Probe([]uint64{0, 1 << 63, 1<<64 - 1}, []uint64{1, 2, 3}, make([]bool, 3))
			discard(x)
		}
	})
}
