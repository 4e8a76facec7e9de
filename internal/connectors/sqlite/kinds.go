package sqlite

import (
	"database/sql/driver"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// column is one column of a result.
type column struct {
	name     string
	declared string   // "" = an expression
	kind     row.Kind // Absent = not known yet
}

func schemaOf(cols []column) *arrow.Schema {
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fields[i] = row.FieldOf(c.name, c.kind)
	}
	return arrow.NewSchema(fields, nil)
}

// kindOf reads a declared type: names with a meaning of their own first, then SQLite's rules of affinity
// (https://www.sqlite.org/datatype3.html#determination_of_column_affinity).
func kindOf(declared string) row.Kind {
	name := strings.ToUpper(strings.TrimSpace(declared))
	word, _, _ := strings.Cut(name, "(")
	word = strings.TrimSpace(word)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(name, p) {
				return true
			}
		}
		return false
	}
	switch {
	case word == "":
		return row.Absent
	case has("BOOL"):
		return row.Bool
	case word == "TIMESTAMPTZ", has("WITH TIME ZONE"):
		return row.Instant
	case strings.HasPrefix(word, "DATETIME"), strings.HasPrefix(word, "TIMESTAMP"):
		return row.Timestamp
	case word == "DATE":
		return row.Date
	case word == "TIME":
		return row.Time
	case word == "JSON":
		return row.JSON
	case word == "UUID", word == "GUID":
		return row.UUID
	case has("INT"):
		return row.Int
	case has("CHAR", "CLOB", "TEXT"):
		return row.Text
	case has("BLOB"):
		return row.Bytes
	case has("REAL", "FLOA", "DOUB"):
		return row.Float
	}
	return row.Decimal
}

// kindOfValue is the kind an expression's first value gives it.
func kindOfValue(v driver.Value) row.Kind {
	switch v.(type) {
	case int64:
		return row.Int
	case float64:
		return row.Float
	case string:
		return row.Text
	case []byte:
		return row.Bytes
	}
	return row.Absent
}

// value carries what SQLite stored as the column's kind, exactly, or says why it cannot.
func (c *column) value(v driver.Value) (row.Value, error) {
	switch v := v.(type) {
	case nil:
		return row.NullValue(), nil
	case int64:
		switch c.kind {
		case row.Int:
			return row.IntValue(v), nil
		case row.Decimal:
			return row.DecimalValue(strconv.FormatInt(v, 10)), nil
		case row.Float:
			if f := float64(v); f > -(1<<63) && f < 1<<63 && int64(f) == v {
				return row.FloatValue(f), nil
			}
		case row.Bool:
			if v == 0 || v == 1 {
				return row.BoolValue(v == 1), nil
			}
		case row.JSON: // JSON has the affinity NUMERIC: SQLite keeps a document that is a number as one
			return row.StringKind(row.JSON, strconv.FormatInt(v, 10)), nil
		default: // refused below
		}
		return row.Value{}, c.refuse(fmt.Sprintf("the integer %d", v))
	case float64:
		switch {
		case c.kind == row.Float:
			return row.FloatValue(v), nil
		case c.kind == row.Decimal && !math.IsInf(v, 0) && !math.IsNaN(v):
			return row.DecimalValue(strconv.FormatFloat(v, 'f', -1, 64)), nil
		case c.kind == row.JSON && !math.IsInf(v, 0) && !math.IsNaN(v):
			return row.StringKind(row.JSON, row.FloatValue(v).String()), nil
		}
		return row.Value{}, c.refuse("a real number")
	case string:
		switch c.kind {
		case row.Text:
			return row.TextValue(v), nil
		case row.Decimal, row.Date, row.Time, row.Timestamp, row.Instant, row.JSON, row.UUID:
			if w, err := row.ParseText(c.kind, v); err == nil {
				return w, nil
			}
		default: // refused below
		}
		return row.Value{}, c.refuse(fmt.Sprintf("a text of %d bytes", len(v)))
	case []byte:
		if c.kind == row.Bytes {
			return row.BytesValue(v), nil
		}
		return row.Value{}, c.refuse("a blob")
	}
	return row.Value{}, c.refuse(fmt.Sprintf("a %T", v))
}

// refuse explains a value of another class, and how to write the column.
func (c *column) refuse(what string) error {
	col := dialect.Ident(c.name)
	declared := "declared " + c.declared
	fix := map[row.Kind]string{
		row.Bool: col + " <> 0", row.Date: "date(" + col + "), or date(" + col + ", 'unixepoch') for a number",
		row.Timestamp: "datetime(" + col + "), or datetime(" + col + ", 'unixepoch') for a number", row.Instant: "CAST(" + col + " AS TEXT)", row.Time: "time(" + col + ")",
		row.Int: "CAST(" + col + " AS TEXT), or AS INTEGER or REAL if nothing is lost", row.Float: "CAST(" + col + " AS REAL)", row.Bytes: "CAST(" + col + " AS BLOB)",
	}[c.kind]
	if fix == "" {
		fix = "CAST(" + col + " AS TEXT)"
	}
	if c.declared == "" {
		declared = "an expression whose first value is of kind " + c.kind.String()
	}
	return fault.New(fault.SourceValue, "column %q is %s and holds %s", c.name, declared, what).WithFix("Write it in the model as %s.", fix)
}
