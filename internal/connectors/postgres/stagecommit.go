package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// stageResults holds the outcome of staged rows by position, one byte each; what a byte cannot say is in other.
type stageResults struct {
	common connector.Result // of every row nothing else is said of
	state  []uint8
	other  map[int64]connector.Result
}

const (
	stateCommon = iota
	stateNotTold
	stateChanged
	stateCreated
	stateOther
)

func (r *stageResults) set(at int64, res connector.Result) {
	if res.Status == connector.Delivered {
		r.state[at] = deliveredState(res.Created)
		return
	}
	r.state[at], r.other[at] = stateOther, res
}

func deliveredState(created connector.Tri) uint8 {
	switch created {
	case connector.Yes:
		return stateCreated
	case connector.No:
		return stateChanged
	case connector.NotTold:
	}
	return stateNotTold
}

func (r *stageResults) get(at int64) connector.Result {
	switch r.state[at] {
	case stateNotTold:
		return delivered
	case stateChanged:
		return changed
	case stateCreated:
		return created
	case stateOther:
		return r.other[at]
	}
	return r.common
}

// Commit writes what was staged, without the excluded rows, in the transaction the rows were staged in, and reports after its
// COMMIT.
func (s *stage) Commit(ctx context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) (err error) {
	if s.done {
		return fault.New(fault.Internal, "committing a staged load twice").NotLanded()
	}
	leave, err := s.d.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { leave(err) }()
	defer func() {
		if err != nil {
			_ = s.Abort(ctx) //nolint:errcheck // it cannot fail
		}
	}()
	if s.fills && len(exclude) > 0 {
		return lost(s.table, "rows have to be left out")
	}
	if err := s.finish(ctx); err != nil {
		return err
	}
	results, err := s.write(ctx, exclude)
	if err != nil {
		return err
	}
	if err := s.d.commit(ctx, s.conn); err != nil {
		return err
	}
	s.done = true
	s.d.put(s.conn)
	for _, e := range s.early {
		if !exclude[e.ordinal] {
			settle(e.ordinal, e.result)
		}
	}
	for _, r := range s.runs {
		for k := range r.n {
			if ordinal := r.ordinal + uint64(k); len(exclude) == 0 || !exclude[ordinal] {
				settle(ordinal, results.get(r.position+k))
			}
		}
	}
	return nil
}

// write makes of the staged rows what COMMIT makes visible.
func (s *stage) write(ctx context.Context, exclude map[uint64]bool) (*stageResults, error) {
	results := &stageResults{state: make([]uint8, s.n), other: map[int64]connector.Result{}}
	if s.fills { // they are where they belong, and every one is new
		results.common = created
		return results, nil
	}
	out, err := s.exclude(ctx, exclude)
	if err != nil {
		return nil, err
	}
	if err := s.merge(ctx, out, results); err != nil {
		return nil, destFault(ctx, s.d.dialer, err, "writing staged rows to "+s.table.quoted()).NotLanded()
	}
	return results, nil
}

// exclude deletes rows from the staging table and gives their positions, sorted.
func (s *stage) exclude(ctx context.Context, exclude map[uint64]bool) ([]int64, error) {
	var out []int64
	for ordinal, yes := range exclude {
		if at, ok := s.position(ordinal); ok && yes {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	for part := range slices.Chunk(out, 100_000) {
		list := make([]answer, len(part))
		for i, at := range part {
			list[i].at = at
		}
		if _, err := answers(ctx, s.conn, "DELETE FROM "+stageTable+" WHERE o = ANY($1::bigint[])", [][]byte{positions(list)}); err != nil {
			return nil, destFault(ctx, s.d.dialer, err, "leaving rows out").NotLanded()
		}
	}
	return out, nil
}

// merge writes the staged rows into the table, one set of columns after the other.
func (s *stage) merge(ctx context.Context, out []int64, results *stageResults) error {
	rows, err := query(ctx, s.conn, "SELECT EXISTS (SELECT FROM "+s.table.quoted()+")")
	if err != nil {
		return err
	}
	creates := s.to.Op == connector.OpUpsert || s.to.Op == connector.OpInsert || s.to.Op == connector.OpAppend && s.table.insertable()
	empty := string(rows[0][0]) == "f" && creates && len(s.masks) == 0
	if !empty {
		// The planner knows nothing of a new temporary table; without statistics it may join it by nested loops.
		if err := run(ctx, s.conn, "ANALYZE "+stageTable); err != nil {
			return err
		}
		if err := s.preferIndex(ctx); err != nil {
			return err
		}
	}
	masks := []string{""}
	for m := range s.masks {
		masks = append(masks, m)
	}
	slices.Sort(masks)
	indexed := false
	for _, mask := range masks {
		g := s.group(mask)
		g.empty = empty
		g.out, g.results = out, results
		if g.count(0, s.n) == 0 {
			continue
		}
		b := &bisection{
			conn: s.conn, dialer: s.d.dialer,
			write: g.write,
			reject: func(at int64, r connector.Result) {
				if r.Field == "" || s.table.column(r.Field) == nil {
					r.Field = s.table.fieldOf(r.Field)
				}
				results.set(at, r)
			},
			duplicates: g.duplicates,
			split: func(ctx context.Context) error {
				if indexed {
					return nil
				}
				indexed = true
				return run(ctx, s.conn, "CREATE INDEX ON "+stageTable+" (o)")
			},
		}
		if err := b.run(ctx, 0, s.n); err != nil {
			return err
		}
	}
	return nil
}

// fewRows: below this share of the table, looking staged rows up through the index beats reading the table.
const fewRows = 0.05

// preferIndex makes the planner look few rows up in a large table. Its default price of a random page is that of a spinning disk,
// at which it reads a table of a million rows to change a hundredth. Joins among staged rows stay its own choice.
func (s *stage) preferIndex(ctx context.Context) error {
	rows, err := query(ctx, s.conn, "SELECT CAST("+strconv.FormatInt(s.n, 10)+" AS float8) < "+strconv.FormatFloat(fewRows, 'f', -1, 64)+
		" * reltuples FROM pg_catalog.pg_class WHERE oid = '"+strings.ReplaceAll(s.table.quoted(), "'", "''")+"'::regclass")
	if err != nil || len(rows) == 0 || string(rows[0][0]) != "t" {
		return err
	}
	return run(ctx, s.conn, "SET LOCAL random_page_cost = 1.0")
}

// stageGroup is the staged rows with the same fields present.
type stageGroup struct {
	*stage
	mask    string
	fields  []*slot
	index   []int // staged column of each match and field
	partial bool
	empty   bool // the target was seen to be empty, see job.fill
	clashed bool // and filling it met a conflict
	out     []int64
	results *stageResults
}

func (s *stage) group(mask string) *stageGroup {
	g := &stageGroup{stage: s, mask: mask, partial: mask != ""}
	for k := range s.match {
		g.index = append(g.index, k)
	}
	for k, f := range s.fields {
		if mask == "" || mask[k/8]&(1<<(k%8)) != 0 {
			g.fields = append(g.fields, f)
			g.index = append(g.index, len(s.match)+k)
		}
	}
	return g
}

// rows gives the statement over positions [lo, hi), or over some of them.
func (g *stageGroup) rows(lo, hi int64, some []answer) (*statement, [][]byte) {
	cols := slices.Concat(g.match, g.fields)
	var list []string
	for i, c := range cols {
		list = append(list, fmt.Sprintf(c.read+" AS c%d", fmt.Sprintf("c%d", g.index[i]), i))
	}
	list = append(list, "o")
	params := [][]byte{binary.BigEndian.AppendUint64(nil, uint64(lo)), binary.BigEndian.AppendUint64(nil, uint64(hi))}
	source := "SELECT " + strings.Join(list, ", ") + " FROM " + stageTable + " WHERE o >= $1::bigint AND o < $2::bigint"
	if g.mask == "" {
		source += " AND p IS NULL"
	} else {
		params = append(params, []byte(g.mask))
		source += " AND p = $3::bytea"
	}
	if some != nil {
		params = append(params, positions(some))
		source += fmt.Sprintf(" AND o = ANY($%d::bigint[])", len(params))
	}
	return &statement{table: g.table, match: g.match, fields: g.fields, source: source, inline: true, sorted: !g.empty}, params
}

func (g *stageGroup) write(ctx context.Context, lo, hi int64) error {
	j := &job{
		conn: g.conn, op: g.to.Op, table: g.table, match: g.match, skipExists: g.to.SkipExists, n: g.count(lo, hi), empty: g.empty && !g.clashed,
		updatesFirst: updatesFirst(g.to.Op, g.table, slices.Concat(g.match, g.fields), g.partial),
		rows:         func(some []answer) (*statement, [][]byte) { return g.rows(lo, hi, some) },
		set:          g.results.set,
		all: func(r connector.Result) {
			if !g.empty {
				g.results.common = r // the same for every set of fields and every range of one operation
				return
			}
			for at := lo; at < hi; at++ {
				g.results.state[at] = deliveredState(r.Created)
			}
		},
	}
	err := j.run(ctx)
	g.clashed = g.clashed || j.clashed
	return err
}

// count is how many rows of the group stand at positions [lo, hi), -1 = not known.
func (g *stageGroup) count(lo, hi int64) int64 {
	switch {
	case len(g.masks) == 0:
		out := func(at int64) int { return sort.Search(len(g.out), func(i int) bool { return g.out[i] >= at }) }
		return hi - lo - int64(out(hi)-out(lo))
	case lo > 0 || hi < g.n || len(g.out) > 0:
		return -1
	case g.partial:
		return *g.masks[g.mask]
	}
	n := g.n
	for _, partial := range g.masks {
		n -= *partial
	}
	return n
}

func (g *stageGroup) duplicates(ctx context.Context, lo, hi int64) ([]int64, error) {
	st, params := g.rows(lo, hi, nil)
	list, err := answers(ctx, g.conn, st.duplicates(), params)
	var at []int64
	for _, a := range list {
		at = append(at, a.at)
	}
	return at, err
}
