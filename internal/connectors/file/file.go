// Package file writes records to JSON Lines or CSV files: as a snapshot, a file that always holds the current state of what was
// delivered, or as a log of changes. A commit is all or nothing: readers see the file before it or after it.
package file

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	maxRows   = 10_000
	readBatch = 10_000
)

// Connector is the registration of the type "file".
func Connector() connector.DestinationConnector {
	return connector.DestinationConnector{
		Spec: spec(),
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
			return open(cfg, env)
		},
	}
}

func spec() connector.Spec {
	return connector.Spec{
		Type: "file", Title: "File", FreeObject: true, NoMatch: true, Stages: true, Timeout: 10 * time.Second,
		Summary: "Writes JSON Lines or CSV files: the current state of all records, or a log of changes.",
		Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror},
		Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
		Settings: []connector.Setting{
			{Name: "path", Type: connector.TypeString, Required: true, Doc: "A folder, where each object gets a file of its name; or a file name, in which {object} stands for the object. Relative to the project.", Example: "out"},
			{Name: "format", Type: connector.TypeString, Enum: []string{"jsonl", "csv"}, Doc: "By default what the file name of path ends in, else jsonl."},
			{Name: "form", Type: connector.TypeString, Enum: []string{"snapshot", "changes"}, Default: "snapshot", Doc: "snapshot = the current state of all records; changes = a line for every change."},
		},
	}
}

// Destination is one folder, or one file.
type Destination struct {
	base    string // absolute
	pattern string // below base, with {object}
	format  format
	changes bool
	now     func() time.Time
}

var _ interface {
	connector.Destination
	connector.Stager
	connector.Reader
	connector.Sizer
} = (*Destination)(nil)

const placeholder = "{object}"

func open(cfg connector.Config, env connector.Env) (*Destination, error) {
	path := cfg.String("path")
	if path == "" || strings.ContainsRune(path, 0) {
		return nil, setting("path is missing or not a path")
	}
	folder := strings.HasSuffix(path, "/") || strings.HasSuffix(path, string(filepath.Separator))
	if !filepath.IsAbs(path) {
		path = filepath.Join(env.ProjectDir, path)
	}
	path = filepath.Clean(path)
	d := &Destination{changes: cfg.String("form") == "changes", now: time.Now}
	ext := strings.ToLower(filepath.Ext(path))
	name := cfg.String("format")
	if name == "" && !folder {
		name = map[string]string{".csv": "csv"}[ext]
	}
	switch cmp.Or(name, "jsonl") {
	case "jsonl":
		d.format = jsonl{}
	case "csv":
		d.format = csv{}
	default:
		return nil, setting("format must be jsonl or csv")
	}
	switch before, _, found := strings.Cut(path, placeholder); {
	case found:
		d.base = filepath.Dir(before + "x")
		d.pattern = strings.TrimPrefix(path, d.base+string(filepath.Separator))
	case !folder && slices.Contains([]string{".jsonl", ".ndjson", ".csv", ".json", ".log", ".txt"}, ext):
		d.base, d.pattern = filepath.Split(path)
		d.base = filepath.Clean(d.base)
	default:
		d.base, d.pattern = path, placeholder+d.format.extension()
	}
	return d, nil
}

func setting(format string, args ...any) *fault.Error {
	return fault.New(fault.ProjectValue, "the setting "+format, args...).NotLanded()
}

// objectForm keeps an object from being a way out of the folder, a hidden file or a name other systems cannot hold.
var objectForm = regexp.MustCompile(`^[\pL\pN_][\pL\pN\pM_ .@+=-]{0,150}$`)

// place is the path of an object's file below base.
func (d *Destination) place(object string) (string, error) {
	if !objectForm.MatchString(object) || strings.HasSuffix(object, ".") || strings.HasSuffix(object, " ") {
		return "", fault.New(fault.DestObjectMissing, "the object %q cannot be a file name", object).
			WithFix("Use letters, digits, _, -, . and blanks; the folder is set by path.").NotLanded()
	}
	return strings.ReplaceAll(d.pattern, placeholder, object), nil
}

// Check looks whether the folder can be written; it makes nothing.
func (d *Destination) Check(context.Context) (connector.Account, error) {
	a := connector.Account{ID: d.base, Name: d.base}
	at := d.base
	for {
		info, err := os.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return a, fault.New(fault.DestConfig, "%s is not a folder", at).NotLanded()
		case err == nil:
			if err := writable(at); err != nil {
				return a, explain(err, "checking the folder %s", at).NotLanded()
			}
			return a, nil
		case errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at:
			at = filepath.Dir(at) // it will be made
		default:
			return a, explain(err, "checking the folder").NotLanded()
		}
	}
}

var offered = []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpInsert, connector.OpAppend, connector.OpDelete, connector.OpClear}

// Objects gives the objects named, which may be new; nil names gives the files that are there.
func (d *Destination) Objects(_ context.Context, names []string) ([]connector.Object, error) {
	if names == nil {
		names = d.existing()
	}
	out := make([]connector.Object, 0, len(names))
	for _, name := range names {
		if _, err := d.place(name); err != nil {
			return nil, err
		}
		o := connector.Object{Name: name, Label: name, Kind: connector.KindFile, FreeField: true, NoNaN: !d.format.hasNaN(), Ops: map[connector.Op]connector.Operation{}}
		if !d.changes {
			o.ReadBatch = readBatch
		}
		for _, op := range offered {
			o.Ops[op] = connector.Operation{MaxRows: maxRows, Concurrency: 1, Idempotent: d.idempotent(op)}
		}
		out = append(out, o)
	}
	return out, nil
}

// idempotent: a snapshot holds a record or event once, however often it is sent; only an insert is refused the second time. A
// log gets a second line: harmless where the newest line of a record counts, not for creations and events.
func (d *Destination) idempotent(op connector.Op) bool {
	if d.changes {
		return op != connector.OpInsert && op != connector.OpAppend
	}
	return op != connector.OpInsert
}

func (d *Destination) existing() []string {
	if d.pattern != placeholder+d.format.extension() {
		return nil
	}
	entries, err := os.ReadDir(d.base)
	if err != nil {
		return nil // not there yet: no objects
	}
	var out []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), d.format.extension())
		if ok && e.Type().IsRegular() && objectForm.MatchString(name) {
			out = append(out, name)
		}
	}
	return out
}

// Write makes the rows visible in one step. The whole file is read and written for it; staging does that once per run.
func (d *Destination) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	if rows.Len() == 0 {
		return nil
	}
	s, err := d.stage(to)
	if err != nil {
		return err
	}
	defer s.Abort(ctx) //nolint:errcheck // temporary files only
	if err := s.add(rows, func(i int) uint64 { return uint64(i) }); err != nil {
		return err
	}
	return s.Commit(ctx, nil, func(ordinal uint64, r connector.Result) { out.Set(int(ordinal), r) })
}

// RowBytes is the size of row i's line.
func (d *Destination) RowBytes(_ connector.Target, rows *row.Batch, i int) int {
	return len(d.format.line(nil, newNames(d.format, rows.MatchFields(), rows.Fields()), rows.Match(i), rows.Values(i)))
}

// Close has nothing to close: files are open only while they are written.
func (d *Destination) Close() error { return nil }

// locks keep two commits of this process to one file apart, by absolute path.
var locks sync.Map

func lock(path string) (unlock func()) {
	m, _ := locks.LoadOrStore(path, new(sync.Mutex))
	m.(*sync.Mutex).Lock()
	return m.(*sync.Mutex).Unlock
}

// explain classifies an error of the file system.
func explain(err error, doing string, args ...any) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	code := fault.DestTransient
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code = fault.DestForbidden
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = fault.Cancelled
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP), strings.Contains(err.Error(), "path escapes"):
		code = fault.DestConfig
	}
	f = fault.Wrap(code, err, doing, args...)
	if code == fault.DestForbidden {
		f = f.WithFix("Give the user who runs Upwell the right to write there.")
	}
	return f
}
