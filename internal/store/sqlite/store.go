// Package sqlite keeps a project's runs, refusals, intents and jobs in one SQLite file (WAL, synchronous=FULL, one writer).
//
// Every write goes through one goroutine that commits whatever has gathered as one transaction, so many workers share a disk
// flush. When the store is closed cleanly, a checksum of the whole file is left beside it and compared at the next opening:
// SQLite itself does not notice most flipped bits.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"
	_ "modernc.org/sqlite" // the driver

	"github.com/upwelldata/upwell/internal/fault"
)

// schemaVersion is the newest schema this program writes. Older ones are migrated, newer ones refused.
const schemaVersion = 1

const schema = `
CREATE TABLE runs (
  id TEXT PRIMARY KEY, sync TEXT NOT NULL, status TEXT NOT NULL, started INTEGER NOT NULL, doc BLOB NOT NULL
) STRICT;
CREATE INDEX runs_by_sync ON runs (sync, id);
CREATE TABLE intents (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sync TEXT NOT NULL, run TEXT NOT NULL, op TEXT NOT NULL,
  deadline INTEGER NOT NULL, rows BLOB NOT NULL, file TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX intents_by_sync ON intents (sync);
CREATE TABLE refusals (
  sync TEXT NOT NULL, key BLOB NOT NULL, kind TEXT NOT NULL, op TEXT NOT NULL, match BLOB NOT NULL, remote_id TEXT NOT NULL,
  person INTEGER NOT NULL, deadline INTEGER NOT NULL, code TEXT NOT NULL, field TEXT NOT NULL, message TEXT NOT NULL,
  fingerprint INTEGER NOT NULL, mapping TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
  next_at INTEGER NOT NULL, attempts INTEGER NOT NULL, run TEXT NOT NULL, excerpt TEXT NOT NULL, due INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (sync, key, kind)
) STRICT;
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sync TEXT NOT NULL, run TEXT NOT NULL, intent INTEGER NOT NULL, op TEXT NOT NULL,
  handle TEXT NOT NULL, rows BLOB NOT NULL
) STRICT;
CREATE TABLE syncs (sync TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT;
`

// Store is an open store.
type Store struct {
	path     string
	db       *sql.DB
	readOnly bool
	queue    chan *write
	done     chan struct{}
	gone     []string // files of intents that the transaction at hand drops

	mu   sync.Mutex
	dead error // after a failed commit nothing more is written
}

type write struct {
	do    func(*sql.Tx) error
	reply chan error // nil: nobody waits
}

// Open opens the store in a state folder for writing, creating it when there is none. The caller holds the folder's lock.
func Open(ctx context.Context, dir string) (*Store, error) {
	path := filepath.Join(dir, "state.db")
	if err := verifySum(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=busy_timeout(5000)"))
	if err != nil {
		return nil, fault.Wrap(fault.StateUnusable, err, "opening %s", path)
	}
	s := &Store{path: path, db: db, queue: make(chan *write, 256), done: make(chan struct{})}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := os.Remove(path + ".sum"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(stateFault(err, "opening "+path), db.Close())
	}
	if err := s.sweepIntents(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go s.writer()
	return s, nil
}

// OpenReadOnly opens the store for reading beside a writer, or returns nil when there is none yet. It changes no byte.
func OpenReadOnly(ctx context.Context, dir string) (*Store, error) {
	path := filepath.Join(dir, "state.db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	params := []string{"mode=ro", "_pragma=busy_timeout(5000)"}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, os.ErrNotExist) {
		if err := verifySum(path); err != nil {
			return nil, err
		}
		params = append(params, "immutable=1") // nobody writes; reading leaves no files behind
	}
	db, err := sql.Open("sqlite", dsn(path, params...))
	if err != nil {
		return nil, fault.Wrap(fault.StateUnusable, err, "opening %s", path)
	}
	s := &Store{path: path, db: db, readOnly: true}
	if _, err := s.version(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func dsn(path string, params ...string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(params, "&")
}

func (s *Store) version(ctx context.Context) (int, error) {
	var v int
	if err := s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return 0, stateFault(err, "reading "+s.path)
	}
	if v > schemaVersion {
		return v, fault.New(fault.StateNewer, "%s has schema %d, this program knows up to %d", s.path, v, schemaVersion)
	}
	return v, nil
}

// migrate brings the schema up to date in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	v, err := s.version(ctx)
	if err != nil {
		return err
	}
	if v == schemaVersion {
		return nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return stateFault(err, "opening "+s.path)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return stateFault(err, "creating "+s.path)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return stateFault(err, "creating "+s.path)
	}
	if err := tx.Commit(); err != nil {
		return stateFault(err, "creating "+s.path)
	}
	return os.Chmod(s.path, 0o600)
}

// stateFault classifies an error of the state's disk.
func stateFault(err error, doing string) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "disk is full"), strings.Contains(text, "no space left"):
		return fault.Wrap(fault.StateFull, err, "%s", doing)
	case strings.Contains(text, "malformed"), strings.Contains(text, "not a database"), strings.Contains(text, "corrupt"):
		return fault.Wrap(fault.StateCorrupt, err, "%s", doing)
	}
	return fault.Wrap(fault.StateUnusable, err, "%s", doing)
}

// writer commits whatever has gathered as one transaction. After a failed commit nothing is written any more: what the disk
// holds is not known.
func (s *Store) writer() {
	defer close(s.done)
	for first := range s.queue {
		batch := []*write{first}
	gather:
		for len(batch) < cap(s.queue) {
			select {
			case w, ok := <-s.queue:
				if !ok {
					break gather
				}
				batch = append(batch, w)
			default:
				break gather
			}
		}
		s.commit(batch)
	}
}

func (s *Store) commit(batch []*write) {
	err := s.failure()
	errs := make([]error, len(batch))
	if err == nil {
		err = s.transact(batch, errs)
		if err != nil {
			s.mu.Lock()
			s.dead = err
			s.mu.Unlock()
		}
	}
	for i, w := range batch {
		if w.reply == nil {
			continue
		}
		if err != nil {
			w.reply <- err
		} else {
			w.reply <- errs[i]
		}
	}
}

// transact runs every write in a savepoint of its own, so that one that fails does not undo the others.
func (s *Store) transact(batch []*write, errs []error) error {
	ctx := context.Background()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return stateFault(err, "writing "+s.path)
	}
	defer tx.Rollback()
	s.gone = s.gone[:0]
	for i, w := range batch {
		gone := len(s.gone)
		if _, err := tx.ExecContext(ctx, "SAVEPOINT w"); err != nil {
			return stateFault(err, "writing "+s.path)
		}
		if errs[i] = w.do(tx); errs[i] != nil {
			errs[i] = stateFault(errs[i], "writing "+s.path)
			if fault.Is(errs[i], fault.StateFull) {
				return errs[i]
			}
			s.gone = s.gone[:gone]
			if _, err := tx.ExecContext(ctx, "ROLLBACK TO w"); err != nil {
				return stateFault(err, "writing "+s.path)
			}
		}
		if _, err := tx.ExecContext(ctx, "RELEASE w"); err != nil {
			return stateFault(err, "writing "+s.path)
		}
	}
	if err := tx.Commit(); err != nil {
		return stateFault(err, "writing "+s.path)
	}
	s.removeGone()
	return nil
}

func (s *Store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// write runs a change and waits until it is durable.
func (s *Store) write(ctx context.Context, do func(*sql.Tx) error) error {
	if s.readOnly {
		return fault.New(fault.Internal, "writing to a store opened for reading")
	}
	w := &write{do: do, reply: make(chan error, 1)}
	select {
	case s.queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-w.reply
}

// writeLater runs a change with the next commit; nobody waits. A failure makes every later write fail.
func (s *Store) writeLater(do func(*sql.Tx) error) error {
	if err := s.failure(); err != nil {
		return err
	}
	s.queue <- &write{do: do}
	return nil
}

// Close ends the store and leaves the checksum.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	if s.readOnly {
		return s.db.Close()
	}
	close(s.queue)
	<-s.done
	_, cerr := s.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := errors.Join(cerr, s.db.Close(), s.failure()); err != nil {
		return err
	}
	sum, err := fileSum(s.path)
	if err != nil {
		return stateFault(err, "closing "+s.path)
	}
	if err := os.WriteFile(s.path+".sum", []byte(sum), 0o600); err != nil {
		return stateFault(err, "closing "+s.path)
	}
	return nil
}

// verifySum compares the file with the checksum left by a clean close. After an unclean end there is none.
func verifySum(path string) error {
	want, err := os.ReadFile(path + ".sum")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return stateFault(err, "reading "+path+".sum")
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		return nil // another process has it open
	}
	got, err := fileSum(path)
	if err != nil {
		return stateFault(err, "reading "+path)
	}
	if got != string(want) {
		return fault.New(fault.StateCorrupt, "%s does not hold what was written", path)
	}
	return nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	h := xxh3.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	b := h.Sum128().Bytes()
	return fmt.Sprintf("%x\n", b), nil
}
