package mysql

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/row"
)

// form is how the driver gives a column's values.
type form uint8

const (
	formInt form = iota
	formUint
	formFloat32
	formFloat64
	formDecimal
	formText
	formBytes
	formJSON
	formBit
	formDate
	formTime
	formDatetime  // without zone
	formTimestamp // an instant: the session is in UTC
	formNull
)

// typ is a column of a result.
type typ struct {
	name   string
	server string // the server's name of the type
	form   form
}

var forms = map[string]form{
	"TINYINT": formInt, "SMALLINT": formInt, "MEDIUMINT": formInt, "INT": formInt, "BIGINT": formInt, "YEAR": formInt,
	"UNSIGNED TINYINT": formInt, "UNSIGNED SMALLINT": formInt, "UNSIGNED MEDIUMINT": formInt, "UNSIGNED INT": formInt, "UNSIGNED BIGINT": formUint,
	"FLOAT": formFloat32, "DOUBLE": formFloat64, "DECIMAL": formDecimal, "BIT": formBit,
	"CHAR": formText, "VARCHAR": formText, "TINYTEXT": formText, "TEXT": formText, "MEDIUMTEXT": formText, "LONGTEXT": formText, "ENUM": formText, "SET": formText,
	"BINARY": formBytes, "VARBINARY": formBytes, "TINYBLOB": formBytes, "BLOB": formBytes, "MEDIUMBLOB": formBytes, "LONGBLOB": formBytes,
	"JSON": formJSON, "DATE": formDate, "TIME": formTime, "DATETIME": formDatetime, "TIMESTAMP": formTimestamp, "NULL": formNull,
}

// field is the Arrow column that carries the type.
func (t typ) field() arrow.Field {
	switch t.form {
	case formFloat32:
		return arrow.Field{Name: t.name, Type: arrow.PrimitiveTypes.Float32, Nullable: true}
	case formTime:
		return arrow.Field{Name: t.name, Type: arrow.FixedWidthTypes.Time64us, Nullable: true}
	case formInt, formUint, formFloat64, formDecimal, formText, formBytes, formJSON, formBit, formDate, formDatetime, formTimestamp, formNull:
	}
	return row.FieldOf(t.name, t.kind())
}

func (t typ) kind() row.Kind {
	return [...]row.Kind{
		formInt: row.Int, formUint: row.Uint, formFloat32: row.Float, formFloat64: row.Float, formDecimal: row.Decimal, formText: row.Text, formBytes: row.Bytes,
		formJSON: row.JSON, formBit: row.Uint, formDate: row.Date, formTime: row.Time, formDatetime: row.Timestamp, formTimestamp: row.Instant, formNull: row.Text,
	}[t.form]
}

// Values the server can hold and the program cannot carry exactly; the caller adds column and cast.
var (
	errZeroDate  = errors.New("a date with zeros in it")
	errTimeRange = errors.New("a time that is not a time of day")
	errShape     = errors.New("a value in a form not expected")
)

// add appends one value of the driver to the Arrow column.
func (t typ) add(b array.Builder, v driver.Value) error {
	if v == nil {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		if n, ok := v.(int64); ok {
			b.Append(n)
			return nil
		}
	case *array.StringBuilder:
		if s, ok := v.([]byte); ok {
			b.BinaryBuilder.Append(s)
			return nil
		}
	case *array.BinaryBuilder:
		if s, ok := v.([]byte); ok {
			b.Append(s)
			return nil
		}
	case *array.Float64Builder:
		if f, ok := v.(float64); ok {
			b.Append(f)
			return nil
		}
	case *array.Float32Builder:
		if f, ok := v.(float32); ok {
			b.Append(f)
			return nil
		}
	case *array.Uint64Builder:
		n, err := unsigned(t.form, v)
		if err == nil {
			b.Append(n)
		}
		return err
	case *array.Date32Builder:
		sec, _, err := moment(v)
		if err == nil {
			b.Append(arrow.Date32(sec / 86400))
		}
		return err
	case *array.TimestampBuilder:
		sec, nanos, err := moment(v)
		if err == nil {
			b.Append(arrow.Timestamp(sec*1e6 + int64(nanos)/1000))
		}
		return err
	case *array.Time64Builder:
		micros, err := clock(v)
		if err == nil {
			b.Append(arrow.Time64(micros))
		}
		return err
	}
	return errShape
}

// value boxes one value of the driver.
func (t typ) value(v driver.Value) (row.Value, error) {
	if v == nil {
		return row.NullValue(), nil
	}
	text, isText := v.([]byte)
	switch t.form {
	case formInt:
		if n, ok := v.(int64); ok {
			return row.IntValue(n), nil
		}
	case formUint, formBit:
		n, err := unsigned(t.form, v)
		return row.UintValue(n), err
	case formFloat32:
		if f, ok := v.(float32); ok {
			d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
			return row.FloatValue(d), err
		}
	case formFloat64:
		if f, ok := v.(float64); ok {
			return row.FloatValue(f), nil
		}
	case formDate:
		sec, _, err := moment(v)
		return row.DateValue(sec / 86400), err
	case formDatetime:
		sec, nanos, err := moment(v)
		return row.TimestampValue(sec, nanos), err
	case formTimestamp:
		sec, nanos, err := moment(v)
		return row.InstantValue(sec, nanos), err
	case formTime:
		micros, err := clock(v)
		return row.TimeValue(micros * 1000), err
	case formDecimal, formText, formBytes, formJSON, formNull:
		if isText {
			return row.StringKind(t.kind(), string(text)), nil
		}
	}
	return row.Value{}, errShape
}

// unsigned reads a BIGINT UNSIGNED (text above the signed range) or the bytes of a BIT.
func unsigned(f form, v driver.Value) (uint64, error) {
	switch v := v.(type) {
	case int64:
		return uint64(v), nil
	case []byte:
		if f == formBit {
			n := uint64(0)
			for _, c := range v {
				n = n<<8 | uint64(c)
			}
			return n, nil
		}
		return strconv.ParseUint(string(v), 10, 64)
	}
	return 0, errShape
}

// moment reads DATE, DATETIME and TIMESTAMP: 2006-01-02[ 15:04:05[.999999]]. Years from 0000 are dates, zeros in month or day
// are not (https://dev.mysql.com/doc/refman/8.4/en/date-and-time-types.html).
func moment(v driver.Value) (sec int64, nanos uint32, err error) {
	b, ok := v.([]byte)
	if !ok || len(b) < 10 {
		return 0, 0, errShape
	}
	y, mo, d := digits(b[0:4]), digits(b[5:7]), digits(b[8:10])
	if mo == 0 || d == 0 {
		return 0, 0, errZeroDate
	}
	h, mi, s := 0, 0, 0
	if len(b) >= 19 {
		h, mi, s = digits(b[11:13]), digits(b[14:16]), digits(b[17:19])
	}
	t := time.Date(y, time.Month(mo), d, h, mi, s, 0, time.UTC)
	if t.Day() != d { // the 31st of a shorter month, with ALLOW_INVALID_DATES
		return 0, 0, errZeroDate
	}
	if len(b) > 20 {
		frac := b[20:]
		nanos = uint32(digits(frac))
		for range 9 - len(frac) {
			nanos *= 10
		}
	}
	return t.Unix(), nanos, nil
}

func digits(b []byte) int {
	n := 0
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n
}

// clock reads a TIME as microseconds since midnight.
func clock(v driver.Value) (int64, error) {
	b, ok := v.([]byte)
	if !ok || len(b) < 8 {
		return 0, errShape
	}
	if b[0] == '-' || b[2] != ':' {
		return 0, errTimeRange
	}
	h, m, s := digits(b[0:2]), digits(b[3:5]), digits(b[6:8])
	if h > 23 {
		return 0, errTimeRange
	}
	micros := int64(h*3600+m*60+s) * 1_000_000
	if len(b) > 9 {
		f := int64(digits(b[9:]))
		for range 6 - len(b[9:]) {
			f *= 10
		}
		micros += f
	}
	return micros, nil
}

// remedy is the SQL that makes a value of this type carriable.
func (t typ) remedy(err error) string {
	col := ident(t.name)
	switch {
	case errors.Is(err, errZeroDate):
		return fmt.Sprintf("Write it in the model as NULLIF(%s, 0), or CAST(%s AS CHAR) to keep its text.", col, col)
	case errors.Is(err, errTimeRange):
		return fmt.Sprintf("Write it in the model as CAST(%s AS CHAR), or TIME_TO_SEC(%s).", col, col)
	}
	switch strings.ToUpper(t.server) {
	case "GEOMETRY":
		return fmt.Sprintf("Write it in the model as ST_AsText(%s) or ST_AsGeoJSON(%s).", col, col)
	}
	return fmt.Sprintf("Cast it in the model: CAST(%s AS CHAR).", col)
}
