package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const stageTable = "pg_temp.upwell_stage"

// stage is a load put aside in a temporary table, filled by one binary COPY while the model is read. Table, rows and what
// Commit makes of them live in one transaction: whatever ends early leaves nothing behind.
type stage struct {
	d      *destination
	conn   *pgconn.PgConn
	to     connector.Target
	table  *table
	match  []*slot
	fields []*slot
	feed   *feed
	buf    []byte
	mask   []byte
	masks  map[string]*int64 // rows by presence mask, masks other than "all"
	n      int64             // rows staged; also the next position
	runs   []ordinals
	early  []early // rows refused before they were staged
	fills  bool    // rows go into the table itself, see Fill
	done   bool
}

// ordinals is a stretch of consecutive ordinals at consecutive positions.
type ordinals struct {
	ordinal  uint64
	position int64
	n        int64
}

type early struct {
	ordinal uint64
	result  connector.Result
}

// Stage opens a connection of its own and creates the temporary table.
func (d *destination) Stage(ctx context.Context, to connector.Target) (st connector.Stage, err error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { leave(err) }()
	c, err := d.begin(ctx, false)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeConn(c)
		}
	}()
	t, err := d.table(ctx, c, to.Object.Name)
	if err != nil {
		return nil, err
	}
	match, fields, err := columnsFor(t, to.Object.Name, to.Op, to.Match, to.Fields)
	if err != nil {
		return nil, err
	}
	// COPY runs as long as the model is read, and the transaction rests while the plan is judged.
	sql := "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; CREATE TEMPORARY TABLE upwell_stage (o bigint, p bytea"
	names := []string{"o", "p"}
	for i, s := range slices.Concat(match, fields) {
		sql += fmt.Sprintf(", c%d %s", i, s.carrier)
		names = append(names, fmt.Sprintf("c%d", i))
	}
	if err := run(ctx, c, sql+") ON COMMIT DROP"); err != nil {
		return nil, destFault(ctx, d.dialer, err, "creating the staging table").NotLanded()
	}
	s := &stage{d: d, conn: c, to: to, table: t, match: match, fields: fields, masks: map[string]*int64{}, mask: make([]byte, (len(fields)+7)/8)}
	s.feed = startCopy(context.WithoutCancel(ctx), c, "COPY "+stageTable+" ("+strings.Join(names, ", ")+") FROM STDIN (FORMAT binary)")
	s.buf = append(s.feed.buffer(), copyHeader...)
	return s, nil
}

// Write encodes rows for COPY. Rows that cannot be written exactly are refused here and settled by Commit.
func (s *stage) Write(ctx context.Context, rows *row.Batch) error {
	width := len(s.match) + len(s.fields)
	if !s.fills {
		width += 2
	}
	be := binary.BigEndian
	for i := range rows.Len() {
		match, vals := rows.Match(i), rows.Values(i)
		if s.to.Op == connector.OpDelete {
			vals = nil
		}
		start := len(s.buf)
		b, partial := be.AppendUint16(s.buf, uint16(width)), false
		if !s.fills {
			b = be.AppendUint64(append(b, 0, 0, 0, 8), uint64(s.n))
			b, partial = s.appendMask(b, vals)
		} else if slices.ContainsFunc(vals, row.Value.IsAbsent) {
			return lost(s.table, "a row lacks fields")
		}
		var no *refusal
		var at *slot
		for k, slot := range s.match {
			at = slot
			if (match[k].IsNull() || match[k].IsAbsent()) && (s.to.Op != connector.OpAppend || s.table.insertable()) {
				no = &refusal{fault.MatchNull, "the value that identifies the record is null"}
				break
			}
			if b, no = slot.append(b, match[k]); no != nil {
				break
			}
		}
		for k := 0; no == nil && k < len(vals); k++ {
			at = s.fields[k]
			b, no = at.append(b, vals[k])
		}
		ordinal := rows.Meta(i).Ordinal
		if no != nil {
			s.buf = b[:start]
			s.early = append(s.early, early{ordinal, connector.Result{Status: connector.Rejected, Code: no.code, Field: at.name, Message: no.message}})
			continue
		}
		s.buf = b
		s.staged(ordinal, partial)
		if len(s.buf) >= feedBytes {
			if err := s.send(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stage) staged(ordinal uint64, partial bool) {
	if k := len(s.runs) - 1; k >= 0 && s.runs[k].ordinal+uint64(s.runs[k].n) == ordinal {
		s.runs[k].n++
	} else {
		s.runs = append(s.runs, ordinals{ordinal, s.n, 1})
	}
	s.n++
	if !partial {
		return
	}
	if n := s.masks[string(s.mask)]; n != nil {
		*n++
		return
	}
	one := int64(1)
	s.masks[string(s.mask)] = &one
}

// appendMask writes which fields are present, and notes it in mask: null when all are.
func (s *stage) appendMask(b []byte, vals []row.Value) (out []byte, partial bool) {
	absent := false
	for k := range vals {
		if vals[k].IsAbsent() {
			absent = true
			break
		}
	}
	if !absent {
		return append(b, 0xFF, 0xFF, 0xFF, 0xFF), false
	}
	clear(s.mask)
	for k := range vals {
		if !vals[k].IsAbsent() {
			s.mask[k/8] |= 1 << (k % 8)
		}
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s.mask))), s.mask...), true
}

func (s *stage) send(ctx context.Context) error {
	if err := s.feed.send(ctx, s.buf); err != nil {
		return s.broken(ctx, err)
	}
	s.buf = s.feed.buffer()
	return nil
}

// broken is the fault of a COPY that ended early.
func (s *stage) broken(ctx context.Context, err error) error {
	f := destFault(ctx, s.d.dialer, err, "staging rows").NotLanded()
	if s.fills && ctx.Err() == nil {
		return lost(s.table, f.Message)
	}
	return f
}

// Abort ends the connection; the server throws away transaction and temporary table.
func (s *stage) Abort(context.Context) error {
	if !s.done {
		s.done = true
		s.feed.abort()
		closeConn(s.conn)
	}
	return nil
}

// finish ends the COPY and checks that the server has every row.
func (s *stage) finish(ctx context.Context) error {
	s.buf = append(s.buf, 0xFF, 0xFF)
	if err := s.send(ctx); err != nil {
		return err
	}
	n, err := s.feed.finish(ctx)
	if err != nil {
		return s.broken(ctx, err)
	}
	if n != s.n && s.fills { // a trigger left rows out; a staged load finds them
		return lost(s.table, "the table took fewer rows than it was given")
	}
	if n != s.n {
		return fault.New(fault.DestAnswer, "staging rows: %d were sent, the server counts %d", s.n, n).NotLanded()
	}
	return nil
}

// position finds where an ordinal was staged.
func (s *stage) position(ordinal uint64) (int64, bool) {
	in := func(r ordinals) bool { return ordinal >= r.ordinal && ordinal-r.ordinal < uint64(r.n) }
	k := sort.Search(len(s.runs), func(k int) bool { return s.runs[k].ordinal > ordinal }) - 1
	if k < 0 || !in(s.runs[k]) { // ordinals need not ascend
		if k = slices.IndexFunc(s.runs, in); k < 0 {
			return 0, false
		}
	}
	return s.runs[k].position + int64(ordinal-s.runs[k].ordinal), true
}
