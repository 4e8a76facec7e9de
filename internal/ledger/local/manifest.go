package local

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// Format is the version of the files this package writes.
const Format = 1

const (
	manifestName = "MANIFEST"
	backupName   = "MANIFEST.bak"
	pendingName  = "PENDING"
)

// manifest names the files of one published state. It is replaced as a whole.
type manifest struct {
	Format   int          `json:"format"`
	Meta     ledger.Meta  `json:"meta"`
	Fresh    bool         `json:"fresh"` // reset since the last publication
	Next     uint64       `json:"next"`  // number of the next file
	Segments []segmentRef `json:"segments"`
	Index    *indexRef    `json:"index,omitempty"`
	History  []historyRef `json:"history"`
	Canon    int          `json:"canonical"`
}

// segmentRef is one segment of entries; segments stand from old to new.
type segmentRef struct {
	fileRef
	Number  int  `json:"number"`            // as slots of the index name it
	Matches bool `json:"matches,omitempty"` // some entry has a match apart from its key
}

// historyRef is what one run changed; its files stand from old to new.
type historyRef struct {
	Run   string    `json:"run"`
	At    time.Time `json:"at"`
	Files []fileRef `json:"files"`
}

// pending is what a session that has not published has made durable besides its log.
type pending struct {
	Format   int          `json:"format"`
	Base     uint64       `json:"base"` // version it builds on
	Run      string       `json:"run"`
	Next     uint64       `json:"next"`
	Log      uint64       `json:"log"` // first log that counts
	Segments []segmentRef `json:"segments"`
	History  []fileRef    `json:"history"`
}

// Seed is the same for all ledgers: a plan before the first run, or before a new generation, must agree with the run, and a ledger
// can move to another home.
const Seed = 0x75707765_6c6c3031

func emptyManifest() *manifest {
	return &manifest{Format: Format, Canon: row.CanonicalVersion, Next: 1, Meta: ledger.Meta{Generation: 1, Seed: Seed}}
}

// files lists every file the manifest names.
func (m *manifest) files() []fileRef {
	var out []fileRef
	for _, s := range m.Segments {
		out = append(out, s.fileRef)
	}
	out = append(out, m.Index.files()...)
	for _, h := range m.History {
		out = append(out, h.Files...)
	}
	return out
}

// seal frames a document: one line of JSON, one line of checksum.
func seal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding the ledger's manifest")
	}
	b = append(b, '\n')
	return append(b, "xxh3:"+hex(xxh3.Hash(b))+"\n"...), nil
}

const sealLen = len("xxh3:0123456789abcdef\n")

// unseal checks and decodes a sealed document.
func unseal(path string, b []byte, v any) error {
	if len(b) < sealLen+1 {
		return corrupt(path, "it is cut short")
	}
	body, sum := b[:len(b)-sealLen], b[len(b)-sealLen:]
	if string(sum) != "xxh3:"+hex(xxh3.Hash(body))+"\n" {
		return corrupt(path, "its checksum does not fit")
	}
	var f struct {
		Format int `json:"format"`
		Canon  int `json:"canonical"`
	}
	if err := json.Unmarshal(body, &f); err != nil {
		return corrupt(path, "it cannot be read: %v", err)
	}
	if f.Format > Format || f.Canon > row.CanonicalVersion {
		return fault.New(fault.StateNewer, "ledger %s has format %d, this version knows %d", filepath.Base(filepath.Dir(path)), f.Format, Format)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return corrupt(path, "it cannot be read: %v", err)
	}
	return nil
}

// readSealed reads a sealed file; found is false when there is none.
func readSealed(path string, v any) (found bool, err error) {
	b, err := os.ReadFile(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, unreadable(err, "reading ledger file %s", filepath.Base(path))
	}
	return true, unseal(path, b, v)
}

// readManifest gives the published state's manifest, that of an empty ledger when nothing was published.
func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	m := &manifest{}
	found, err := readSealed(path, m)
	if err != nil {
		return nil, err
	}
	if !found {
		if what, err := orphans(dir); err != nil || what != "" {
			if err == nil {
				err = corrupt(path, "it is missing, while %s is there", what)
			}
			return nil, err
		}
		return emptyManifest(), nil
	}
	return m, m.check(path)
}

// orphans names a file that only a published ledger has. Files of a first session that died are not.
func orphans(dir string) (string, error) {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", unreadable(err, "reading the ledger folder %s", filepath.Base(dir))
	}
	for _, e := range list {
		if e.Name() == backupName {
			return e.Name(), nil
		}
	}
	return "", nil
}

// check refuses what no writer would write.
func (m *manifest) check(path string) error {
	seen := map[int]bool{}
	for _, s := range m.Segments {
		if s.Number < 0 || s.Number >= maxSegments || seen[s.Number] {
			return corrupt(path, "segment %s has number %d", s.Name, s.Number)
		}
		seen[s.Number] = true
	}
	for _, f := range m.files() {
		if f.Name != filepath.Base(f.Name) || strings.HasPrefix(f.Name, ".") || f.Bytes < 0 {
			return corrupt(path, "it names the file %q", f.Name)
		}
	}
	return nil
}

// replaceSealed writes a sealed file in the place of the one there, in one step.
func replaceSealed(d disk, path string, v any) error {
	b, err := seal(v)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	f, err := d.create(tmp)
	if err != nil {
		return unusable(err, "writing ledger file %s", filepath.Base(path))
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.rename(tmp, path)
	}
	if err == nil {
		err = d.syncDir(filepath.Dir(path))
	}
	return unusable(err, "writing ledger file %s", filepath.Base(path))
}

// publish makes m the state. The copy beside it is written after it, so a damaged manifest can be mended.
func (m *manifest) publish(d disk, dir string) error {
	// What the manifest names must be in the folder before it is.
	if err := d.syncDir(dir); err != nil {
		return unusable(err, "syncing the ledger folder")
	}
	failpoint.Hit(failpoint.Publishing)
	if err := replaceSealed(d, filepath.Join(dir, manifestName), m); err != nil {
		return err
	}
	failpoint.Hit(failpoint.Published)
	return replaceSealed(d, filepath.Join(dir, backupName), m)
}
