package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

const varcharOID = 1043

// Fill copies rows straight into an empty table, in a transaction that stays open until Commit. It saves the temporary table and
// the second writing of every row. COPY fires triggers and checks constraints as INSERT does; it does not apply rules, and
// is not allowed under row-level security. Whatever goes wrong rolls everything back, and the load is staged anew.
// https://www.postgresql.org/docs/current/sql-copy.html
func (d *destination) Fill(ctx context.Context, to connector.Target) (st connector.Stage, err error) {
	if to.Op != connector.OpUpsert && to.Op != connector.OpInsert {
		return nil, nil
	}
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { leave(err) }()
	c, err := d.begin(ctx, false)
	if err != nil {
		return nil, err
	}
	t, err := d.table(ctx, c, to.Object.Name)
	if err != nil {
		closeConn(c)
		return nil, err
	}
	match, fields, err := columnsFor(t, to.Object.Name, to.Op, to.Match, to.Fields)
	if err != nil {
		closeConn(c)
		return nil, err
	}
	cols := slices.Concat(match, fields)
	fit := t.fillable(cols) && !updatesFirst(to.Op, t, cols, false)
	if fit {
		if fit, err = t.vacant(ctx, c); err == nil && fit {
			err = run(ctx, c, "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
		}
	}
	if err != nil {
		closeConn(c)
		return nil, destFault(ctx, d.dialer, err, "looking at "+t.quoted()).NotLanded()
	}
	if !fit {
		d.end(ctx, c)
		return nil, nil
	}
	names := make([]string, len(cols))
	for i, s := range cols {
		names[i] = ident(s.name)
	}
	s := &stage{d: d, conn: c, to: to, table: t, match: match, fields: fields, fills: true}
	s.feed = startCopy(context.WithoutCancel(ctx), c, "COPY "+t.quoted()+" ("+strings.Join(names, ", ")+") FROM STDIN (FORMAT binary)")
	s.buf = append(s.feed.buffer(), copyHeader...)
	return s, nil
}

// fillable reports that every value travels in the form in which its column is read by COPY. Others are cast, which an INSERT does.
func (t *table) fillable(cols []*slot) bool {
	return !slices.ContainsFunc(cols, func(s *slot) bool {
		return s.carrierOID != s.oid && (s.carrierOID != textOID || s.oid != varcharOID)
	})
}

// vacant reports that the table holds no row that can be seen, and that COPY does to it what INSERT does.
func (t *table) vacant(ctx context.Context, c *pgconn.PgConn) (bool, error) {
	rows, err := query(ctx, c, fmt.Sprintf(`SELECT NOT EXISTS (SELECT FROM %s) AND NOT c.relhasrules AND NOT c.relrowsecurity
  FROM pg_catalog.pg_class c WHERE c.oid = %d`, t.quoted(), t.oid))
	return err == nil && len(rows) == 1 && string(rows[0][0]) == "t", err
}

// lost tells the engine that a load into the table itself was rolled back.
func lost(t *table, why string) error {
	return fault.Wrap(fault.DestTransient, connector.ErrStageLost, "filling %s: %s", t.quoted(), why).NotLanded()
}
