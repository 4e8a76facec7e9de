package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// ReadBack finds records by any columns. The remote id of a record is the value of its primary key, where that is one column.
// Values that cannot be carried (zero dates) come back Absent.
func (d *destination) ReadBack(ctx context.Context, object connector.Object, by []string, matches [][]row.Value, fields []string) (out []connector.Found, err error) {
	out = make([]connector.Found, len(matches))
	if len(matches) == 0 {
		return out, nil
	}
	err = d.with(ctx, func(c *sql.Conn) error { return d.readBack(ctx, c, object, by, matches, fields, out) })
	return out, err
}

func (d *destination) readBack(ctx context.Context, c *sql.Conn, object connector.Object, by []string, matches [][]row.Value, fields []string, out []connector.Found) error {
	t, err := d.table(ctx, c, object.Name)
	if err != nil {
		return err
	}
	wanted := append([]string(nil), fields...)
	for _, k := range t.indexes {
		if k.name == "PRIMARY" && len(k.columns) == 1 {
			wanted = append(wanted, k.columns[0])
		}
	}
	cols := []string{"s.o"}
	for _, name := range wanted {
		if t.column(name) == nil {
			return fault.New(fault.DestFieldMissing, "table %s has no column %q", object.Name, name).NotLanded()
		}
		cols = append(cols, "t."+ident(name))
	}
	l := &load{d: d, c: c, t: t, to: connector.Target{Object: object, Op: connector.OpDelete, Match: by}, numbers: map[string]int{}, refused: map[uint64]connector.Result{}}
	for _, name := range by {
		s := t.column(name)
		if s == nil {
			return fault.New(fault.DestFieldMissing, "table %s has no column %q", object.Name, name).NotLanded()
		}
		l.match = append(l.match, s)
	}
	if l.limit, err = d.packetSize(ctx, c); err != nil {
		return err
	}
	if err := l.create(ctx); err != nil {
		return err
	}
	defer l.drop(ctx)
	batch := row.NewBatch(by, nil, len(matches))
	for _, m := range matches {
		batch.Add(row.Meta{}, m, nil)
	}
	if err := l.put(ctx, batch, func(i int) uint64 { return uint64(i) }); err != nil { // a value the column cannot hold identifies no record
		return err
	}
	query := "SELECT " + strings.Join(cols, ", ") + " FROM " + l.stage() + " s STRAIGHT_JOIN " + t.quoted() + " t ON " + l.on()
	err = c.Raw(func(dc any) error {
		conn, ok := dc.(driver.Conn)
		if !ok {
			return errors.New("the driver gave no connection")
		}
		return foundRows(ctx, conn, query, wanted, t, len(fields), out)
	})
	if err != nil {
		return d.destFault(ctx, err, "reading records back").NotLanded()
	}
	return nil
}

// foundRows reads the answer in the binary protocol, typed as a source's: a position, then the columns wanted, of which the
// first are fields and one more is the remote id.
func foundRows(ctx context.Context, c driver.Conn, query string, wanted []string, t *table, fields int, out []connector.Found) (err error) {
	p, ok := c.(driver.ConnPrepareContext)
	if !ok {
		return errors.New("the driver cannot prepare")
	}
	st, err := p.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // the answer has been read
	q, ok := st.(driver.StmtQueryContext)
	if !ok {
		return errors.New("the driver cannot query")
	}
	rows, err := q.QueryContext(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	types, err := backTypes(rows)
	if err != nil {
		return err
	}
	dest := make([]driver.Value, len(types))
	for {
		if err := rows.Next(dest); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		o, err := types[0].value(dest[0])
		if err != nil || o.Int() < 0 || o.Int() >= int64(len(out)) {
			return fault.New(fault.DestAnswer, "reading records back: position %v", dest[0])
		}
		f := &out[o.Int()]
		if f.Exists {
			*f = connector.Found{Exists: true, Ambiguous: true}
			continue
		}
		f.Exists = true
		for i, name := range wanted {
			v := backValue(t.column(name), types[1+i], dest[1+i])
			if i < fields {
				f.Values = append(f.Values, v)
			} else {
				f.RemoteID = v.String()
			}
		}
	}
}

func backValue(s *slot, t typ, v driver.Value) row.Value {
	w, err := t.value(v)
	switch {
	case err != nil:
		return row.Value{}
	case s.kind == row.Bool && w.Kind() == row.Int: // BIT(1)
		return row.BoolValue(w.Int() != 0)
	case s.kind.TextBacked() && w.Kind().TextBacked(): // a MariaDB uuid arrives as text
		return row.StringKind(s.kind, w.Str())
	}
	return w
}

// backTypes is typesOf for columns that may be asked for twice, or have no form we carry.
func backTypes(rows driver.Rows) ([]typ, error) {
	named, ok := rows.(driver.RowsColumnTypeDatabaseTypeName)
	if !ok {
		return nil, fmt.Errorf("the driver does not tell column types")
	}
	out := make([]typ, len(rows.Columns()))
	for i, name := range rows.Columns() {
		server := named.ColumnTypeDatabaseTypeName(i)
		form, known := forms[server]
		if !known {
			form = formBytes
		}
		out[i] = typ{name: name, server: server, form: form}
	}
	return out, nil
}
