package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/fault"
)

// Memory DuckDB may use when the user sets no limit: enough for scans, and for operators that can spill. Blocks it has read stay
// cached up to the limit, so a higher one costs resident memory and wins nothing for scans.
const (
	threadMemory = 32 << 20
	leastMemory  = 64 << 20
	mostMemory   = 256 << 20
)

type options struct {
	name       string // of the connection in the project
	projectDir string
	stateDir   string
	path       string // "" = in memory
	scratch    bool   // settings stay open: see Scratch
	write      bool   // the file holds the ledger
	memory     int64
	threads    int
	temp       string
}

// holder keeps the database open while somebody reads, and no longer: an open database file keeps writers of other processes
// out (https://duckdb.org/docs/stable/connect/concurrency), and opening takes milliseconds.
type holder struct {
	options options

	mu      sync.Mutex
	db      bindings.Database
	readers int
	spill   string // folder of our own to remove
}

// conn is one connection with its interrupt wired to a context.
type conn struct {
	holder *holder
	ctx    context.Context
	raw    bindings.Connection
	stop   func() bool
	leave  chan struct{} // closed to end interrupting
	ended  chan struct{} // closed when no interrupt is sent any more
}

func (h *holder) connect(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Cancelled, err, "reading %s", h.options.name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers == 0 {
		if err := h.open(); err != nil {
			return nil, err
		}
	}
	c := &conn{holder: h, ctx: ctx, leave: make(chan struct{}), ended: make(chan struct{})}
	if bindings.Connect(h.db, &c.raw) == bindings.StateError {
		if h.readers == 0 {
			h.shut()
		}
		return nil, fault.New(fault.SourceUnreachable, "connecting to %s: DuckDB gave no connection", h.options.what())
	}
	h.readers++
	c.stop = context.AfterFunc(ctx, c.interrupt)
	return c, nil
}

// interrupt asks DuckDB to stop until the reader has left: a statement that is just starting forgets an earlier request.
func (c *conn) interrupt() {
	defer close(c.ended)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		bindings.Interrupt(c.raw)
		select {
		case <-c.leave:
			return
		case <-again.C:
		}
	}
}

// settle ends interrupting, which uses the connection.
func (c *conn) settle() {
	close(c.leave)
	if !c.stop() {
		<-c.ended
	}
}

// close frees the connection, and the database after its last reader. Statements and results are freed before.
func (c *conn) close() {
	c.settle()
	bindings.Disconnect(&c.raw)
	h := c.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers--; h.readers == 0 {
		h.shut()
	}
}

func (h *holder) shut() {
	bindings.Close(&h.db)
	if h.spill != "" {
		_ = os.RemoveAll(h.spill) //nolint:errcheck // spilled blocks are of no use any more; a left-over folder harms nobody
		h.spill = ""
	}
}

func (o *options) what() string {
	if o.path == "" {
		return "DuckDB in memory"
	}
	return "DuckDB file " + o.path
}

var spills atomic.Int64

// open makes the database with safe settings: read only, no extension from the network, UTC, settings locked
// (https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
func (h *holder) open() error {
	o := &h.options
	path := ":memory:"
	if o.path != "" {
		path = o.path
		if err := readable(path); err != nil {
			return fault.Wrap(fault.SourceUnreachable, err, "opening %s", o.what()).
				WithFix("Check `path` of source %s; it is relative to the project folder.", o.name)
		}
	}
	temp := o.temp
	if temp == "" {
		base := o.stateDir
		if base == "" {
			base = os.TempDir()
		}
		temp = filepath.Join(base, fmt.Sprintf("upwell-duckdb-%d-%d", os.Getpid(), spills.Add(1)))
		h.spill = temp
	}
	// DuckDB makes the folder itself when it first spills, but not the folders above it.
	if err := os.MkdirAll(filepath.Dir(temp), 0o700); err != nil {
		return fault.Wrap(fault.SourceUnreachable, err, "making a folder for spilled data of %s", o.name).WithFix("Check temp_directory of source %s.", o.name)
	}
	settings := [][2]string{
		{"memory_limit", strconv.FormatInt(o.memory, 10) + "B"},
		{"threads", strconv.Itoa(o.threads)},
		{"temp_directory", temp},
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
	}
	if o.path != "" && !o.write {
		settings = append(settings, [2]string{"access_mode", "READ_ONLY"})
	}
	var cfg bindings.Config
	if bindings.CreateConfig(&cfg) == bindings.StateError {
		return fault.New(fault.SourceUnreachable, "opening %s: no memory for its settings", o.what())
	}
	defer bindings.DestroyConfig(&cfg)
	for _, s := range settings {
		if bindings.SetConfig(cfg, s[0], s[1]) == bindings.StateError {
			return fault.New(fault.SourceUnreachable, "opening %s: setting %s = %q was refused", o.what(), s[0], s[1])
		}
	}
	var msg string
	if bindings.OpenExt(path, &h.db, cfg, &msg) == bindings.StateError {
		bindings.Close(&h.db)
		return openFault(o, msg)
	}
	if err := h.pin(); err != nil {
		h.shut()
		return err
	}
	return nil
}

// pin sets what every later connection inherits, then locks the settings.
func (h *holder) pin() error {
	var c bindings.Connection
	if bindings.Connect(h.db, &c) == bindings.StateError {
		return fault.New(fault.SourceUnreachable, "connecting to %s: DuckDB gave no connection", h.options.what())
	}
	defer bindings.Disconnect(&c)
	pins := []string{
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL Calendar = 'gregorian'",
		"SET GLOBAL file_search_path = " + quoteText(h.options.projectDir),
	}
	if !h.options.scratch {
		pins = append(pins, "SET GLOBAL lock_configuration = true")
	}
	for _, sql := range pins {
		var res bindings.Result
		state := bindings.Query(c, sql, &res)
		msg := bindings.ResultError(&res)
		bindings.DestroyResult(&res)
		if state == bindings.StateError {
			return fault.New(fault.SourceUnreachable, "preparing %s with %q: %s", h.options.what(), sql, oneLine(msg))
		}
	}
	return nil
}

func readable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New("no such file")
		}
		return err
	}
	if info.IsDir() {
		return errors.New("it is a folder")
	}
	return nil
}
