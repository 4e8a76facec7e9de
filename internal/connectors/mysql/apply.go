package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// commit applies the staged rows in one transaction.
//
// Existing records are looked up by the match and locked first; then they are updated and the others inserted. INSERT … ON
// DUPLICATE KEY UPDATE is not used: it fires on any unique index, and would change a record that shares some other unique value
// (https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html). READ COMMITTED takes no gap locks, which would make
// batches that insert side by side deadlock (https://dev.mysql.com/doc/refman/8.4/en/innodb-transaction-isolation-levels.html).
func (l *load) commit(ctx context.Context) error {
	for _, s := range []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"} {
		if err := l.exec(ctx, s); err != nil {
			return l.d.destFault(ctx, err, "opening a transaction").NotLanded()
		}
	}
	if err := l.applyAll(ctx); err != nil {
		f := l.d.destFault(ctx, err, "writing to table "+l.to.Object.Name).NotLanded()
		if rolled := l.exec(context.WithoutCancel(ctx), "ROLLBACK"); rolled != nil {
			f.Message += " (the connection is closed, which rolls the transaction back)"
		}
		if f.Code == fault.DestObjectMissing || f.Code == fault.DestFieldMissing {
			l.d.tables.Delete(l.to.Object.Name) // what we know of the table is out of date
		}
		return f
	}
	if err := l.exec(ctx, "COMMIT"); err != nil {
		f := l.d.destFault(ctx, err, "committing")
		if _, said := serverError(err); said { //nolint:errcheck // the second value says whether there is one
			f = f.NotLanded() // the server refused: nothing of the transaction stands
		}
		return f
	}
	return nil
}

func (l *load) applyAll(ctx context.Context) error {
	if err := l.refuseTwins(ctx); err != nil {
		return err
	}
	for _, s := range l.spans {
		if err := l.find(ctx, s); err != nil {
			return err
		}
		if err := l.apply(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (s span) where() string { return fmt.Sprintf("s.o BETWEEN %d AND %d", s.low, s.high) }

// on is the join of staging table and target by the match.
func (l *load) on() string {
	parts := make([]string, len(l.match))
	for i, m := range l.match {
		parts[i] = fmt.Sprintf("t.%s = s.m%d", ident(m.name), i)
	}
	return strings.Join(parts, " AND ")
}

func (l *load) texts() (at []int) {
	for i, m := range l.match {
		if m.text() {
			at = append(at, i)
		}
	}
	return at
}

// refuseTwins refuses rows that are the same record to the column's collation though the engine took them for different ones
// (accents, characters the collation ignores): none of them is sent.
func (l *load) refuseTwins(ctx context.Context) error {
	if l.key == nil || len(l.texts()) == 0 {
		return nil
	}
	cols := make([]string, len(l.match))
	for i := range l.match {
		cols[i] = "m" + strconv.Itoa(i)
	}
	var twins []uint64
	err := each(ctx, l.c, "SELECT GROUP_CONCAT(o) FROM "+l.stage()+" GROUP BY "+strings.Join(cols, ", ")+" HAVING COUNT(*) > 1", nil, func(rows *sql.Rows) error {
		var group string
		if err := rows.Scan(&group); err != nil {
			return err
		}
		for _, o := range strings.Split(group, ",") {
			n, err := strconv.ParseUint(o, 10, 64)
			if err != nil {
				return err
			}
			twins = append(twins, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.refuse(ctx, twins, connector.Result{
		Status: connector.Rejected, Code: fault.MatchDuplicate, Field: l.match[l.texts()[0]].name,
		Message: "another row of this batch is the same record to the column's collation " + l.match[l.texts()[0]].collation,
	})
}

// refuse takes rows out of the staging table.
func (l *load) refuse(ctx context.Context, ordinals []uint64, r connector.Result) error {
	for _, o := range ordinals {
		l.refused[o] = r
	}
	return l.remove(ctx, ordinals)
}

func (l *load) remove(ctx context.Context, ordinals []uint64) error {
	for part := range slices.Chunk(ordinals, 10_000) {
		if err := l.exec(ctx, "DELETE FROM "+l.stage()+" WHERE o IN ("+numbers(part)+")"); err != nil {
			return err
		}
	}
	return nil
}

func numbers(list []uint64) string {
	b := make([]byte, 0, 8*len(list))
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, n, 10)
	}
	return string(b)
}

// find marks the rows whose record exists, and locks those records where the operation changes them. The staging table is read
// first, so that the target is reached by its index.
func (l *load) find(ctx context.Context, s span) error {
	if l.key == nil {
		return nil
	}
	cols, texts := []string{"s.o"}, l.texts()
	for _, i := range texts {
		a, b := fmt.Sprintf("s.m%d", i), "t."+ident(l.match[i].name)
		equal := fmt.Sprintf("CAST(%s AS BINARY) = CAST(%s AS BINARY)", a, b)
		cols = append(cols, "IF("+equal+", NULL, "+a+")", "IF("+equal+", NULL, "+b+")")
	}
	query := "SELECT " + strings.Join(cols, ", ") + " FROM " + l.stage() + " s STRAIGHT_JOIN " + l.t.quoted() + " t ON " + l.on() + " WHERE " + s.where()
	if l.to.Op != connector.OpInsert && l.to.Op != connector.OpAppend {
		query += " FOR UPDATE"
	}
	var found, strangers []uint64
	pairs := make([]sql.NullString, 2*len(texts))
	into := []any{new(uint64)}
	for i := range pairs {
		into = append(into, &pairs[i])
	}
	err := each(ctx, l.c, query, nil, func(rows *sql.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		ord, _ := into[0].(*uint64)
		for i := 0; i < len(pairs); i += 2 {
			a, b := strings.TrimSpace(pairs[i].String), strings.TrimSpace(pairs[i+1].String)
			if pairs[i].Valid && !strings.EqualFold(a, b) {
				strangers = append(strangers, *ord)
				return nil
			}
		}
		found = append(found, *ord)
		return nil
	})
	if err != nil {
		return err
	}
	if len(strangers) > 0 {
		m := l.match[texts[0]]
		if err := l.refuse(ctx, strangers, connector.Result{
			Status: connector.Rejected, Code: fault.MatchDuplicate, Field: m.name,
			Message: "to the column's collation " + m.collation + " this is a record whose value differs by more than case and blanks",
		}); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(found, 10_000) {
		if err := l.exec(ctx, "UPDATE "+l.stage()+" SET x = 1 WHERE o IN ("+numbers(part)+")"); err != nil {
			return err
		}
	}
	return nil
}

// apply runs the operation for a range of rows. When the target refuses a row, the range is taken back to its savepoint and
// halved until the row stands alone.
func (l *load) apply(ctx context.Context, s span) error {
	if err := l.exec(ctx, "SAVEPOINT upwell_range"); err != nil {
		return err
	}
	err := l.run(ctx, s)
	var me *mysql.MySQLError
	if err == nil || !errors.As(err, &me) || !isRow(me) || isPassing(me.Number) {
		return err
	}
	if err := l.exec(ctx, "ROLLBACK TO SAVEPOINT upwell_range"); err != nil {
		return err
	}
	if s.low == s.high {
		l.refused[s.low] = l.verdict(me)
		return nil
	}
	middle := s.low + (s.high-s.low)/2
	if err := l.apply(ctx, span{s.low, middle}); err != nil {
		return err
	}
	return l.apply(ctx, span{middle + 1, s.high})
}

// verdict is what a refused row becomes. A duplicate of the match itself means that another session made the record after we
// looked.
func (l *load) verdict(me *mysql.MySQLError) connector.Result {
	if k := l.t.ofKey(me.Message); me.Number == 1062 && l.key != nil && k != nil && k.name == l.key.name {
		switch l.to.Op {
		case connector.OpUpsert:
			return connector.Result{Status: connector.Retry, Code: fault.DestTransient, Message: "another session inserted the record at the same time"}
		case connector.OpInsert, connector.OpAppend:
			return l.outcome(true)
		case connector.OpUpdate, connector.OpDelete, connector.OpClear, connector.OpAdd, connector.OpDrop:
		}
	}
	return l.refusal(me)
}

// run executes the operation's statements for a range, each over the rows of one pattern of fields.
func (l *load) run(ctx context.Context, s span) error {
	if l.to.Op == connector.OpDelete {
		return l.exec(ctx, "DELETE t FROM "+l.stage()+" s STRAIGHT_JOIN "+l.t.quoted()+" t ON "+l.on()+" WHERE s.x = 1 AND "+s.where())
	}
	for p, present := range l.patterns {
		rows := fmt.Sprintf("s.p = %d AND %s", p, s.where())
		changes := l.to.Op == connector.OpUpsert || l.to.Op == connector.OpUpdate || l.to.Op == connector.OpClear
		if changes && len(present) > 0 {
			set := make([]string, len(present))
			for i, f := range present {
				set[i] = fmt.Sprintf("t.%s = s.f%d", ident(l.fields[f].name), f)
			}
			if err := l.exec(ctx, "UPDATE "+l.stage()+" s STRAIGHT_JOIN "+l.t.quoted()+" t ON "+l.on()+" SET "+strings.Join(set, ", ")+" WHERE s.x = 1 AND "+rows); err != nil {
				return err
			}
		}
		if !l.inserts() {
			continue
		}
		if l.lacks(present) { // the server refuses such an INSERT even when it inserts nothing
			if some, err := l.anyNew(ctx, rows); err != nil {
				return err
			} else if !some {
				continue
			}
		}
		var into, from []string
		for i, m := range l.match {
			into, from = append(into, ident(m.name)), append(from, "s.m"+strconv.Itoa(i))
		}
		for _, f := range present {
			into, from = append(into, ident(l.fields[f].name)), append(from, "s.f"+strconv.Itoa(f))
		}
		if err := l.exec(ctx, "INSERT INTO "+l.t.quoted()+" ("+strings.Join(into, ", ")+") SELECT "+strings.Join(from, ", ")+" FROM "+l.stage()+
			" s WHERE s.x = 0 AND "+rows+" ORDER BY s.o"); err != nil {
			return err
		}
	}
	return nil
}

// lacks reports whether a record cannot be made of these fields alone.
func (l *load) lacks(present []int) bool {
	return slices.ContainsFunc(l.t.columns, func(c *slot) bool {
		return c.required() && !slices.Contains(l.match, c) && !slices.ContainsFunc(present, func(f int) bool { return l.fields[f] == c })
	})
}

// anyNew reports whether some of the rows have no record yet.
func (l *load) anyNew(ctx context.Context, rows string) (some bool, err error) {
	err = l.c.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+l.stage()+" s WHERE s.x = 0 AND "+rows+")").Scan(&some)
	return some, err
}
