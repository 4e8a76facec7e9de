package warehouse

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// upload is acknowledgements and history on their way into the warehouse: rows of the transaction that moves them where it takes
// rows in bulk, else in tables of the run, some megabytes at a time.
type upload struct {
	s       *session
	run     string
	shape   dialect.Shape
	kept    []arrow.Field // of the shape, see Kept
	fields  []string      // that entries have
	told    dialect.Rows  // nil: there are none
	history dialect.Rows
	noted   bool // the state says that this run's tables may be there
}

// paramBytes is what goes into one parameter where the dialect says nothing.
const paramBytes = 4 << 20

func (u *upload) limit() int {
	if n := u.s.c.sql.Dialect.Ledger.ParamBytes; n > 0 {
		return n * max(u.s.c.sql.Dialect.Ledger.ParamCount, 1)
	}
	return paramBytes
}

// everything finds what there is to move. The log of a dead run does not know which fields its entries have.
func (u *upload) everything(ctx context.Context, snap ledger.Snapshot, dead bool) error {
	u.fields, u.kept = snap.Meta().Fields, u.shape.Kept()
	if dead {
		for e, err := range snap.Each(ctx) {
			if err != nil {
				return err
			}
			u.note(e.Fields)
		}
	}
	if snap.Meta().Rows > 0 {
		u.told = u.entries(ctx, snap)
	}
	if changes := u.changes(ctx, snap); hasRows(changes) {
		u.history = changes
	}
	if u.s.c.sql.Dialect.Ledger.Bulk {
		return nil
	}
	if u.told != nil {
		to, err := u.s.c.sql.Acked(u.run, u.shape)
		if err != nil {
			return err
		}
		if err := u.insert(ctx, to, u.told); err != nil {
			return err
		}
	}
	if u.history != nil {
		return u.insert(ctx, u.s.c.sql.Told(u.run), u.history)
	}
	return nil
}

// hasRows reports whether there is a row, or an error.
func hasRows(rows dialect.Rows) (there bool) {
	rows(func([]row.Value, error) bool { there = true; return false })
	return there
}

// entries yields what was acknowledged, as rows of Acked.
func (u *upload) entries(ctx context.Context, snap ledger.Snapshot) dialect.Rows {
	return func(yield func([]row.Value, error) bool) {
		for e, err := range snap.Each(ctx) {
			var vals []row.Value
			if err == nil {
				vals, err = u.entry(e)
			}
			if !yield(vals, err) || err != nil {
				return
			}
		}
	}
}

func (u *upload) entry(e *ledger.Entry) ([]row.Value, error) {
	key, err := row.ParseKey(e.Key)
	if err != nil {
		return nil, fault.Wrap(fault.StateCorrupt, err, "reading a key from the log of run %s", u.run)
	}
	if len(ofModel(key)) < len(key) { // see plan.LeftKey
		key = slices.Repeat([]row.Value{row.NullValue()}, len(u.shape.Key))
	}
	one := dialect.Settled{Key: key, Match: u.match(e), Canonical: e.Key, State: int(e.State), Run: e.Run, At: e.At.UTC().Format(time.RFC3339), RemoteID: e.RemoteID}
	if e.State != forgotten {
		one.Entry = encodeEntry(e)
	}
	return one.Row(), nil
}

// note gathers the fields that entries have.
func (u *upload) note(fields []string) {
	for _, f := range fields {
		if !slices.Contains(u.fields, f) {
			u.fields = append(u.fields, f)
		}
	}
}

// match gives the match of an entry as the columns of the model hold it, for an entry that no row stands for: where the two are of
// one kind, and the identity is that of the match. Elsewhere it stays unknown to the warehouse.
func (u *upload) match(e *ledger.Entry) []row.Value {
	out := slices.Repeat([]row.Value{row.NullValue()}, len(u.kept))
	id, err := row.ParseKey(e.MatchID)
	if err != nil || len(id) != len(u.shape.Match) || len(e.Match) != len(id) {
		return out
	}
	for i, v := range e.Match {
		at := slices.IndexFunc(u.kept, func(f arrow.Field) bool { return f.Name == u.shape.Match[i] })
		if at < 0 {
			continue
		}
		if k, err := row.KindOf(u.kept[at]); err == nil && k == v.Kind() && alike(v, id[i]) {
			out[at] = v
		}
	}
	return out
}

// alike reports that one value is an identity of the other, in whatever way tools fold texts.
func alike(v, id row.Value) bool {
	if v.Kind() == row.Text && id.Kind() == row.Text {
		return strings.EqualFold(strings.TrimSpace(v.Str()), strings.TrimSpace(id.Str()))
	}
	return v == id
}

// changes yields the history of the run, as rows of Told.
func (u *upload) changes(ctx context.Context, snap ledger.Snapshot) dialect.Rows {
	return func(yield func([]row.Value, error) bool) {
		n := int64(0)
		for h, err := range snap.RunHistory(ctx, u.run) {
			if fault.Is(err, fault.NotFound) {
				return
			}
			var vals []row.Value
			if err == nil {
				n++
				vals = dialect.Past(h.Key, -n, encodeHistory(&h)) // those of one key come newest first
			}
			if !yield(vals, err) || err != nil {
				return
			}
		}
	}
}

// insert fills a table of the run, which is made anew, by statements.
func (u *upload) insert(ctx context.Context, to dialect.Upload, rows dialect.Rows) error {
	if !u.noted {
		if err := u.s.exec(ctx, u.s.c.sql.Scratched(u.s.token, u.run)); err != nil {
			return err
		}
		u.noted = true
	}
	if err := u.s.exec(ctx, to.Make...); err != nil {
		return err
	}
	var list [][]row.Value
	size, limit := 0, u.limit()/2
	flush := func() error {
		st, err := u.s.c.sql.Insert(to, list)
		if err != nil {
			return err
		}
		list, size = list[:0], 0
		return u.s.exec(ctx, st)
	}
	for vals, err := range rows {
		if err != nil {
			return err
		}
		list = append(list, vals)
		for _, v := range vals {
			size += len(v.Str()) + 24
		}
		if size >= limit {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return flush()
}
