package redshift

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// form is how a value's text is read and what it becomes.
type form uint8

const (
	formText form = iota
	formChar      // CHAR: padding is no part of the value
	formBool
	formInt2
	formInt4
	formInt8
	formFloat4 // read as DOUBLE PRECISION, see project
	formFloat8
	formDecimal // with precision and scale: decimal128
	formNumber  // a decimal whose precision the server does not tell: its text
	formBytes   // VARBYTE, as hexadecimal digits
	formDate
	formTime
	formTimestamp
	formInstant
	formInterval
	formJSON // SUPER
)

// typ is what the connector needs to know of a type.
type typ struct {
	form form
	kind row.Kind
	name string
	cast string // what to write where the type cannot be read; "" = it can
}

// The types of Redshift by the numbers its drivers know them by:
// https://github.com/aws/amazon-redshift-python-driver/blob/master/redshift_connector/utils/oids.py
const (
	oidFloat4 = 700
	oidFloat8 = 701
)

var types = map[uint32]typ{
	16:        {form: formBool, kind: row.Bool, name: "BOOLEAN"},
	18:        {form: formText, kind: row.Text, name: `"char"`},
	19:        {form: formText, kind: row.Text, name: "NAME"},
	20:        {form: formInt8, kind: row.Int, name: "BIGINT"},
	21:        {form: formInt2, kind: row.Int, name: "SMALLINT"},
	23:        {form: formInt4, kind: row.Int, name: "INTEGER"},
	25:        {form: formText, kind: row.Text, name: "TEXT"},
	26:        {form: formInt8, kind: row.Int, name: "OID"},
	oidFloat4: {form: formFloat4, kind: row.Float, name: "REAL"},
	oidFloat8: {form: formFloat8, kind: row.Float, name: "DOUBLE PRECISION"},
	705:       {form: formText, kind: row.Text, name: "UNKNOWN"}, // a literal without a cast
	1042:      {form: formChar, kind: row.Text, name: "CHAR"},
	1043:      {form: formText, kind: row.Text, name: "VARCHAR"},
	1082:      {form: formDate, kind: row.Date, name: "DATE"},
	1083:      {form: formTime, kind: row.Time, name: "TIME"},
	1114:      {form: formTimestamp, kind: row.Timestamp, name: "TIMESTAMP"},
	1184:      {form: formInstant, kind: row.Instant, name: "TIMESTAMPTZ"},
	1186:      {form: formInterval, kind: row.Interval, name: "INTERVAL"},
	1188:      {form: formInterval, kind: row.Interval, name: "INTERVAL YEAR TO MONTH"},
	1190:      {form: formInterval, kind: row.Interval, name: "INTERVAL DAY TO SECOND"},
	1266:      {form: formText, kind: row.Text, name: "TIMETZ"},
	1700:      {form: formDecimal, kind: row.Decimal, name: "DECIMAL"},
	3000:      {name: "GEOMETRY", cast: "ST_AsEWKT(%s)"},
	3001:      {name: "GEOGRAPHY", cast: "ST_AsEWKT(%s)"},
	4000:      {form: formJSON, kind: row.JSON, name: "SUPER"},
	6551:      {form: formBytes, kind: row.Bytes, name: "VARBYTE"},
}

// column is one column of a result: its type, and the values of the batch being read.
type column struct {
	typ
	name  string
	oid   uint32
	scale int // formDecimal
	pgwire.Column
}

// result is the shape of a query's result.
type result struct {
	cols   []column
	schema *arrow.Schema
}

// plan makes the columns and the schema of a described result.
func plan(fields []pgconn.FieldDescription) (*result, error) {
	r := &result{cols: make([]column, len(fields))}
	fs := make([]arrow.Field, len(fields))
	seen := map[string]bool{}
	for i, f := range fields {
		if seen[f.Name] {
			return nil, fault.New(fault.SourceQueryFailed, "the query yields two columns named %q", f.Name).
				WithFix("Give one of them another name with AS. Redshift folds names to lower case, quoted ones too, unless enable_case_sensitive_identifier is on.")
		}
		seen[f.Name] = true
		t, ok := types[f.DataTypeOID]
		if !ok {
			t = typ{name: fmt.Sprintf("with the number %d", f.DataTypeOID), cast: "CAST(%s AS VARCHAR(65535))"}
		}
		if t.cast != "" {
			return nil, fault.New(fault.SourceTypeUnsupported, "column %q has the type %s, which cannot be carried", f.Name, t.name).
				WithFix("Write it as text in the model's SQL: "+t.cast+" AS %[1]s.", pgwire.Ident(f.Name))
		}
		c := column{typ: t, name: f.Name, oid: f.DataTypeOID}
		at := t.arrowType()
		if t.form == formDecimal {
			if p, s, ok := precision(f.TypeModifier); ok {
				at, c.scale = &arrow.Decimal128Type{Precision: p, Scale: s}, int(s)
			} else {
				c.form = formNumber
			}
		}
		c.Allocate(at)
		fs[i] = arrow.Field{Name: f.Name, Type: at, Nullable: true}
		if at == arrow.BinaryTypes.String && t.kind != row.Text {
			fs[i].Metadata = arrow.NewMetadata([]string{connector.KindKey}, []string{t.kind.String()})
		}
		r.cols[i] = c
	}
	r.schema = arrow.NewSchema(fs, nil)
	return r, nil
}

// precision reads precision and scale out of a type modifier. A DECIMAL of Redshift has at most 38 digits:
// https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html
func precision(modifier int32) (p, s int32, ok bool) {
	if modifier < 4 {
		return 0, 0, false
	}
	p, s = (modifier-4)>>16, (modifier-4)&0xFFFF
	return p, s, p > 0 && p <= 38 && s <= p
}

func (t typ) arrowType() arrow.DataType {
	switch t.form {
	case formBool:
		return arrow.FixedWidthTypes.Boolean
	case formInt2:
		return arrow.PrimitiveTypes.Int16
	case formInt4:
		return arrow.PrimitiveTypes.Int32
	case formInt8:
		return arrow.PrimitiveTypes.Int64
	case formFloat4:
		return arrow.PrimitiveTypes.Float32
	case formFloat8:
		return arrow.PrimitiveTypes.Float64
	case formBytes:
		return arrow.BinaryTypes.Binary
	case formDate:
		return arrow.FixedWidthTypes.Date32
	case formTime:
		return arrow.FixedWidthTypes.Time64us
	case formTimestamp:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case formInstant:
		return arrow.FixedWidthTypes.Timestamp_us
	case formText, formChar, formDecimal, formNumber, formInterval, formJSON:
	}
	return arrow.BinaryTypes.String
}

// add reads row i's value. It is the hot path: one switch, no calls through interfaces.
func (c *column) add(i int, b []byte) error {
	var err error
	switch c.form {
	case formText, formJSON, formNumber:
		c.Data = append(c.Data, b...)
		c.Offs[i+1] = int32(len(c.Data))
	case formChar:
		for len(b) > 0 && b[len(b)-1] == ' ' {
			b = b[:len(b)-1]
		}
		c.Data = append(c.Data, b...)
		c.Offs[i+1] = int32(len(c.Data))
	case formInt8:
		c.I64[i], err = parseInt(b, 64)
	case formInt4:
		var n int64
		n, err = parseInt(b, 32)
		c.I32[i] = int32(n)
	case formInt2:
		var n int64
		n, err = parseInt(b, 16)
		c.I16[i] = int16(n)
	case formDecimal:
		c.Wide[2*i], c.Wide[2*i+1], err = parseDecimal(b, c.scale)
	case formFloat8:
		c.I64[i], err = parseFloat8(b)
	case formFloat4:
		c.I32[i], err = parseFloat4(b)
	case formBool:
		var is byte
		is, err = parseBool(b)
		c.Bits[i>>3] |= is << (i & 7)
	case formTimestamp, formInstant:
		c.I64[i], err = parseTimestamp(b)
	case formDate:
		c.I32[i], err = parseDate(b)
	case formTime:
		c.I64[i], err = parseTime(b)
	case formBytes:
		c.Data, err = appendHex(c.Data, b)
		c.Offs[i+1] = int32(len(c.Data))
	case formInterval:
		c.Data, err = appendInterval(c.Data, b)
		c.Offs[i+1] = int32(len(c.Data))
	}
	return err
}

// unsupported explains a value that cannot be carried.
func (c *column) unsupported(err error) *fault.Error {
	f := fault.New(fault.SourceValue, "column %q (%s) holds %s, which cannot be carried exactly", c.name, c.typ.name, err)
	f.Cause = err
	if errors.Is(err, errForm) {
		return f.WithFix("Cast the column in the model's SQL: CAST(%s AS VARCHAR).", pgwire.Ident(c.name))
	}
	return f.WithFix("Filter the value, or replace it in the model's SQL: NULLIF(...) or CAST(%s AS VARCHAR).", pgwire.Ident(c.name))
}

// decode puts one DataRow message into row i of the columns.
func (r *result) decode(i int, b []byte) error {
	b, err := pgwire.Width(b, len(r.cols))
	if err != nil {
		return err
	}
	for k := range r.cols {
		v, rest, err := pgwire.Field(b)
		switch {
		case err != nil:
			return err
		case v == nil:
			r.cols[k].Null(i)
		default:
			if err := r.cols[k].add(i, v); err != nil {
				return r.cols[k].unsupported(err)
			}
		}
		b = rest
	}
	return pgwire.End(b)
}

// record shows the n rows collected as an Arrow batch over the columns' own memory.
func (r *result) record(n int) arrow.RecordBatch {
	arrs := make([]arrow.Array, len(r.cols))
	for i := range r.cols {
		arrs[i] = r.cols[i].Array(n)
	}
	return pgwire.Record(r.schema, arrs, n)
}

func (r *result) reset() {
	for i := range r.cols {
		r.cols[i].Reset()
	}
}

// project gives the select list that makes the server print every value exactly; "" where * will do. A REAL needs nine digits to be
// read back as itself, and Redshift prints eight at most; as DOUBLE PRECISION it is printed with seventeen.
// https://docs.aws.amazon.com/redshift/latest/dg/r_extra_float_digits.html
func (r *result) project() string {
	list, any := "", false
	for i := range r.cols {
		c := &r.cols[i]
		if i > 0 {
			list += ", "
		}
		name := pgwire.Ident(c.name)
		if c.form == formFloat4 {
			any = true
			list += "CAST(" + name + " AS DOUBLE PRECISION) AS "
			c.oid = oidFloat8
		}
		list += name
	}
	if !any {
		return ""
	}
	return list
}

// same reports whether the result that comes has the columns that were described.
func (r *result) same(oids []uint32) bool {
	if len(oids) != len(r.cols) {
		return false
	}
	for i, oid := range oids {
		if r.cols[i].oid != oid {
			return false
		}
	}
	return true
}
