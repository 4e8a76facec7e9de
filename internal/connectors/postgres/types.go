package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/row"
)

// form is how a value travels on the wire and what it becomes. The binary formats are those of the types' send functions:
// https://github.com/postgres/postgres/tree/REL_15_STABLE/src/backend/utils/adt
type form uint8

const (
	formText form = iota // text format: the type's own output
	formBool
	formInt2
	formInt4
	formInt8
	formOID
	formFloat4
	formFloat8
	formNumeric
	formBytea
	formDate
	formTime
	formTimestamp
	formTimestamptz
	formInterval
	formUUID
	formJSON
	formJSONB
	formString       // text in binary format: the bytes as they are
	formArray        // binary array of a form with a binary decoder
	formArrayLiteral // array in text format, elements as texts
)

// typ is what the connector needs to know of a type.
type typ struct {
	oid  uint32
	form form
	kind row.Kind
	name string // for messages and casts: pg_catalog.format_type without a modifier
	elem *typ   // of arrays
	// comma separates elements in an array's text form.
	comma byte
	enum  bool
}

// binary reports whether results of the type are asked for in binary format.
func (t *typ) binary() bool { return t.form != formText && t.form != formArrayLiteral }

// Built-in types have fixed OIDs: https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_type.dat
var builtin = func() map[uint32]*typ {
	m := map[uint32]*typ{}
	for _, b := range []struct {
		oid, array uint32
		form       form
		kind       row.Kind
		name       string
	}{
		{16, 1000, formBool, row.Bool, "boolean"},
		{17, 1001, formBytea, row.Bytes, "bytea"},
		{19, 1003, formString, row.Text, "name"},
		{20, 1016, formInt8, row.Int, "bigint"},
		{21, 1005, formInt2, row.Int, "smallint"},
		{23, 1007, formInt4, row.Int, "integer"},
		{25, 1009, formString, row.Text, "text"},
		{26, 1028, formOID, row.Int, "oid"},
		{114, 199, formJSON, row.JSON, "json"},
		{700, 1021, formFloat4, row.Float, "real"},
		{701, 1022, formFloat8, row.Float, "double precision"},
		{1042, 1014, formString, row.Text, "bpchar"},
		{1043, 1015, formString, row.Text, "character varying"},
		{1082, 1182, formDate, row.Date, "date"},
		{1083, 1183, formTime, row.Time, "time without time zone"},
		{1114, 1115, formTimestamp, row.Timestamp, "timestamp without time zone"},
		{1184, 1185, formTimestamptz, row.Instant, "timestamp with time zone"},
		{1186, 1187, formInterval, row.Interval, "interval"},
		{1700, 1231, formNumeric, row.Decimal, "numeric"},
		{2950, 2951, formUUID, row.UUID, "uuid"},
		{3802, 3807, formJSONB, row.JSON, "jsonb"},
	} {
		t := &typ{oid: b.oid, form: b.form, kind: b.kind, name: b.name}
		m[b.oid] = t
		m[b.array] = &typ{oid: b.array, form: formArray, kind: row.Array, name: b.name + "[]", elem: t, comma: ','}
	}
	return m
}()

const typesSQL = `SELECT t.oid, t.typtype, t.typcategory, t.typelem, t.typlen, t.typbasetype, t.typdelim, pg_catalog.format_type(t.oid, -1), e.typdelim
  FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem WHERE t.oid = ANY($1::oid[])`

// resolveTypes finds out about types the program does not know by number: domains, enums, extensions' types, and arrays of them.
func resolveTypes(ctx context.Context, c *pgconn.PgConn, oids []uint32) (map[uint32]*typ, error) {
	found := map[uint32]*typ{}
	base := map[uint32]uint32{}  // domain -> base type
	elems := map[uint32]uint32{} // array -> element type
	ask := oids
	for len(ask) > 0 {
		var list []string
		for _, oid := range ask {
			if t, ok := builtin[oid]; ok {
				found[oid] = t
			} else if found[oid] == nil {
				list = append(list, strconv.FormatUint(uint64(oid), 10))
			}
		}
		ask = nil
		if len(list) == 0 {
			break
		}
		rows, err := query(ctx, c, typesSQL, []byte("{"+strings.Join(list, ",")+"}"))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			oid := parseOID(r[0])
			t := &typ{oid: oid, form: formText, kind: row.Text, name: string(r[7])}
			found[oid] = t
			switch {
			case r[1][0] == 'd':
				base[oid] = parseOID(r[5])
				ask = append(ask, base[oid])
			case r[2][0] == 'A' && string(r[4]) == "-1" && parseOID(r[3]) != 0:
				elems[oid] = parseOID(r[3])
				t.kind, t.comma = row.Array, ','
				if len(r[8]) == 1 {
					t.comma = r[8][0]
				}
				ask = append(ask, elems[oid])
			case r[1][0] == 'e':
				t.form, t.enum = formString, true
			}
		}
		for _, s := range list { // a type dropped meanwhile still has a text form
			oid := parseOID([]byte(s))
			if found[oid] == nil {
				found[oid] = &typ{oid: oid, form: formText, kind: row.Text, name: "text"}
			}
		}
	}
	final := func(oid uint32) *typ {
		for base[oid] != 0 {
			oid = base[oid]
		}
		return found[oid]
	}
	for oid, elem := range elems {
		t := found[oid]
		t.elem, t.form = final(elem), formArrayLiteral
		if t.elem.binary() && t.elem.form != formArray {
			t.form = formArray
		}
	}
	out := map[uint32]*typ{}
	for _, oid := range oids {
		out[oid] = final(oid)
	}
	return out, nil
}

func parseOID(b []byte) uint32 {
	n, _ := strconv.ParseUint(string(b), 10, 32) //nolint:errcheck // the server prints oids as digits
	return uint32(n)
}
