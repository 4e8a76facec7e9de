package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// destination writes to tables of one server.
type destination struct {
	*dialer
	gate   connector.Gate
	db     *sql.DB
	tables sync.Map // object name -> *table, as the catalogue last described it

	mu     sync.Mutex
	packet int // the server's max_allowed_packet, 0 = not asked yet
}

func newDestination(d *dialer, gate connector.Gate) *destination {
	db := sql.OpenDB(d.connector)
	db.SetMaxIdleConns(4)
	db.SetConnMaxIdleTime(time.Minute)
	return &destination{dialer: d, gate: gate, db: db}
}

// Close ends idle connections.
func (d *destination) Close() error { return d.db.Close() }

// enter passes the engine's gate; leave must be called with what the request came to.
func (d *destination) enter(ctx context.Context) (leave func(error), err error) {
	if err := d.gate.Enter(ctx, ""); err != nil {
		return nil, d.destFault(ctx, err, "waiting for the destination's limits").NotLanded()
	}
	start := time.Now()
	return func(err error) {
		failed := err != nil && fault.As(err).GetClass() == fault.ClassTransient
		d.gate.Leave("", connector.Feedback{Latency: time.Since(start), Failed: failed})
	}, nil
}

// session takes a connection. back gives it back; one that met an error is closed, with whatever it had open.
func (d *destination) session(ctx context.Context) (c *sql.Conn, back func(error), err error) {
	c, err = d.db.Conn(ctx)
	if err != nil {
		return nil, nil, d.destFault(ctx, err, "connecting").NotLanded()
	}
	return c, func(err error) {
		if err != nil {
			_ = c.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // makes the pool throw it away
		}
		_ = c.Close() //nolint:errcheck // given back
	}, nil
}

// with runs a call on a session inside the engine's gate.
func (d *destination) with(ctx context.Context, call func(*sql.Conn) error) (err error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { leave(err) }()
	c, back, err := d.session(ctx)
	if err != nil {
		return err
	}
	defer func() { back(err) }()
	return call(c)
}

// Check logs in and asks who we are. The account is the server and database.
func (d *destination) Check(ctx context.Context) (acc connector.Account, err error) {
	err = d.with(ctx, func(c *sql.Conn) error {
		var user, db, version string
		if err := c.QueryRowContext(ctx, "SELECT CURRENT_USER(), COALESCE(DATABASE(), ''), VERSION()").Scan(&user, &db, &version); err != nil {
			return d.destFault(ctx, err, "checking the connection").NotLanded()
		}
		acc = connector.Account{ID: d.address() + "/" + db, Name: user + " on " + db, Version: product(version) + " " + version}
		return nil
	})
	return acc, err
}

func product(version string) string {
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return "MariaDB"
	}
	return "MySQL"
}

// Objects describes tables: those named, or all the user may see. A table without transactions is refused when it is named and
// left out of the list of all.
func (d *destination) Objects(ctx context.Context, names []string) (out []connector.Object, err error) {
	err = d.with(ctx, func(c *sql.Conn) error {
		if names == nil {
			out, err = d.allObjects(ctx, c)
			return err
		}
		for _, name := range names {
			t, err := lookUp(ctx, c, name)
			if err != nil {
				return d.destFault(ctx, err, "reading the catalogue").NotLanded()
			}
			if t == nil {
				d.tables.Delete(name)
				continue
			}
			if err := t.usable(name); err != nil {
				return err
			}
			d.tables.Store(name, t)
			out = append(out, t.object(name))
		}
		return nil
	})
	return out, err
}

func (d *destination) allObjects(ctx context.Context, c *sql.Conn) ([]connector.Object, error) {
	list, current, err := listTables(ctx, c, tablesSQL+" ORDER BY 1, 2")
	if err != nil {
		return nil, d.destFault(ctx, err, "reading the catalogue").NotLanded()
	}
	plain := func(s string) string {
		if strings.ContainsAny(s, ".`") {
			return ident(s)
		}
		return s
	}
	var out []connector.Object
	for i, t := range list {
		if !t.transactional {
			continue
		}
		if err := t.fill(ctx, c); err != nil {
			return nil, d.destFault(ctx, err, "reading the catalogue").NotLanded()
		}
		name := plain(t.name)
		if !current[i] {
			name = plain(t.schema) + "." + name
		}
		d.tables.Store(name, t)
		out = append(out, t.object(name))
	}
	return out, nil
}

// table gives what is known of an object, reading the catalogue on the first use.
func (d *destination) table(ctx context.Context, c *sql.Conn, name string) (*table, error) {
	if t, ok := d.tables.Load(name); ok {
		return t.(*table), nil
	}
	t, err := lookUp(ctx, c, name)
	if err != nil {
		return nil, d.destFault(ctx, err, "reading the catalogue").NotLanded()
	}
	if t == nil {
		return nil, fault.New(fault.DestObjectMissing, "there is no table %q in the database", name).NotLanded()
	}
	if err := t.usable(name); err != nil {
		return nil, err
	}
	d.tables.Store(name, t)
	return t, nil
}

// packetSize is how long a statement may be, asked once.
func (d *destination) packetSize(ctx context.Context, c *sql.Conn) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.packet == 0 {
		if err := c.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&d.packet); err != nil {
			d.packet = 0
			return 0, d.destFault(ctx, err, "asking for max_allowed_packet").NotLanded()
		}
	}
	return d.packet, nil
}

// Write applies a batch in one transaction: all its rows or, after an error, none.
func (d *destination) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	if rows.Len() == 0 {
		return nil
	}
	return d.with(ctx, func(c *sql.Conn) error {
		l, err := d.newLoad(ctx, c, to)
		if err != nil {
			return err
		}
		defer l.drop(ctx)
		if err := l.put(ctx, rows, func(i int) uint64 { return uint64(i) }); err != nil {
			return err
		}
		if err := l.commit(ctx); err != nil {
			return err
		}
		return l.results(ctx, func(ord uint64, r connector.Result) { out.Set(int(ord), r) })
	})
}

// columnsFor finds and checks the columns of a write.
func columnsFor(t *table, to connector.Target) (match, fields []*slot, err error) {
	if to.Op == connector.OpAdd || to.Op == connector.OpDrop {
		return nil, nil, fault.New(fault.Internal, "a table has no operation %s", to.Op).NotLanded()
	}
	find := func(names []string) ([]*slot, error) {
		out := make([]*slot, len(names))
		for i, name := range names {
			if out[i] = t.column(name); out[i] == nil {
				return nil, fault.New(fault.DestFieldMissing, "table %s has no column %q", to.Object.Name, name).NotLanded()
			}
		}
		return out, nil
	}
	if match, err = find(to.Match); err != nil {
		return nil, nil, err
	}
	if fields, err = find(to.Fields); err != nil {
		return nil, nil, err
	}
	needed := to.Op != connector.OpAppend || t.insertable()
	if needed && t.key(to.Match) == nil {
		return nil, nil, fault.New(fault.DestKeyUnusable, "table %s has no unique index on (%s)", to.Object.Name, strings.Join(to.Match, ", ")).
			WithFix("ALTER TABLE %s ADD UNIQUE (%s);", t.quoted(), list(to.Match, ident)).NotLanded()
	}
	inserts := slices.Contains([]connector.Op{connector.OpUpsert, connector.OpInsert, connector.OpAppend}, to.Op)
	for _, s := range slices.Concat(match, fields) {
		if s.generated || inserts && !s.creatable || !inserts && !s.updatable && slices.Contains(fields, s) {
			return nil, nil, fault.New(fault.DestFieldReadOnly, "column %q of table %s cannot be written", s.name, to.Object.Name).
				WithFix("Leave it out of the mapping, or grant the right to write it; generated and spatial columns are never written.").NotLanded()
		}
	}
	return match, fields, nil
}

// list joins names written by quote.
func list(names []string, quote func(string) string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}
