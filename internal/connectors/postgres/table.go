package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// table is a target as the catalogue describes it.
type table struct {
	oid         uint32
	schema      string
	name        string
	partitioned bool
	columns     []*slot
	keys        []uniqueKey
}

// uniqueKey is a unique index that ON CONFLICT can use.
type uniqueKey struct {
	index   string
	primary bool
	columns []string
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

// key reports whether exactly these columns have a unique index, in any order.
func (t *table) key(columns []string) bool {
	return slices.ContainsFunc(t.keys, func(k uniqueKey) bool { return sameSet(k.columns, columns) })
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}

// insertable reports whether some unique key can be given when inserting (not a generated identity).
func (t *table) insertable() bool {
	return slices.ContainsFunc(t.keys, func(k uniqueKey) bool {
		return !slices.ContainsFunc(k.columns, func(c string) bool { return !t.column(c).creatable })
	})
}

const tablesSQL = `SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_table_is_visible(c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
   AND pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 2, 3`

// A domain is followed to its base type; its length or precision and its NOT NULL count for the column.
const columnsSQL = `WITH RECURSIVE d(rel, num, typ, mod, nn) AS (
  SELECT a.attrelid, a.attnum, a.atttypid, a.atttypmod, a.attnotnull FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT d.rel, d.num, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE d.mod END, d.nn OR t.typnotnull
    FROM d JOIN pg_catalog.pg_type t ON t.oid = d.typ WHERE t.typtype = 'd')
SELECT a.attrelid, a.attnum, a.attname, d.typ, d.mod, d.nn, a.atthasdef, a.attidentity <> '', a.attidentity = 'a' OR a.attgenerated <> '',
       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT'), pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
       COALESCE((SELECT NOT collisdeterministic FROM pg_catalog.pg_collation WHERE oid = a.attcollation), false),
       t.typname, COALESCE((SELECT pg_catalog.array_to_json(pg_catalog.array_agg(e.enumlabel ORDER BY e.enumsortorder)) FROM pg_catalog.pg_enum e WHERE e.enumtypid = d.typ), '[]')
  FROM d JOIN pg_catalog.pg_type t ON t.oid = d.typ AND t.typtype <> 'd'
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.rel AND a.attnum = d.num ORDER BY 1, 2`

// Only indexes ON CONFLICT can infer from columns alone: unique, valid, not partial, not deferrable, no expressions.
// https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT
const indexesSQL = `SELECT i.indrelid, c.relname, i.indkey::text, i.indnkeyatts, i.indisprimary FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = ANY($1::oid[]) AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY i.indrelid, i.indisprimary DESC, c.relname`

// lookUp finds tables by the names of a project, in the same order; nil where there is none.
func lookUp(ctx context.Context, c *pgconn.PgConn, names []string) ([]*table, error) {
	out := make([]*table, len(names))
	for i, name := range names {
		parts := connector.SplitName(name, '"')
		if len(parts) > 2 || strings.Contains(name, "\x00") {
			continue
		}
		for k := range parts {
			parts[k] = ident(parts[k])
		}
		rows, err := query(ctx, c, `SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = pg_catalog.to_regclass($1::text) AND c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`, []byte(strings.Join(parts, ".")))
		if err != nil {
			return nil, err
		}
		if len(rows) == 1 {
			out[i] = newTable(rows[0])
		}
	}
	return out, fillTables(ctx, c, out)
}

func newTable(r [][]byte) *table {
	return &table{oid: parseOID(r[0]), schema: string(r[1]), name: string(r[2]), partitioned: string(r[3]) == "p"}
}

// fillTables reads columns and unique indexes of tables.
func fillTables(ctx context.Context, c *pgconn.PgConn, tables []*table) error {
	byOID := map[uint32][]*table{}
	var list []string
	for _, t := range tables {
		if t != nil {
			byOID[t.oid] = append(byOID[t.oid], t)
			list = append(list, strconv.FormatUint(uint64(t.oid), 10))
		}
	}
	if len(list) == 0 {
		return nil
	}
	oids := []byte("{" + strings.Join(list, ",") + "}")
	rows, err := query(ctx, c, columnsSQL, oids)
	if err != nil {
		return err
	}
	var typeOIDs []uint32
	for _, r := range rows {
		typeOIDs = append(typeOIDs, parseOID(r[3]))
	}
	types, err := resolveTypes(ctx, c, typeOIDs)
	if err != nil {
		return err
	}
	yes := func(b []byte) bool { return string(b) == "t" }
	names := map[uint32]map[string]string{}
	for _, r := range rows {
		rel := parseOID(r[0])
		mod, err := strconv.ParseInt(string(r[4]), 10, 32)
		if err != nil {
			return fmt.Errorf("reading a type modifier: %w", err)
		}
		s := &slot{
			typ: types[parseOID(r[3])], name: string(r[2]), mod: int32(mod), notNull: yes(r[5]), hasDefault: yes(r[6]) || yes(r[7]),
			creatable: !yes(r[8]) && yes(r[9]), updatable: !yes(r[8]) && yes(r[10]), readOnly: yes(r[8]),
			loose: yes(r[11]), foldCase: string(r[12]) == "citext" || yes(r[11]), choices: jsonStrings(r[13]),
		}
		s.prepare(c.ParameterStatus("server_encoding"))
		for _, t := range byOID[rel] {
			t.columns = append(t.columns, s)
		}
		if names[rel] == nil {
			names[rel] = map[string]string{}
		}
		names[rel][string(r[1])] = s.name
	}
	if rows, err = query(ctx, c, indexesSQL, oids); err != nil {
		return err
	}
	for _, r := range rows {
		rel := parseOID(r[0])
		n, err := strconv.Atoi(string(r[3]))
		if err != nil {
			return fmt.Errorf("reading an index: %w", err)
		}
		k := uniqueKey{index: string(r[1]), primary: yes(r[4])}
		for _, num := range strings.Fields(string(r[2]))[:n] {
			k.columns = append(k.columns, names[rel][num])
		}
		for _, t := range byOID[rel] {
			t.keys = append(t.keys, k)
		}
	}
	return nil
}

// object describes the table to the engine.
func (t *table) object(name string) connector.Object {
	o := connector.Object{Name: name, Label: t.schema + "." + t.name, Kind: connector.KindTable, CanMove: true, ReadBatch: readBatch}
	inKey := map[string]bool{}
	for _, k := range t.keys {
		o.Keys = append(o.Keys, k.columns)
		for _, c := range k.columns {
			inKey[c] = true
		}
	}
	for _, c := range t.columns {
		f := connector.Field{
			Name: c.name, Label: c.name, Kind: c.kind, Creatable: c.creatable, Updatable: c.updatable,
			Required: c.notNull && !c.hasDefault && !c.readOnly, Nullable: !c.notNull, Unique: t.key([]string{c.name}), Match: inKey[c.name],
			FoldCase: c.foldCase, TrimSpace: c.oid == bpcharOID, MaxLength: c.maxLength(), Choices: c.choices, Restricted: len(c.choices) > 0,
			NoNUL: c.kind == row.Text, Bits: c.width(), Single: c.form == formFloat4, Step: c.step(),
		}
		if c.form == formNumeric && c.mod >= 4 {
			f.Precision, f.Scale = c.precision()
		}
		o.Fields = append(o.Fields, f)
	}
	op := connector.Operation{MaxRows: 10_000, MaxBytes: 16 << 20, Concurrency: 4, Idempotent: true, Partial: true}
	o.Ops = map[connector.Op]connector.Operation{}
	if len(t.keys) > 0 {
		for _, k := range []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpDelete, connector.OpClear} {
			o.Ops[k] = op
		}
		insert := op
		insert.Idempotent = false // repeating an insert that landed would report ALREADY_EXISTS
		o.Ops[connector.OpInsert] = insert
	}
	add := op
	add.Idempotent = t.insertable()
	o.Ops[connector.OpAppend] = add
	return o
}
