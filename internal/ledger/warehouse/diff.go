package warehouse

import (
	"context"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/local"
	"github.com/upwelldata/upwell/internal/row"
)

// askedBytes is how much of keys is named to the warehouse; beyond it all rows leave it.
const askedBytes = 2 << 20

// Diff lets the warehouse compare. A run keeps the outcome in a table that is not changed afterwards; a plan only reads.
func (s *snapshot) Diff(ctx context.Context, m ledger.Model, opts ledger.CompareOptions) (ledger.Difference, error) {
	c := dialect.Compared{
		Shape: dialect.Shape{Key: m.Key, Fields: m.Fields, Match: m.Match}, Model: m.Query, Empty: !s.table(),
		Everything: opts.All || s.Canon != row.CanonicalVersion || s.Meta().Mapping != m.Mapping || !opts.MatchIsKey && len(opts.DirtyMatch) > 0,
	}
	for _, f := range m.Fields {
		if dialect.Reserved(f.Name) {
			return nil, fault.New(fault.ProjectValue, "the model's column %q has a name that the tables of the ledger need", f.Name).
				WithFix("Give it another name with AS, or use diff: local.")
		}
	}
	if err := s.c.sql.Keeps(c.Shape); err != nil {
		return nil, err
	}
	for _, st := range m.Settled {
		c.Settled = append(c.Settled, int(st))
	}
	if err := s.ask(&c, opts); err != nil {
		return nil, err
	}
	like, err := s.likeness(ctx, &c)
	if err != nil || like == otherKey {
		return nil, err
	}
	q, err := s.query(ctx, c, like)
	if err != nil {
		return nil, err
	}
	scratch, err := local.NewScratch(ctx, s.Meta(), opts)
	if err != nil {
		return nil, err
	}
	return &difference{Scratch: scratch, c: s.c, q: q, n: len(m.Fields), total: -1}, nil
}

// ask names the keys whose rows must leave: those with an open outcome, and refused ones.
func (s *snapshot) ask(c *dialect.Compared, opts ledger.CompareOptions) error {
	size := 0
	for _, key := range opts.Dirty {
		vals, err := row.ParseKey(key)
		if err != nil {
			return fault.Wrap(fault.StateCorrupt, err, "reading a key with an open outcome")
		}
		if len(ofModel(vals)) < len(vals) { // it is no row's, and its entry leaves as one whose row is gone
			continue
		}
		if size += len(key) + 8; size > askedBytes || len(vals) != len(c.Key) {
			c.Asked, c.Everything = nil, true
			return nil
		}
		c.Asked = append(c.Asked, vals)
	}
	if c.Empty || c.Everything {
		c.Asked = nil
	}
	slices.SortFunc(c.Asked, func(a, b []row.Value) int {
		return slices.CompareFunc(a, b, func(x, y row.Value) int { return compareText(x, y) })
	})
	return nil
}

func compareText(a, b row.Value) int {
	x, y := a.String(), b.String()
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// likeness is how the ledger table's columns compare with the model's.
type likeness int

const (
	same     likeness = iota
	other             // other columns, or other types: the table is made anew from what it has
	otherKey          // the key has another kind: the warehouse cannot join it
)

func (s *snapshot) likeness(ctx context.Context, c *dialect.Compared) (likeness, error) {
	if c.Empty {
		return same, nil
	}
	have, err := s.c.shape(ctx, s.Key)
	if err != nil {
		return other, err
	}
	if !slices.Equal(have.Key, c.Key) {
		return otherKey, nil
	}
	byName := map[string]arrow.Field{}
	for _, f := range have.Fields {
		byName[f.Name] = f
	}
	like := same
	for _, f := range c.Fields {
		h, ok := byName[f.Name]
		if !ok {
			like = max(like, other)
			continue
		}
		hk, err1 := row.KindOf(h)
		fk, err2 := row.KindOf(f)
		switch {
		case err1 != nil, err2 != nil:
			like = max(like, other)
		case slices.Contains(c.Key, f.Name) && hk != fk:
			return otherKey, nil
		case hk != fk || !arrow.TypeEqual(h.Type, f.Type) || !h.Metadata.Equal(f.Metadata):
			like = max(like, other)
		}
	}
	if len(have.Fields) != len(c.Fields) {
		like = max(like, other)
	}
	return like, nil
}

// query gives what is read: the table a run keeps its comparison in, or the comparison itself.
func (s *snapshot) query(ctx context.Context, c dialect.Compared, like likeness) (connector.Query, error) {
	if s.run == nil {
		if like == other {
			c.Everything, c.Bare = true, true
		}
		return s.c.sql.Delta(c)
	}
	return s.run.compare(ctx, c, like)
}

// compare keeps the comparison in a table of the run. The ledger table is made, or given the model's columns, before.
func (s *session) compare(ctx context.Context, c dialect.Compared, like likeness) (connector.Query, error) {
	relation := c.Model.Relation(s.c.sql.Dialect)
	switch {
	case c.Empty:
		if err := s.exec(ctx, s.c.sql.Forget(), s.c.sql.Create(relation, c.Shape)); err != nil {
			return connector.Query{}, err
		}
	case like == other:
		c.Everything = true
		if err := s.exec(ctx, s.c.sql.Reshape(relation, c.Shape)...); err != nil {
			return connector.Query{}, err
		}
	}
	c.Run = s.run
	if err := s.exec(ctx, s.c.sql.Scratched(s.token, s.run)); err != nil {
		return connector.Query{}, err
	}
	keep, err := s.c.sql.Keep(c)
	if err != nil {
		return connector.Query{}, err
	}
	if err := s.exec(ctx, keep...); err != nil {
		return connector.Query{}, err
	}
	s.note.Compared = true
	if err := s.note.keep(c.Shape); err != nil {
		return connector.Query{}, err
	}
	return s.c.sql.Kept(s.run), s.h.writeNote(s.note)
}

// difference is a comparison fed by the warehouse.
type difference struct {
	*local.Scratch
	c     *connection
	q     connector.Query
	n     int // columns of the model
	total int64
	sent  int64 // rows of the model that left the warehouse
}

func (d *difference) Total() int64           { return d.total }
func (d *difference) Query() connector.Query { return d.q }

func (d *difference) Rows(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for rec, err := range d.c.wh.Read(ctx, d.q) {
			if err != nil {
				yield(nil, err)
				return
			}
			more, err := d.split(ctx, rec, yield)
			if err != nil {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
		}
		if d.total < d.sent {
			yield(nil, fault.New(fault.SourceIncomplete, "the comparison in the warehouse came without its end: %d rows, and no total", d.sent))
		}
	}
}

// split takes the entries of a batch and yields its rows of the model, in stretches that stand together.
func (d *difference) split(ctx context.Context, rec arrow.RecordBatch, yield func(arrow.RecordBatch, error) bool) (bool, error) {
	if int(rec.NumCols()) != d.n+3 {
		return false, fault.New(fault.Internal, "a comparison has %d columns instead of %d", rec.NumCols(), d.n+3)
	}
	present, entry, total := rec.Column(d.n), rec.Column(d.n+1), rec.Column(d.n+2)
	totalKind, err := row.KindOf(rec.Schema().Field(d.n + 2))
	if err != nil {
		return false, err
	}
	from, rows := 0, int(rec.NumRows())
	flush := func(to int) bool {
		if to == from {
			return true
		}
		d.sent += int64(to - from)
		part := d.model(rec, from, to)
		defer part.Release()
		return yield(part, nil)
	}
	for i := range rows {
		if entry.IsValid(i) {
			e, err := decodeEntry(row.At(entry, row.Text, i).Str())
			if err != nil {
				return false, err
			}
			if err := d.Add(ctx, e); err != nil {
				return false, err
			}
		}
		if present.IsValid(i) {
			continue
		}
		if total.IsValid(i) {
			d.total = whole(row.At(total, totalKind, i)).Int()
		}
		if !flush(i) {
			return false, nil
		}
		from = i + 1
	}
	return flush(rows), nil
}

// model gives the model's columns of some rows.
func (d *difference) model(rec arrow.RecordBatch, from, to int) arrow.RecordBatch {
	fields := rec.Schema().Fields()[:d.n]
	cols := make([]arrow.Array, d.n)
	for i := range cols {
		cols[i] = array.NewSlice(rec.Column(i), int64(from), int64(to))
	}
	out := array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(to-from))
	for _, c := range cols {
		c.Release()
	}
	return out
}

// Finish counts the rows that stayed in the warehouse as read and unchanged.
func (d *difference) Finish(ctx context.Context) (ledger.Delta, error) {
	in, err := d.Scratch.Finish(ctx)
	if err != nil {
		return nil, err
	}
	return &counted{Delta: in, stayed: d.total - d.sent}, nil
}

// counted is a delta of a part of a model.
type counted struct {
	ledger.Delta
	stayed int64
}

func (c *counted) Counts() ledger.ReadCounts {
	n := c.Delta.Counts()
	n.Read += c.stayed
	n.Unchanged += c.stayed
	return n
}
