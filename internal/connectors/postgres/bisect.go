package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// bisection writes rows [lo, hi) inside a transaction and finds those whose data is refused by halving at savepoints.
type bisection struct {
	conn       *pgconn.PgConn
	dialer     *dialer
	write      func(ctx context.Context, lo, hi int64) error
	reject     func(at int64, r connector.Result)
	duplicates func(ctx context.Context, lo, hi int64) ([]int64, error)
	split      func(ctx context.Context) error // called once before the first halving; may be nil
}

func (b *bisection) run(ctx context.Context, lo, hi int64) error {
	if lo >= hi {
		return nil
	}
	if err := run(ctx, b.conn, "SAVEPOINT upwell"); err != nil {
		return err
	}
	err := b.write(ctx, lo, hi)
	if err == nil {
		return run(ctx, b.conn, "RELEASE SAVEPOINT upwell")
	}
	pe, ok := pgError(err)
	if !ok || !isRowError(pe) || ctx.Err() != nil {
		return err
	}
	if err := run(ctx, b.conn, "ROLLBACK TO SAVEPOINT upwell; RELEASE SAVEPOINT upwell"); err != nil {
		return err
	}
	if hi-lo == 1 {
		b.reject(lo, refused(b.dialer, pe))
		return nil
	}
	if b.split != nil {
		if err := b.split(ctx); err != nil {
			return err
		}
		b.split = nil
	}
	if pe.Code == "21000" { // ON CONFLICT DO UPDATE cannot affect a row a second time: the server takes two rows for one record
		same, err := b.duplicates(ctx, lo, hi)
		if err != nil {
			return err
		}
		if len(same) > 0 {
			return b.around(ctx, lo, hi, same)
		}
	}
	mid := lo + (hi-lo)/2
	if err := b.run(ctx, lo, mid); err != nil {
		return err
	}
	return b.run(ctx, mid, hi)
}

// around rejects the rows that stand for one record and writes the stretches between them.
func (b *bisection) around(ctx context.Context, lo, hi int64, same []int64) error {
	slices.Sort(same)
	for _, at := range same {
		b.reject(at, connector.Result{Status: connector.Rejected, Code: fault.MatchDuplicate, Message: "another row of this batch is the same record to the database"})
		if err := b.run(ctx, lo, at); err != nil {
			return err
		}
		lo = at + 1
	}
	return b.run(ctx, lo, hi)
}

// refused is the outcome of a row the server refused. Field is the column, or the constraint where the server names only that.
func refused(d *dialer, pe *pgconn.PgError) connector.Result {
	r := connector.Result{Status: connector.Rejected, Code: fault.Code(pe.Code), Field: pe.ColumnName, Message: d.Scrub(words(pe))}
	switch {
	case r.Field == "":
		r.Field = pe.ConstraintName
	case pe.Code == "23502":
		r.Code, r.Message = fault.RequiredAbsent, "column "+pe.ColumnName+" must not be null: "+r.Message
	}
	return r
}

// fieldOf gives the column behind a unique index of one column, else the name as it is.
func (t *table) fieldOf(constraint string) string {
	for _, k := range t.keys {
		if k.index == constraint && len(k.columns) == 1 {
			return k.columns[0]
		}
	}
	return strings.TrimSpace(constraint)
}
