package postgres

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// job is one operation on a set of rows, wherever they wait: in arrays or in a staging table.
type job struct {
	conn         *pgconn.PgConn
	op           connector.Op
	table        *table
	match        []*slot
	skipExists   bool
	updatesFirst bool
	empty        bool  // the table was seen to be empty, and the operation creates
	clashed      bool  // and yet an insert met a record
	n            int64 // rows, -1 = not known
	// rows gives the statement over all rows or over some, with its parameters.
	rows func(some []answer) (*statement, [][]byte)
	set  func(at int64, r connector.Result)
	all  func(r connector.Result)
}

var (
	delivered = connector.Result{Status: connector.Delivered}
	created   = connector.Result{Status: connector.Delivered, Created: connector.Yes}
	changed   = connector.Result{Status: connector.Delivered, Created: connector.No}
	dropped   = connector.Result{Status: connector.Rejected, Code: fault.DestRowRefused, Message: "the table took no row: a trigger or rule dropped it"}
)

func (j *job) run(ctx context.Context) error {
	st, params := j.rows(nil)
	if j.empty {
		if done, err := j.fill(ctx, st, params); done || err != nil {
			return err
		}
	}
	switch j.op { //nolint:exhaustive // lists have no tables
	case connector.OpDelete:
		j.all(delivered)
		_, err := answers(ctx, j.conn, st.remove(), params)
		return err
	case connector.OpUpdate, connector.OpClear:
		j.all(changed)
		missing, err := answers(ctx, j.conn, st.update(j.n), params)
		for _, a := range missing {
			j.set(a.at, connector.Result{Status: connector.Skipped, Code: fault.NotFound, Message: "the table has no row with this " + matchNames(j.match)})
		}
		return err
	case connector.OpAppend:
		j.all(created)
		if !j.table.insertable() {
			_, err := answers(ctx, j.conn, st.add(), params)
			return err
		}
		return j.create(ctx, st, params)
	case connector.OpInsert:
		j.all(created)
		return j.create(ctx, st, params)
	case connector.OpUpsert:
		j.all(changed)
		if !j.updatesFirst {
			return j.upsert(ctx, st, params, j.n)
		}
		missing, err := answers(ctx, j.conn, st.update(j.n), params)
		if err != nil || len(missing) == 0 {
			return err
		}
		st, params = j.rows(missing)
		return j.upsert(ctx, st, params, int64(len(missing)))
	}
	return fault.New(fault.Internal, "postgres does not offer %s", j.op)
}

// fill inserts into a table that was seen to be empty, without looking for conflicts: that is much faster, and what it wrote is
// new for certain. When another session was there meanwhile it has written nothing, and the ordinary way is taken.
func (j *job) fill(ctx context.Context, st *statement, params [][]byte) (bool, error) {
	if err := run(ctx, j.conn, "SAVEPOINT fill"); err != nil {
		return false, err
	}
	n, err := affected(ctx, j.conn, st.add(), params)
	if pe, ok := pgError(err); ok && pe.Code == "23505" {
		j.clashed = true
		return false, run(ctx, j.conn, "ROLLBACK TO SAVEPOINT fill; RELEASE SAVEPOINT fill")
	}
	if err != nil {
		return false, err
	}
	j.all(created)
	if n == j.n {
		return true, nil
	}
	return true, j.verify(ctx, st, params)
}

// affected executes a statement and gives the rows it wrote.
func affected(ctx context.Context, c *pgconn.PgConn, sql string, params [][]byte) (int64, error) {
	formats := make([]int16, len(params))
	for i := range formats {
		formats[i] = 1
	}
	res := c.ExecParams(ctx, sql, params, nil, formats, nil).Read()
	return res.CommandTag.RowsAffected(), res.Err
}

func (j *job) upsert(ctx context.Context, st *statement, params [][]byte, n int64) error {
	list, err := answers(ctx, j.conn, st.upsert(), params)
	if err != nil {
		return err
	}
	touched := int64(0)
	for _, a := range list {
		if a.what == answerCreated {
			j.set(a.at, created)
		} else {
			touched = a.at
		}
	}
	if touched == n {
		return nil
	}
	return j.verify(ctx, st, params) // unchanged rows are not written; make sure that is all
}

func (j *job) create(ctx context.Context, st *statement, params [][]byte) error {
	exists, err := answers(ctx, j.conn, st.create(), params)
	if err != nil || len(exists) == 0 {
		return err
	}
	r := connector.Result{Status: connector.Rejected, Code: fault.AlreadyExists, Message: "the table already has a row with this " + matchNames(j.match)}
	switch {
	case j.op == connector.OpAppend:
		r = changed
	case j.skipExists:
		r.Status = connector.Skipped
	}
	for _, a := range exists {
		j.set(a.at, r)
	}
	return j.verify(ctx, st, params)
}

// verify finds rows that were neither written nor there: a trigger or rule dropped them, which must not pass for success.
func (j *job) verify(ctx context.Context, st *statement, params [][]byte) error {
	missing, err := answers(ctx, j.conn, st.missing(), params)
	for _, a := range missing {
		j.set(a.at, dropped)
	}
	return err
}

// positions is an array parameter of answers' positions.
func positions(list []answer) []byte {
	b := arrayHeader(make([]byte, 0, 20+12*len(list)), 20, len(list))
	for _, a := range list {
		b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(a.at))
	}
	return b
}
