package warehouse

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// A session holds a lease on its ledger, which it renews well before its end. A process on the same state folder takes over at once:
// the folder's lock proves that the former one is dead.
const (
	leaseLife  = 15 * time.Minute
	leaseRenew = leaseLife / 3
)

// forgotten marks a deletion in the local log, which holds only what one run acknowledged. No entry has this state, which is the
// largest a ledger keeps.
const forgotten ledger.State = 0x0F

// session is a run's write access.
type session struct {
	h     *home
	c     *connection
	snap  *snapshot
	run   string
	token string
	wal   ledger.Session
	note  note

	stop    chan struct{}
	closed  sync.Once
	renewal sync.WaitGroup
	mu      sync.Mutex // one statement at a time on the lease
	lost    error
}

// note is a small file beside the log: what a process that settles it must know.
type note struct {
	Run      string   `json:"run"`
	Version  uint64   `json:"version"`  // of the ledger when it has settled
	Compared bool     `json:"compared"` // the run's delta table is there
	Key      []string `json:"key,omitempty"`
	Columns  []column `json:"columns,omitempty"`
	Match    []string `json:"match,omitempty"` // columns that identify the record in the tool, when they are not the key
}

// column is an Arrow field in a file.
type column struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Type      string `json:"type,omitempty"` // the warehouse's own name, see row.TypeKey
	Precision int32  `json:"precision,omitempty"`
	Scale     int32  `json:"scale,omitempty"`
}

func (n *note) shape() dialect.Shape {
	s := dialect.Shape{Key: n.Key, Match: n.Match}
	for _, c := range n.Columns {
		k, _ := row.ParseKind(c.Kind)
		f := row.FieldOf(c.Name, k)
		if c.Type != "" {
			f = row.TypedField(c.Name, k, c.Type)
		}
		if k == row.Decimal && c.Precision > 0 {
			f = arrow.Field{Name: c.Name, Type: &arrow.Decimal128Type{Precision: c.Precision, Scale: c.Scale}, Nullable: true}
		}
		s.Fields = append(s.Fields, f)
	}
	return s
}

func (n *note) keep(s dialect.Shape) error {
	n.Key, n.Match, n.Columns = s.Key, s.Match, nil
	for _, f := range s.Fields {
		k, err := row.KindOf(f)
		if err != nil {
			return err
		}
		c := column{Name: f.Name, Kind: k.String()}
		c.Type, _ = f.Metadata.GetValue(row.TypeKey)
		if d, ok := f.Type.(arrow.DecimalType); ok {
			c.Precision, c.Scale = d.GetPrecision(), d.GetScale()
		}
		n.Columns = append(n.Columns, c)
	}
	return nil
}

func (h *home) notePath() string { return filepath.Join(h.o.Dir, "run.json") }

func (h *home) readNote() (n note, err error) {
	b, err := os.ReadFile(h.notePath())
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	if err != nil {
		return n, fault.Wrap(fault.StateCorrupt, err, "reading %s", h.notePath())
	}
	return n, nil
}

// writeNote replaces the file in one durable step.
func (h *home) writeNote(n note) (err error) {
	defer func() {
		if err != nil {
			err = fault.Wrap(fault.StateUnusable, err, "writing %s", h.notePath())
		}
	}()
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(h.o.Dir, ".run-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), h.notePath())
}

func (h *home) Begin(ctx context.Context, run string) (ledger.Session, error) {
	return h.begin(ctx, run)
}

// begin takes the lease, settles what a dead run acknowledged, removes its tables, and opens the log of the new run.
func (h *home) begin(ctx context.Context, run string) (s *session, err error) {
	if h.o.Fresh {
		return nil, fault.New(fault.Internal, "writing to a ledger that is only looked at as empty")
	}
	if err := os.MkdirAll(h.o.Dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.StateUnusable, err, "making the folder %s", h.o.Dir)
	}
	c, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	s = &session{h: h, c: c, run: run, token: rand.Text(), stop: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	was, err := s.take(ctx)
	if err != nil {
		return s, err
	}
	s.renewal.Go(s.renew)
	if err := s.recover(ctx); err != nil {
		return s, err
	}
	if err := s.sweep(ctx, was.scratch, run); err != nil {
		return s, err
	}
	if s.snap, err = h.snapshot(ctx, c); err != nil {
		return s, err
	}
	s.snap.run = s
	if s.note, err = h.readNote(); err != nil {
		return s, err
	}
	if s.note.Run != run {
		s.note = note{Run: run}
	}
	s.note.Version = s.snap.Meta().Version + 1
	if err := h.writeNote(s.note); err != nil {
		return s, err
	}
	s.wal, err = h.wal().Begin(ctx, run)
	return s, err
}

// take makes this session the one that may write.
func (s *session) take(ctx context.Context) (state, error) {
	was, err := s.c.state(ctx)
	if err != nil {
		return was, err
	}
	me := s.h.holder()
	now := s.h.o.Now()
	if was.holder != "" && was.until > now.Unix() && folderOf(was.holder) != folderOf(me) {
		return was, fault.New(fault.StateLocked, "the ledger of %s in %s is in use by %s, until %s at the latest",
			s.h.o.Sync, s.c.sql.Schema(), was.holder, time.Unix(was.until, 0).UTC().Format(time.RFC3339)).
			WithFix("Wait until it has ended. Two state folders must not run one sync.")
	}
	if !was.known {
		if err := s.setUp(ctx); err != nil {
			return was, err
		}
		meta, err := emptyDocument().seal()
		if err != nil {
			return was, err
		}
		if err := s.c.exec(ctx, s.c.sql.Introduce("", meta)); err != nil {
			return was, err
		}
	}
	return was, s.c.exec(ctx, s.c.sql.Take(was.token, s.token, me, now.Add(leaseLife).Unix(), was.scratch))
}

// setUp makes the tables that all runs share, and the schema where it is missing: it may have been made for a user who may not.
func (s *session) setUp(ctx context.Context) error {
	err := s.c.exec(ctx, s.c.sql.Setup()...)
	if err == nil {
		return nil
	}
	if serr := s.c.exec(ctx, s.c.sql.MakeSchema()...); serr != nil {
		return serr
	}
	return s.c.exec(ctx, s.c.sql.Setup()...)
}

// holder says who holds a lease: for people, and with the folder for the next process on it.
func (h *home) holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	dir, err := filepath.Abs(h.o.Dir)
	if err != nil {
		dir = h.o.Dir
	}
	return fmt.Sprintf("process %d on %s, state in %s", os.Getpid(), host, dir)
}

// folderOf is what a holder says of its folder.
func folderOf(holder string) string {
	_, after, _ := strings.Cut(holder, " on ")
	return after
}

// renew prolongs the lease until the session ends. A lease that was lost is noticed by whatever is written next.
func (s *session) renew() {
	t := time.NewTicker(leaseRenew)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), leaseRenew/2)
		err := s.exec(ctx, s.c.sql.Prolong(s.token, s.h.o.Now().Add(leaseLife).Unix()))
		cancel()
		if fault.Is(err, fault.StateLocked) {
			s.mu.Lock()
			s.lost = err
			s.mu.Unlock()
			return
		}
	}
}

// exec runs statements one group at a time.
func (s *session) exec(ctx context.Context, list ...connector.Statement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		return s.lost
	}
	return s.c.exec(ctx, list...)
}

// sweep drops tables of runs that are over.
func (s *session) sweep(ctx context.Context, scratch, keep string) error {
	if scratch == "" || scratch == keep {
		return nil
	}
	for _, t := range s.c.sql.Scratch(scratch) {
		if err := s.exec(ctx, s.c.sql.Drop(t)); err != nil {
			return err
		}
	}
	return s.exec(ctx, s.c.sql.Scratched(s.token, ""))
}

func (s *session) Snapshot() ledger.Snapshot { return s.snap }

// Ack records settled rows in the local log, which is what makes them durable.
func (s *session) Ack(ctx context.Context, acks []ledger.Ack, durable bool) error {
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	switch {
	case lost != nil:
		return lost
	case s.wal == nil:
		return fault.New(fault.Internal, "acknowledging rows after the ledger was published")
	}
	for i := range acks {
		if a := &acks[i]; a.Delete && !a.HistOnly {
			changed := append([]ledger.Ack(nil), acks...)
			for j := range changed {
				if d := &changed[j]; d.Delete && !d.HistOnly {
					d.Delete = false
					d.Entry = ledger.Entry{Key: d.Entry.Key, State: forgotten, Run: s.run, At: s.h.o.Now()}
				}
			}
			acks = changed
			break
		}
	}
	return s.wal.Ack(ctx, acks, durable)
}

// Publish moves what was acknowledged into the warehouse, in one step where it has transactions.
func (s *session) Publish(ctx context.Context, pub ledger.Publication) error {
	if s.wal == nil {
		return fault.New(fault.Internal, "publishing the ledger twice in one session")
	}
	if err := s.wal.Publish(ctx, ledger.Publication{}); err != nil {
		return err
	}
	if err := s.wal.Close(); err != nil {
		return err
	}
	s.wal = nil
	return s.settle(ctx, s.note, &pub)
}

// Close ends the session. What was acknowledged durably and not settled is settled by the next Begin.
func (s *session) Close() (err error) {
	s.closed.Do(func() { err = s.close() })
	return err
}

func (s *session) close() error {
	close(s.stop)
	s.renewal.Wait()
	var err error
	if s.wal != nil {
		err = s.wal.Close()
	}
	if s.snap != nil {
		err = errors.Join(err, s.snap.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.token != "" && s.lost == nil {
		// A lease that is not given back runs out.
		_ = s.c.exec(ctx, s.c.sql.Release(s.token)) //nolint:errcheck // see above
	}
	return errors.Join(err, s.c.wh.Close())
}
