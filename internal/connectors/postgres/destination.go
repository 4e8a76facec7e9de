package postgres

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// destination writes to tables of one database.
type destination struct {
	pool
	gate   connector.Gate
	tables sync.Map // object name -> *table, as the catalogue last described it
}

// Close ends idle connections.
func (d *destination) Close() error {
	d.pool.close()
	return nil
}

// enter passes the engine's gate; leave must be called with what the request came to.
func (d *destination) enter(ctx context.Context) (leave func(error), err error) {
	if err := d.gate.Enter(ctx, ""); err != nil {
		return nil, destFault(ctx, d.dialer, err, "waiting for the destination's limits").NotLanded()
	}
	start := time.Now()
	return func(err error) {
		class := fault.Class("")
		if err != nil {
			class = fault.As(err).GetClass()
		}
		d.gate.Leave("", connector.Feedback{Latency: time.Since(start), Failed: class == fault.ClassTransient})
	}, nil
}

// look passes the gate and begins a transaction that reads; done ends both.
func (d *destination) look(ctx context.Context) (c *pgconn.PgConn, done func(error), err error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	if c, err = d.begin(ctx, true); err != nil {
		leave(err)
		return nil, nil, err
	}
	return c, func(err error) { d.end(ctx, c); leave(err) }, nil
}

// Check logs in and asks who we are. The account is the database.
func (d *destination) Check(ctx context.Context) (acc connector.Account, err error) {
	c, done, err := d.look(ctx)
	if err != nil {
		return acc, err
	}
	defer func() { done(err) }()
	rows, err := query(ctx, c, "SELECT current_database(), current_user, current_setting('server_version')")
	if err != nil {
		return acc, destFault(ctx, d.dialer, err, "checking the connection").NotLanded()
	}
	db := string(rows[0][0])
	return connector.Account{ID: d.Address() + "/" + db, Name: string(rows[0][1]) + " on " + db, Version: "PostgreSQL " + string(rows[0][2])}, nil
}

// Objects describes tables: those named, or all the user may write or read.
func (d *destination) Objects(ctx context.Context, names []string) (out []connector.Object, err error) {
	c, done, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { done(err) }()
	var tables []*table
	if names == nil {
		names, tables, err = allTables(ctx, c)
	} else {
		tables, err = lookUp(ctx, c, names)
	}
	if err != nil {
		return nil, destFault(ctx, d.dialer, err, "reading the catalogue").NotLanded()
	}
	for i, t := range tables {
		if t != nil {
			d.tables.Store(names[i], t)
			out = append(out, t.object(names[i]))
		}
	}
	return out, nil
}

// allTables lists every table with the name a project would use for it.
func allTables(ctx context.Context, c *pgconn.PgConn) ([]string, []*table, error) {
	rows, err := query(ctx, c, tablesSQL)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	var tables []*table
	plain := func(s string) string {
		if strings.ContainsAny(s, `."`) {
			return ident(s)
		}
		return s
	}
	for _, r := range rows {
		t := newTable(r)
		name := plain(t.name)
		if string(r[4]) != "t" {
			name = plain(t.schema) + "." + name
		}
		names, tables = append(names, name), append(tables, t)
	}
	return names, tables, fillTables(ctx, c, tables)
}

// table gives what is known of an object, reading the catalogue on the first use.
func (d *destination) table(ctx context.Context, c *pgconn.PgConn, name string) (*table, error) {
	if t, ok := d.tables.Load(name); ok {
		return t.(*table), nil
	}
	tables, err := lookUp(ctx, c, []string{name})
	if err != nil {
		return nil, destFault(ctx, d.dialer, err, "reading the catalogue").NotLanded()
	}
	if tables[0] == nil {
		return nil, fault.New(fault.DestObjectMissing, "there is no table %q in the database", name).NotLanded()
	}
	d.tables.Store(name, tables[0])
	return tables[0], nil
}

// columnsFor finds and checks the columns of a write.
func columnsFor(t *table, object string, op connector.Op, matchNames, fieldNames []string) (match, fields []*slot, err error) {
	find := func(name string) (*slot, error) {
		if s := t.column(name); s != nil {
			return s, nil
		}
		return nil, fault.New(fault.DestFieldMissing, "table %s has no column %q", object, name).NotLanded()
	}
	for _, name := range matchNames {
		s, err := find(name)
		if err != nil {
			return nil, nil, err
		}
		match = append(match, s)
	}
	if err := checkKey(t, object, op, matchNames); err != nil {
		return nil, nil, err
	}
	if op == connector.OpDelete {
		return match, nil, nil
	}
	for _, name := range fieldNames {
		s, err := find(name)
		if err != nil {
			return nil, nil, err
		}
		fields = append(fields, s)
	}
	written := fields
	if op != connector.OpUpdate && op != connector.OpClear {
		written = slices.Concat(match, fields)
	}
	for _, s := range written {
		if s.readOnly {
			return nil, nil, fault.New(fault.DestFieldReadOnly, "column %q of table %s is generated and cannot be written", s.name, object).NotLanded()
		}
	}
	return match, fields, nil
}

// checkKey makes sure that the match identifies at most one record, as ON CONFLICT needs and a safe update demands.
func checkKey(t *table, object string, op connector.Op, match []string) error {
	if op == connector.OpAppend && !t.insertable() || t.key(match) {
		return nil
	}
	quoted := make([]string, len(match))
	for i, m := range match {
		quoted[i] = ident(m)
	}
	return fault.New(fault.DestKeyUnusable, "table %s has no unique index on (%s)", object, strings.Join(quoted, ", ")).NotLanded().
		WithFix("Match on the columns of a unique index, or create one: CREATE UNIQUE INDEX ON %s (%s);", t.quoted(), strings.Join(quoted, ", "))
}
