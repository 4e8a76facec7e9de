package warehouse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// recover settles what the log of a dead run holds.
func (s *session) recover(ctx context.Context) error {
	if _, err := os.Stat(s.h.walDir()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	n, err := s.h.readNote()
	if err != nil {
		return err
	}
	if n.Run == "" { // it died before it had acknowledged anything
		return s.h.dropWAL()
	}
	wal, err := s.h.wal().Begin(ctx, "recovery") // which publishes what the dead run made durable
	if err != nil {
		return err
	}
	if err := wal.Close(); err != nil {
		return err
	}
	return s.settle(ctx, n, nil)
}

// settle moves the published log of a run into the warehouse. pub is nil for a run that died.
func (s *session) settle(ctx context.Context, n note, pub *ledger.Publication) (err error) {
	snap, err := s.h.wal().Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	now, err := s.c.state(ctx)
	if err != nil {
		return err
	}
	if pub == nil && now.Meta.Version >= n.Version && now.Settled == n.Run { // it died right after it had settled
		return s.h.dropWAL()
	}
	if n.Compared { // without its delta, the rows are looked at once more
		if n.Compared, err = s.c.there(ctx, s.c.sql.KeptThere(n.Run)); err != nil {
			return err
		}
	}
	up := &upload{s: s, run: n.Run}
	if err := s.shape(ctx, n, &now, snap, pub, up); err != nil {
		return err
	}
	if err := up.everything(ctx, snap, pub == nil); err != nil {
		return err
	}
	if pub == nil && up.told == nil && up.history == nil {
		return s.h.dropWAL()
	}
	d := s.publication(now.document, n.Run, pub, up)
	meta, err := d.seal()
	if err != nil {
		return err
	}
	move, err := s.c.sql.Settle(dialect.Settling{
		Shape: up.shape, Run: n.Run, Compared: n.Compared, Token: s.token, Version: int64(d.Meta.Version), Meta: meta,
		Renew: pub != nil && pub.NewGeneration && now.table(), Told: up.told, History: up.history,
	})
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.Publishing)
	if err := s.exec(ctx, move...); err != nil {
		return err
	}
	failpoint.Hit(failpoint.Published)
	if len(d.Runs) > s.h.o.HistoryRuns {
		if err := s.exec(ctx, s.c.sql.Retire(d.Runs[0])); err != nil {
			return err
		}
	}
	if err := s.h.dropWAL(); err != nil {
		return err
	}
	if pub == nil || pub.Complete || up.told != nil {
		s.note.Compared, n.Compared = false, false
		if err := s.h.writeNote(n); err != nil {
			return err
		}
		return s.sweep(ctx, n.Run, "")
	}
	return nil
}

// shape finds the columns of the ledger table, which is made here where no comparison has made it.
func (s *session) shape(ctx context.Context, n note, now *state, snap ledger.Snapshot, pub *ledger.Publication, up *upload) error {
	switch {
	case n.Compared:
		up.shape = n.shape()
	case now.table():
		var err error
		up.shape, err = s.c.shape(ctx, now.Key)
		return err
	case snap.Meta().Rows > 0:
		if err := s.keyOf(ctx, snap, pub, up); err != nil {
			return err
		}
		create, err := s.c.sql.CreateBare(up.shape)
		if err != nil {
			return err
		}
		if err := s.exec(ctx, s.c.sql.Forget(), create); err != nil {
			return err
		}
	}
	now.Key = up.shape.Key
	return nil
}

// keyOf names the key's columns after the publication, or by number where a run died before its first one.
func (s *session) keyOf(ctx context.Context, snap ledger.Snapshot, pub *ledger.Publication, up *upload) error {
	for e, err := range snap.Each(ctx) {
		if err != nil {
			return err
		}
		key, err := row.ParseKey(e.Key)
		if err != nil {
			return fault.Wrap(fault.StateCorrupt, err, "reading a key from the log of run %s", up.run)
		}
		for i, v := range ofModel(key) {
			name, kind := fmt.Sprintf("key%d", i+1), v.Kind()
			if n := len(ofModel(key)); pub != nil && len(pub.KeyColumns) == n && len(pub.KeyKinds) == n {
				name, kind = pub.KeyColumns[i], pub.KeyKinds[i]
			}
			up.shape.Key = append(up.shape.Key, name)
			up.shape.Fields = append(up.shape.Fields, row.FieldOf(name, kind))
		}
		return nil
	}
	return nil
}

// ofModel gives the part of a key that a key of the model has: that of a record without one goes on behind a null.
func ofModel(key []row.Value) []row.Value {
	if i := slices.IndexFunc(key, row.Value.IsNull); i >= 0 {
		return key[:i]
	}
	return key
}

// shape describes the ledger table.
func (c *connection) shape(ctx context.Context, key []string) (dialect.Shape, error) {
	schema, err := c.wh.Describe(ctx, c.sql.Describe())
	if err != nil {
		return dialect.Shape{}, err
	}
	out := dialect.Shape{Key: key}
	for _, f := range schema.Fields() {
		if !dialect.Reserved(f.Name) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out, nil
}

// publication is the state after this run.
func (s *session) publication(d document, run string, pub *ledger.Publication, up *upload) document {
	m := &d.Meta
	m.Version++
	d.Canon, d.Settled = row.CanonicalVersion, run
	if pub != nil {
		m.LastRun, m.LastRunAt = run, s.h.o.Now().UTC().Truncate(time.Second)
		m.Publish(*pub)
		if pub.NewGeneration && !d.Fresh && m.Version > 1 {
			m.Generation++
		}
		d.Fresh = false
	}
	for _, f := range up.fields {
		if !slices.Contains(m.Fields, f) {
			m.Fields = append(m.Fields, f)
		}
	}
	if up.history != nil && !slices.Contains(d.Runs, run) {
		d.Runs = append(slices.Clone(d.Runs), run)
	}
	if n := len(d.Runs) - s.h.o.HistoryRuns; n > 1 {
		d.Runs = d.Runs[n-1:] // the oldest is where Retire cuts
	}
	return d
}
