package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// stageName is the temporary table of a session; it hides a table of that name in this session only.
const stageName = "upwell_stage"

// chunkBytes is about how long a statement that fills the staging table becomes.
const chunkBytes = 1 << 20

// load is rows of one operation on their way into a table: put into the session's staging table, then applied as sets.
//
// The staging table has the columns o (the row's ordinal), p (its pattern: which fields it has), x (1 = the record was found),
// m0… (match) and f0… (fields), typed as in the target.
type load struct {
	d      *destination
	c      *sql.Conn
	t      *table
	to     connector.Target
	match  []*slot
	fields []*slot
	key    *index // the match's unique index; nil for events without one
	limit  int    // longest statement the server takes

	patterns [][]int // fields present, by pattern number
	numbers  map[string]int
	spans    []span
	refused  map[uint64]connector.Result // rows that are not in the staging table any more
}

// span is a range of ordinals that is applied together.
type span struct{ low, high uint64 }

func (d *destination) newLoad(ctx context.Context, c *sql.Conn, to connector.Target) (*load, error) {
	t, err := d.table(ctx, c, to.Object.Name)
	if err != nil {
		return nil, err
	}
	l := &load{d: d, c: c, t: t, to: to, numbers: map[string]int{}, refused: map[uint64]connector.Result{}}
	if l.match, l.fields, err = columnsFor(t, to); err != nil {
		return nil, err
	}
	if len(to.Match) > 0 {
		l.key = t.key(to.Match)
	}
	if l.limit, err = d.packetSize(ctx, c); err != nil {
		return nil, err
	}
	return l, l.create(ctx)
}

// create makes the staging table.
func (l *load) create(ctx context.Context) error {
	columns := []string{"o BIGINT UNSIGNED NOT NULL PRIMARY KEY", "p INT NOT NULL", "x TINYINT NOT NULL"}
	for i, s := range l.match {
		columns = append(columns, s.staged("m"+strconv.Itoa(i)))
	}
	for i, s := range l.fields {
		columns = append(columns, s.staged("f"+strconv.Itoa(i)))
	}
	l.drop(ctx)
	if err := l.exec(ctx, "CREATE TEMPORARY TABLE "+l.stage()+" ("+strings.Join(columns, ", ")+") ENGINE=InnoDB"); err != nil {
		return l.d.destFault(ctx, err, "making the staging table").NotLanded()
	}
	return nil
}

// stage is the staging table's name, in the target's database: the right to make temporary tables is given per database.
func (l *load) stage() string { return ident(l.t.schema) + "." + stageName }

func (l *load) exec(ctx context.Context, statement string) error {
	_, err := l.c.ExecContext(ctx, statement)
	return err
}

// drop removes the staging table. A session where that fails is thrown away, and the table with it.
func (l *load) drop(ctx context.Context) {
	if err := l.exec(context.WithoutCancel(ctx), "DROP TEMPORARY TABLE IF EXISTS "+l.stage()); err != nil {
		_ = l.c.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // makes the pool throw it away
	}
}

// put encodes rows and sends them to the staging table. Rows a column cannot hold are refused and left out.
func (l *load) put(ctx context.Context, rows *row.Batch, ordinal func(int) uint64) error {
	var c chunk
	for i := range rows.Len() {
		ord := ordinal(i)
		l.widen(ord, i == 0)
		from := len(c.text)
		if r := l.encode(&c, ord, rows.Match(i), rows.Values(i)); r != nil {
			c.text = c.text[:from]
			l.refused[ord] = connector.Result{Status: connector.Rejected, Code: r.code, Field: r.field, Message: r.message}
			continue
		}
		if len(c.text)-from > l.limit-256 {
			l.refused[ord] = connector.Result{
				Status: connector.Rejected, Code: fault.RowTooLarge,
				Message: fmt.Sprintf("the row takes %d bytes and the server's max_allowed_packet is %d", len(c.text)-from, l.limit),
			}
			c.text = c.text[:from]
			continue
		}
		c.ends, c.ordinals = append(c.ends, len(c.text)), append(c.ordinals, ord)
		if len(c.text) >= chunkBytes {
			if err := l.send(ctx, &c); err != nil {
				return err
			}
		}
	}
	return l.send(ctx, &c)
}

// widen keeps spans of a few thousand ordinals, as they arrive.
func (l *load) widen(ord uint64, fresh bool) {
	if n := len(l.spans); n > 0 && !fresh && ord >= l.spans[n-1].low {
		l.spans[n-1].high = max(l.spans[n-1].high, ord)
		return
	}
	l.spans = append(l.spans, span{ord, ord})
}

// chunk is rows written as SQL, to be sent together.
type chunk struct {
	text     []byte
	ends     []int
	ordinals []uint64
}

func (c *chunk) row(i int) []byte {
	from := 0
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.text[from:c.ends[i]]
}

func (l *load) encode(c *chunk, ord uint64, match, values []row.Value) *refusal {
	b := strconv.AppendUint(append(c.text, '('), ord, 10)
	b = append(strconv.AppendInt(append(b, ','), int64(l.pattern(values)), 10), ",0"...)
	var r *refusal
	for i, s := range l.match {
		if match[i].IsNull() || match[i].IsAbsent() {
			return s.refuse(fault.MatchNull, "the value that identifies the record is null")
		}
		if b, r = s.encode(append(b, ','), match[i]); r != nil {
			return r
		}
	}
	for i, s := range l.fields {
		if values[i].IsNull() && !s.nullable {
			return s.refuse(fault.RequiredAbsent, "the column must not be null")
		}
		if b, r = s.encode(append(b, ','), values[i]); r != nil {
			return r
		}
	}
	c.text = append(b, ')')
	return nil
}

// pattern numbers the set of fields a row has.
func (l *load) pattern(values []row.Value) int {
	var buf [64]byte
	name := buf[:0]
	for i, v := range values {
		if !v.IsAbsent() {
			name = strconv.AppendInt(append(name, ','), int64(i), 36)
		}
	}
	if n, ok := l.numbers[string(name)]; ok {
		return n
	}
	var present []int
	for i, v := range values {
		if !v.IsAbsent() {
			present = append(present, i)
		}
	}
	n := len(l.patterns)
	l.numbers[string(name)] = n
	l.patterns = append(l.patterns, present)
	return n
}

// send puts a chunk into the staging table. When the server refuses it for one of its rows, fewer rows are tried at a time until
// the row stands alone; then more again.
func (l *load) send(ctx context.Context, c *chunk) error {
	n := len(c.ends)
	for from, size := 0, n; from < n; {
		to := min(from+size, n)
		text := append(make([]byte, 0, 64+c.ends[to-1]), "INSERT INTO "+l.stage()+" VALUES "...)
		for i := from; i < to; i++ {
			if i > from {
				text = append(text, ',')
			}
			text = append(text, c.row(i)...)
		}
		err := l.exec(ctx, string(text))
		var me *mysql.MySQLError
		switch {
		case err == nil:
			from, size = to, size*2
		case !errors.As(err, &me) || !isRow(me):
			return l.d.destFault(ctx, err, "putting rows into the staging table").NotLanded()
		case to-from == 1:
			l.refused[c.ordinals[from]] = l.refusal(me)
			from, size = to, 1
		default:
			size = (to - from) / 2
		}
	}
	c.text, c.ends, c.ordinals = c.text[:0], c.ends[:0], c.ordinals[:0]
	return nil
}

var (
	stagedColumn = regexp.MustCompile("([`'])([mf])([0-9]+)([`'])")
	stagedTable  = regexp.MustCompile("`[^`]*`\\.`" + stageName + "`\\.")
	foreignKey   = regexp.MustCompile("FOREIGN KEY \\(`([^`]+)`")
)

// refusal explains why the server refused a row, in its words, with the target's column names.
func (l *load) refusal(me *mysql.MySQLError) connector.Result {
	message := stagedColumn.ReplaceAllStringFunc(stagedTable.ReplaceAllString(me.Message, ""), func(s string) string {
		i, err := strconv.Atoi(s[2 : len(s)-1])
		slots := l.fields
		if s[1] == 'm' {
			slots = l.match
		}
		if err != nil || i >= len(slots) {
			return s
		}
		return s[:1] + slots[i].name + s[len(s)-1:]
	})
	r := connector.Result{Status: connector.Rejected, Code: fault.Code(number(me)), Field: columnOf(message), Message: l.d.scrub(message)}
	switch me.Number {
	case 1048, 1364:
		r.Code = fault.RequiredAbsent
	case 1062, 1586:
		if k := l.t.ofKey(message); k != nil {
			r.Field = k.columns[0]
		}
	case 1216, 1452, 1451, 1217:
		if m := foreignKey.FindStringSubmatch(message); m != nil && me.Number != 1451 && me.Number != 1217 {
			r.Field = m[1]
		}
	}
	if l.t.column(r.Field) == nil {
		r.Field = ""
	}
	return r
}

// results reports every row, after the commit.
func (l *load) results(ctx context.Context, settle func(uint64, connector.Result)) error {
	for ord, r := range l.refused {
		settle(ord, r)
	}
	rows, err := l.c.QueryContext(ctx, "SELECT o, x FROM "+l.stage()+" ORDER BY o")
	if err != nil {
		return l.d.destFault(ctx, err, "reading what became of the rows")
	}
	defer rows.Close()
	for rows.Next() {
		var ord uint64
		var found bool
		if err := rows.Scan(&ord, &found); err != nil {
			return fault.Wrap(fault.DestAnswer, err, "reading what became of the rows")
		}
		if _, refused := l.refused[ord]; !refused {
			settle(ord, l.outcome(found))
		}
	}
	if err := rows.Err(); err != nil {
		return l.d.destFault(ctx, err, "reading what became of the rows")
	}
	return nil
}

// outcome is what the operation did to a row that was not refused.
func (l *load) outcome(found bool) connector.Result {
	with := list(l.to.Match, func(s string) string { return s })
	switch {
	case l.to.Op == connector.OpInsert && found:
		r := connector.Result{Status: connector.Rejected, Code: fault.AlreadyExists, Message: "the table already has a row with this " + with}
		if l.to.SkipExists {
			r.Status = connector.Skipped
		}
		return r
	case (l.to.Op == connector.OpUpdate || l.to.Op == connector.OpClear) && !found:
		return connector.Result{Status: connector.Skipped, Code: fault.NotFound, Message: "the table has no row with this " + with}
	case l.inserts() && !found:
		return connector.Result{Status: connector.Delivered, Created: connector.Yes}
	}
	return connector.Result{Status: connector.Delivered, Created: connector.No}
}

func (l *load) inserts() bool {
	return l.to.Op == connector.OpUpsert || l.to.Op == connector.OpInsert || l.to.Op == connector.OpAppend
}
