package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const readBatch = 1000

// ReadBack finds records by any columns. The remote id of a record is the value of its primary key, where that is one column.
// Values that cannot be carried (infinity) come back Absent.
func (d *destination) ReadBack(ctx context.Context, object connector.Object, by []string, matches [][]row.Value, fields []string) (out []connector.Found, err error) {
	out = make([]connector.Found, len(matches))
	if len(matches) == 0 {
		return out, nil
	}
	c, done, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { done(err) }()
	t, err := d.table(ctx, c, object.Name)
	if err != nil {
		return nil, err
	}
	find := func(names []string) ([]*slot, error) {
		var list []*slot
		for _, name := range names {
			s := t.column(name)
			if s == nil {
				return nil, fault.New(fault.DestFieldMissing, "table %s has no column %q", object.Name, name).NotLanded()
			}
			list = append(list, s)
		}
		return list, nil
	}
	match, err := find(by)
	if err != nil {
		return nil, err
	}
	wanted, err := find(fields)
	if err != nil {
		return nil, err
	}
	for _, k := range t.keys {
		if k.primary && len(k.columns) == 1 {
			wanted = append(wanted, t.column(k.columns[0]))
		}
	}
	g := &group{op: connector.OpDelete, table: t, match: match, data: make([][]byte, len(match)), ends: make([][]int, len(match))}
	for i, m := range matches {
		g.add(i, m, nil) // a value the column cannot hold identifies no record
	}
	if len(g.rows) == 0 {
		return out, nil
	}
	sql, formats := selectBack(g, wanted)
	params := g.params(0, len(g.rows))
	binary := make([]int16, len(params))
	for i := range binary {
		binary[i] = 1
	}
	res := c.ExecParams(ctx, sql, params, nil, binary, formats).Read()
	if res.Err != nil {
		return nil, destFault(ctx, d.dialer, res.Err, "reading records back").NotLanded()
	}
	for _, r := range res.Rows {
		o, err := strconv.Atoi(string(r[0]))
		if err != nil || o < 1 || o > len(g.rows) {
			return nil, fault.New(fault.DestAnswer, "reading records back: position %q", r[0]).NotLanded()
		}
		f := &out[g.rows[o-1]]
		if f.Exists {
			*f = connector.Found{Exists: true, Ambiguous: true}
			continue
		}
		f.Exists = true
		f.Values = make([]row.Value, len(fields))
		for i, s := range wanted {
			if v := backValue(s, r[i+1]); i < len(fields) {
				f.Values[i] = v
			} else {
				f.RemoteID = v.String()
			}
		}
	}
	return out, nil
}

func backValue(s *slot, b []byte) row.Value {
	if b == nil {
		return row.NullValue()
	}
	v, err := s.value(b)
	if err != nil {
		return row.Value{}
	}
	return v
}

// selectBack writes the query: at most two records a match, enough to see that it is ambiguous.
func selectBack(g *group, wanted []*slot) (string, []int16) {
	st := g.statement(false)
	cols, formats := []string{"u.o"}, []int16{0}
	inner := []string{"1 AS one"}
	for i, s := range wanted {
		cols = append(cols, fmt.Sprintf("x.v%d", i))
		inner = append(inner, fmt.Sprintf("d.%s AS v%d", ident(s.name), i))
		f := int16(0)
		if s.binary() {
			f = 1
		}
		formats = append(formats, f)
	}
	return st.with() + "SELECT " + strings.Join(cols, ", ") + " FROM u CROSS JOIN LATERAL (SELECT " + strings.Join(inner, ", ") +
		" FROM " + g.table.quoted() + " d WHERE " + st.onTarget() + " LIMIT 2) x", formats
}
