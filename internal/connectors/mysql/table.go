package mysql

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// table is a target as information_schema describes it.
type table struct {
	schema        string
	name          string
	engine        string
	transactional bool
	columns       []*slot
	indexes       []index // unique ones
}

// index is a unique index. It identifies records when whole columns make it up.
type index struct {
	name    string
	columns []string
	partial bool // of prefixes or expressions
}

func (t *table) quoted() string { return ident(t.schema) + "." + ident(t.name) }

func (t *table) column(name string) *slot {
	for _, c := range t.columns {
		if c.name == name {
			return c
		}
	}
	return nil
}

// key finds the unique index of exactly these columns, in any order.
func (t *table) key(columns []string) *index {
	for i, k := range t.indexes {
		if k.partial || len(k.columns) != len(columns) {
			continue
		}
		if !slices.ContainsFunc(k.columns, func(c string) bool { return !slices.Contains(columns, c) }) {
			return &t.indexes[i]
		}
	}
	return nil
}

// insertable reports whether some key is given by the writer and not by the server, so that a repeated insert is noticed.
func (t *table) insertable() bool {
	return slices.ContainsFunc(t.indexes, func(k index) bool {
		return !k.partial && !slices.ContainsFunc(k.columns, func(name string) bool { c := t.column(name); return c == nil || c.auto || !c.creatable })
	})
}

// ofKey finds the unique index a duplicate-key message names: 'index' or 'table.index'.
func (t *table) ofKey(message string) *index {
	i := strings.LastIndex(message, " for key ") // the value before it may hold anything
	if i < 0 {
		return nil
	}
	name := strings.Trim(message[i+len(" for key "):], "'`\"")
	for i, k := range t.indexes {
		if name == k.name || name == t.name+"."+k.name {
			return &t.indexes[i]
		}
	}
	return nil
}

// MariaDB has no column EXPRESSION; an index over an expression has a null COLUMN_NAME in MySQL.
// https://dev.mysql.com/doc/refman/8.4/en/information-schema-statistics-table.html
const (
	tablesSQL = `SELECT t.TABLE_SCHEMA, t.TABLE_NAME, COALESCE(t.ENGINE, ''), COALESCE(e.TRANSACTIONS, 'NO') = 'YES', t.TABLE_SCHEMA = COALESCE(DATABASE(), '')
  FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
 WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND t.TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`
	columnsSQL = `SELECT COLUMN_NAME, LOWER(DATA_TYPE), COLUMN_TYPE, IS_NULLABLE = 'YES', COLUMN_DEFAULT IS NOT NULL, LOWER(EXTRA), COALESCE(GENERATION_EXPRESSION, '') <> '',
       COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), COALESCE(CHARACTER_OCTET_LENGTH, 0), COALESCE(NUMERIC_PRECISION, 0), COALESCE(NUMERIC_SCALE, -1), COALESCE(DATETIME_PRECISION, 0),
       COALESCE(CHARACTER_SET_NAME, ''), COALESCE(COLLATION_NAME, ''), LOWER(PRIVILEGES)
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`
	indexesSQL = `SELECT INDEX_NAME, COALESCE(COLUMN_NAME, ''), SUB_PART IS NOT NULL OR COLUMN_NAME IS NULL
  FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`
)

// lookUp finds a table by the name a project uses; nil where there is none.
func lookUp(ctx context.Context, c *sql.Conn, name string) (*table, error) {
	parts := connector.SplitName(name, '`')
	if len(parts) > 2 {
		return nil, nil //nolint:nilnil // no such table
	}
	want := parts[len(parts)-1]
	sql, args := tablesSQL+" AND t.TABLE_NAME = ? AND t.TABLE_SCHEMA = COALESCE(DATABASE(), '')", []any{want}
	if len(parts) == 2 {
		sql, args = tablesSQL+" AND t.TABLE_NAME = ? AND t.TABLE_SCHEMA = ?", []any{want, parts[0]}
	}
	found, _, err := listTables(ctx, c, sql, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	t := found[0] // names that differ only in case are one table or told apart by the server's own rule
	for _, f := range found {
		if f.name == want {
			t = f
		}
	}
	return t, t.fill(ctx, c)
}

// listTables runs tablesSQL; current says which tables are in the connection's own database.
func listTables(ctx context.Context, c *sql.Conn, query string, args ...any) (list []*table, current []bool, err error) {
	err = each(ctx, c, query, args, func(rows *sql.Rows) error {
		var t table
		var own bool
		if err := rows.Scan(&t.schema, &t.name, &t.engine, &t.transactional, &own); err != nil {
			return err
		}
		list, current = append(list, &t), append(current, own)
		return nil
	})
	return list, current, err
}

// fill reads columns and unique indexes.
func (t *table) fill(ctx context.Context, c *sql.Conn) error {
	err := each(ctx, c, columnsSQL, []any{t.schema, t.name}, func(rows *sql.Rows) error {
		s := &slot{}
		var extra, rights string
		var generated bool
		if err := rows.Scan(&s.name, &s.data, &s.column, &s.nullable, &s.hasDefault, &extra, &generated, &s.maxChars, &s.maxOctets, &s.precision, &s.scale,
			&s.fraction, &s.charset, &s.collation, &rights); err != nil {
			return err
		}
		s.prepare(extra, rights, generated)
		t.columns = append(t.columns, s)
		return nil
	})
	if err != nil {
		return err
	}
	return each(ctx, c, indexesSQL, []any{t.schema, t.name}, func(rows *sql.Rows) error {
		var name, column string
		var part bool
		if err := rows.Scan(&name, &column, &part); err != nil {
			return err
		}
		if n := len(t.indexes); n == 0 || t.indexes[n-1].name != name {
			t.indexes = append(t.indexes, index{name: name})
		}
		k := &t.indexes[len(t.indexes)-1]
		k.columns, k.partial = append(k.columns, column), k.partial || part
		return nil
	})
}

// each runs a query and hands its rows over one by one.
func each(ctx context.Context, c *sql.Conn, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

const (
	maxRows   = 10_000
	maxBytes  = 16 << 20
	readBatch = 1000
)

// object describes the table to the engine.
func (t *table) object(name string) connector.Object {
	o := connector.Object{Name: name, Label: t.schema + "." + t.name, Kind: connector.KindTable, CanMove: true, ReadBatch: readBatch}
	inKey := map[string]bool{}
	for _, k := range t.indexes {
		if !k.partial {
			o.Keys = append(o.Keys, k.columns)
			for _, c := range k.columns {
				inKey[c] = true
			}
		}
	}
	for _, c := range t.columns {
		f := connector.Field{
			Name: c.name, Label: c.name, Kind: c.kind, Creatable: c.creatable, Updatable: c.updatable, Required: c.required(), Nullable: c.nullable,
			Unique: t.key([]string{c.name}) != nil, Match: inKey[c.name], FoldCase: c.foldCase(), TrimSpace: c.padSpace(), NoNaN: c.kind == row.Float,
		}
		f.Bits, f.Unsigned, f.Step, f.Single = c.width(), c.unsigned, c.step(), c.data == "float"
		switch c.data {
		case "tinytext", "text", "mediumtext", "longtext", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
			f.MaxBytes = int(c.maxOctets)
		case "char", "varchar":
			f.MaxLength = int(c.maxChars)
		case "decimal":
			f.Precision, f.Scale = int(c.precision), int(c.scale)
		case "enum":
			f.Choices, f.Restricted = c.choices, true
		case "set":
			f.Choices = c.choices
		}
		o.Fields = append(o.Fields, f)
	}
	op := connector.Operation{MaxRows: maxRows, MaxBytes: maxBytes, Concurrency: 4, Idempotent: true, Partial: true}
	o.Ops = map[connector.Op]connector.Operation{}
	if len(o.Keys) > 0 {
		for _, k := range []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpDelete, connector.OpClear} {
			o.Ops[k] = op
		}
		insert := op
		insert.Idempotent = false // repeating an insert that landed would report ALREADY_EXISTS
		o.Ops[connector.OpInsert] = insert
	}
	add := op
	add.Idempotent = t.insertable() // an event that exists already is one sent before
	o.Ops[connector.OpAppend] = add
	return o
}

// usable refuses a table whose engine cannot take back half a batch.
func (t *table) usable(name string) error {
	if t.transactional {
		return nil
	}
	return fault.New(fault.DestConfig, "table %q uses the engine %s, which has no transactions: a batch that fails half-way could not be taken back", name, t.engine).
		WithFix("ALTER TABLE %s ENGINE=InnoDB;", t.quoted()).NotLanded()
}
