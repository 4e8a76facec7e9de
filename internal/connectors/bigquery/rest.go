package bigquery

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"time"

	"cloud.google.com/go/bigquery"
	"cloud.google.com/go/civil"
	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/api/iterator"

	"github.com/upwelldata/upwell/internal/row"
)

// batchRows is how many rows of JSON make a batch.
const batchRows = 4096

// paged reads an answer by pages of JSON.
// https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults
func paged(a *answer, p *plan) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		out := row.NewBuilder(p.schema)
		cells := make([]row.Value, len(p.columns))
		var values []bigquery.Value
		for {
			err := a.pages.Next(&values)
			if errors.Is(err, iterator.Done) {
				break
			}
			if err == nil {
				err = p.cells(values, cells)
			}
			if err == nil {
				err = out.Append(cells...)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if out.Len() == batchRows && !yield(out.Batch(), nil) {
				return
			}
		}
		if out.Len() > 0 {
			yield(out.Batch(), nil)
		}
	}
}

// cells turns a row of the vendor's library into values.
func (p *plan) cells(from []bigquery.Value, to []row.Value) error {
	if len(from) != len(to) {
		return incomplete("a row has %d cells and not %d", len(from), len(to))
	}
	for i := range p.columns {
		c := &p.columns[i]
		if c.wire == arrow.LIST || c.wire == arrow.STRUCT && from[i] != nil {
			text, err := c.appendValue(nil, c.from, from[i])
			if err != nil {
				return err
			}
			to[i] = row.StringKind(c.kind, string(text))
			continue
		}
		v, err := c.leaf(c.from, from[i])
		if err != nil {
			return err
		}
		to[i] = v
	}
	return nil
}

// leaf turns a value that holds no others. The library reads a timestamp in microseconds, and decimals exactly.
func (c *column) leaf(f *bigquery.FieldSchema, v bigquery.Value) (row.Value, error) {
	switch v := v.(type) {
	case nil:
		return row.NullValue(), nil
	case string:
		if f.Type == bigquery.JSONFieldType && !json.Valid([]byte(v)) {
			return row.Value{}, incomplete("column %q holds JSON that is none", c.field.Name)
		}
		return row.StringKind(wires[f.Type].kind, v), nil
	case int64:
		return row.IntValue(v), nil
	case float64:
		return row.FloatValue(v), nil
	case bool:
		return row.BoolValue(v), nil
	case []byte:
		return row.BytesValue(v), nil
	case *big.Rat:
		return decimal(f, v)
	case time.Time:
		return row.InstantValue(v.Unix(), uint32(v.Nanosecond())), nil
	case civil.Date:
		return row.DateValue(int64(v.DaysSince(civil.Date{Year: 1970, Month: time.January, Day: 1}))), nil
	case civil.Time:
		return row.TimeValue(nanos(v)), nil
	case civil.DateTime:
		t := v.In(time.UTC)
		return row.TimestampValue(t.Unix(), uint32(t.Nanosecond())), nil
	}
	return row.Value{}, fmt.Errorf("column %q holds a value of the unknown form %T", c.field.Name, v)
}

func nanos(t civil.Time) int64 {
	return int64(t.Hour)*int64(time.Hour) + int64(t.Minute)*int64(time.Minute) + int64(t.Second)*int64(time.Second) + int64(t.Nanosecond)
}

// decimal writes a fraction of a power of ten in full.
// https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
func decimal(f *bigquery.FieldSchema, v *big.Rat) (row.Value, error) {
	scale := 9
	if f.Type == bigquery.BigNumericFieldType {
		scale = 38
	}
	return row.DecimalValue(trimmed(v.FloatString(scale))), nil
}
