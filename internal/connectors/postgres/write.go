package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Write applies a batch in one transaction: one statement per set of columns present. When the data of a row is refused the
// rows are halved at a savepoint until the row is found, so that it does not sink the rest. Nothing is reported before COMMIT.
func (d *destination) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) (err error) {
	if rows.Len() == 0 {
		return nil
	}
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { leave(err) }()
	c, err := d.begin(ctx, false)
	if err != nil {
		return err
	}
	defer d.put(c) // a connection still in its transaction is closed, which rolls it back
	t, err := d.table(ctx, c, to.Object.Name)
	if err != nil {
		return err
	}
	results := make([]connector.Result, rows.Len())
	groups, err := d.group(t, to, rows, results)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := d.apply(ctx, c, g); err != nil {
			return err
		}
	}
	if err := d.commit(ctx, c); err != nil {
		return err
	}
	for i, r := range results {
		out.Set(i, r)
	}
	return nil
}

// commit makes the transaction durable. Only here may a failed call have landed: when the server did not get to answer.
func (d *destination) commit(ctx context.Context, c *pgconn.PgConn) error {
	res, err := c.Exec(ctx, "COMMIT").ReadAll()
	if err != nil {
		f := destFault(ctx, d.dialer, err, "committing")
		if pe, ok := pgError(err); ok && pe.Severity == "ERROR" {
			f.Landed = fault.LandedNo
		} else {
			f.Landed = fault.LandedMaybe
		}
		return f
	}
	if len(res) != 1 || res[0].CommandTag.String() != "COMMIT" {
		return fault.New(fault.DestTransient, "committing: the server rolled the transaction back").NotLanded()
	}
	return nil
}

// group is the rows of a batch that write the same columns, encoded column by column.
type group struct {
	op         connector.Op
	table      *table
	match      []*slot
	fields     []*slot
	rows       []int // positions in the batch
	data       [][]byte
	ends       [][]int // per column: end of each row's element in data
	partial    bool
	skipExists bool
	results    []connector.Result // of the batch
}

func (g *group) columns() []*slot { return slices.Concat(g.match, g.fields) }

// group encodes the rows by what is present in them. A value that cannot be written exactly is rejected here, unsent.
func (d *destination) group(t *table, to connector.Target, rows *row.Batch, results []connector.Result) ([]*group, error) {
	match, fields, err := columnsFor(t, to.Object.Name, to.Op, rows.MatchFields(), rows.Fields())
	if err != nil {
		return nil, err
	}
	byMask := map[string]*group{}
	var groups []*group
	mask := make([]byte, len(fields))
	for i := range rows.Len() {
		vals := rows.Values(i)
		for k := range fields {
			mask[k] = 0
			if !vals[k].IsAbsent() {
				mask[k] = 1
			}
		}
		g := byMask[string(mask)]
		if g == nil {
			g = &group{op: to.Op, table: t, match: match, skipExists: to.SkipExists, results: results}
			for k, f := range fields {
				if mask[k] == 1 {
					g.fields = append(g.fields, f)
				}
			}
			g.partial = len(g.fields) < len(fields)
			n := len(match) + len(g.fields)
			g.data, g.ends = make([][]byte, n), make([][]int, n)
			byMask[string(mask)] = g
			groups = append(groups, g)
		}
		if field, no := g.add(i, rows.Match(i), vals); no != nil {
			results[i] = connector.Result{Status: connector.Rejected, Code: no.code, Field: field, Message: no.message}
		}
	}
	return groups, nil
}

// add encodes one row, or takes it back and says why not.
func (g *group) add(i int, match, vals []row.Value) (string, *refusal) {
	k := 0
	put := func(s *slot, v row.Value) (no *refusal) {
		if g.data[k], no = s.append(g.data[k], v); no == nil {
			g.ends[k] = append(g.ends[k], len(g.data[k]))
			k++
		}
		return no
	}
	undo := func(s *slot, no *refusal) (string, *refusal) {
		n := len(g.rows)
		for c := range g.data {
			g.ends[c] = g.ends[c][:min(len(g.ends[c]), n)]
			g.data[c] = g.data[c][:g.start(c, n)]
		}
		return s.name, no
	}
	for m, s := range g.match {
		if (match[m].IsNull() || match[m].IsAbsent()) && (g.op != connector.OpAppend || g.table.insertable()) {
			return undo(s, &refusal{fault.MatchNull, "the value that identifies the record is null"})
		}
		if no := put(s, match[m]); no != nil {
			return undo(s, no)
		}
	}
	f := 0
	for _, v := range vals {
		if v.IsAbsent() || f >= len(g.fields) {
			continue
		}
		if no := put(g.fields[f], v); no != nil {
			return undo(g.fields[f], no)
		}
		f++
	}
	g.rows = append(g.rows, i)
	return "", nil
}

// start is where the element of the n-th encoded row begins.
func (g *group) start(col, n int) int {
	if n == 0 {
		return 0
	}
	return g.ends[col][n-1]
}

// params gives rows [lo, hi) as binary arrays.
// https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/arrayfuncs.c (array_recv)
func (g *group) params(lo, hi int) [][]byte {
	out := make([][]byte, 0, len(g.data)+1)
	for c, s := range g.columns() {
		from, to := g.start(c, lo), g.start(c, hi)
		out = append(out, append(arrayHeader(make([]byte, 0, 20+to-from), s.carrierOID, hi-lo), g.data[c][from:to]...))
	}
	return out
}

func arrayHeader(b []byte, elem uint32, n int) []byte {
	for _, v := range []uint32{1, 1, elem, uint32(n), 1} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func (g *group) statement(some bool) *statement {
	return &statement{table: g.table, match: g.match, fields: g.fields, source: unnest(g.columns(), some), sorted: true}
}

// apply writes the group, bisecting where the data is refused.
func (d *destination) apply(ctx context.Context, c *pgconn.PgConn, g *group) error {
	b := &bisection{
		conn: c, dialer: d.dialer,
		write: func(ctx context.Context, lo, hi int64) error { return g.write(ctx, c, int(lo), int(hi)) },
		reject: func(at int64, r connector.Result) {
			if r.Field == "" || g.table.column(r.Field) == nil {
				r.Field = g.table.fieldOf(r.Field)
			}
			g.results[g.rows[at]] = r
		},
		duplicates: func(ctx context.Context, lo, hi int64) ([]int64, error) {
			rows, err := answers(ctx, c, g.statement(false).duplicates(), g.params(int(lo), int(hi)))
			var at []int64
			for _, a := range rows {
				at = append(at, lo+a.at-1)
			}
			return at, err
		},
	}
	if err := b.run(ctx, 0, int64(len(g.rows))); err != nil {
		f := destFault(ctx, d.dialer, err, "writing to "+g.table.quoted()).NotLanded()
		if f.GetClass() == fault.ClassConfig || f.Code == fault.DestForbidden {
			d.tables.Clear() // the table may have changed under us
		}
		return f
	}
	return nil
}

// answer is one row of a statement's answer: a position (from 1) or count, and what it means.
type answer struct {
	at   int64
	what string
}

func answers(ctx context.Context, c *pgconn.PgConn, sql string, params [][]byte) ([]answer, error) {
	formats := make([]int16, len(params))
	for i := range formats {
		formats[i] = 1
	}
	res := c.ExecParams(ctx, sql, params, nil, formats, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	out := make([]answer, 0, len(res.Rows))
	for _, r := range res.Rows {
		n, err := strconv.ParseInt(string(r[0]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the server's answer: %w", err)
		}
		out = append(out, answer{n, string(r[1])})
	}
	return out, nil
}

// write applies rows [lo, hi) of the group and notes their results.
func (g *group) write(ctx context.Context, c *pgconn.PgConn, lo, hi int) error {
	params := g.params(lo, hi)
	job := &job{
		conn: c, op: g.op, table: g.table, match: g.match, skipExists: g.skipExists, n: int64(hi - lo),
		updatesFirst: updatesFirst(g.op, g.table, g.columns(), g.partial),
		rows: func(some []answer) (*statement, [][]byte) {
			if some == nil {
				return g.statement(false), params
			}
			return g.statement(true), append(params[:len(params):len(params)], positions(some))
		},
		set: func(at int64, r connector.Result) { g.results[g.rows[lo+int(at)-1]] = r },
		all: func(r connector.Result) {
			for i := lo; i < hi; i++ {
				g.results[g.rows[i]] = r
			}
		},
	}
	return job.run(ctx)
}

func matchNames(match []*slot) string {
	s := ""
	for i, m := range match {
		if i > 0 {
			s += ", "
		}
		s += m.name
	}
	return s
}
