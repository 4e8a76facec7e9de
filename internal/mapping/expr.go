package mapping

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

func rowActivation(columns map[string]any) cel.Activation {
	a, err := cel.NewActivation(map[string]any{"row": columns})
	if err != nil {
		panic("mapping: " + err.Error()) //nolint:forbidigo // a map is always an activation
	}
	return a
}

// parseExpression compiles a CEL text and gives its program, the columns it reads, and the kind of its result (Absent = depends
// on the row).
func parseExpression(text string) (cel.Program, []string, row.Kind, error) {
	env, err := project.RowEnv()
	if err != nil {
		return nil, nil, row.Absent, err
	}
	tree, issues := env.Compile(text)
	if issues.Err() != nil {
		e := issues.Errors()[0]
		return nil, nil, row.Absent, fmt.Errorf("column %d of the expression: %s", e.Location.Column()+1, e.Message)
	}
	columns, err := project.ColumnsRead(tree.NativeRep())
	if err != nil {
		return nil, nil, row.Absent, err
	}
	program, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, nil, row.Absent, err
	}
	return program, columns, resultKind(tree.OutputType()), nil
}

func resultKind(t *cel.Type) row.Kind {
	switch t.Kind() { //nolint:exhaustive // the rest depends on the row
	case types.BoolKind:
		return row.Bool
	case types.IntKind:
		return row.Int
	case types.UintKind:
		return row.Uint
	case types.DoubleKind:
		return row.Float
	case types.StringKind:
		return row.Text
	case types.BytesKind:
		return row.Bytes
	case types.TimestampKind:
		return row.Instant
	case types.DurationKind:
		return row.Interval
	case types.ListKind:
		return row.Array
	case types.MapKind:
		return row.JSON
	case types.NullTypeKind:
		return row.Null
	}
	return row.Absent
}

// compute evaluates an expression for row i of the batch.
func (r *reading) compute(e *expression, i int) (row.Value, error) {
	for _, c := range e.cols {
		v, ok := r.value(c, i)
		if !ok {
			return row.Value{}, fmt.Errorf("column %q does not hold a value of its declared type", r.p.columns[c].name)
		}
		if v.Kind() == row.Decimal && !exactDouble(v.Str()) {
			return row.Value{}, fmt.Errorf("column %q holds more digits than an expression computes with exactly", r.p.columns[c].name)
		}
		r.row[r.p.columns[c].name] = toCEL(v)
	}
	out, _, err := e.program.Eval(r.vars)
	if err != nil {
		return row.Value{}, r.explain(e, err)
	}
	return valueOf(out)
}

// explain gives the reason without the row's values, which CEL puts into some of its messages, and names the null columns,
// which are the usual cause.
func (r *reading) explain(e *expression, err error) error {
	reason := err.Error()
	if strings.HasPrefix(reason, "no such key") {
		reason = "no such key in a map"
	}
	if i := strings.IndexAny(reason, "\"`"); i >= 0 {
		reason = strings.TrimRight(reason[:i], " :")
	}
	mixed := strings.HasPrefix(reason, "no such overload")
	if mixed {
		reason = "an operator or function does not take what it is given"
	}
	for _, c := range e.cols {
		switch v := r.raw[c]; {
		case v.IsNull():
			reason += fmt.Sprintf("; column %q is null", r.p.columns[c].name)
		case mixed:
			reason += fmt.Sprintf("; column %q is %s", r.p.columns[c].name, v.Kind())
		}
	}
	if mixed {
		reason += "; double(), int() and string() convert"
	}
	return errors.New(reason)
}

// exactDouble reports whether a decimal survives the way through a double, which is the only fraction CEL knows. Invariant 7: no
// value is silently coerced or cut; a decimal that does not survive makes its row invalid.
func exactDouble(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	return err == nil && row.NormalDecimal(strconv.FormatFloat(f, 'f', -1, 64)) == row.NormalDecimal(text)
}

func toCEL(v row.Value) any {
	switch v.Kind() {
	case row.Absent, row.Null:
		return types.NullValue
	case row.Bool:
		return v.Bool()
	case row.Int:
		return v.Int()
	case row.Uint:
		return v.Uint()
	case row.Float:
		return v.Float()
	case row.Decimal:
		f, err := strconv.ParseFloat(v.Str(), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return v.Str()
		}
		return f
	case row.Bytes:
		return []byte(v.Str())
	case row.Instant:
		return v.GoTime()
	case row.Text, row.Interval, row.UUID, row.JSON, row.Array:
		return v.Str()
	case row.Date, row.Time, row.Timestamp:
		return v.String()
	}
	return types.NullValue
}

func valueOf(out ref.Val) (row.Value, error) {
	switch v := out.(type) {
	case types.Null:
		return row.NullValue(), nil
	case types.Bool:
		return row.BoolValue(bool(v)), nil
	case types.Int:
		return row.IntValue(int64(v)), nil
	case types.Uint:
		return row.UintValue(uint64(v)), nil
	case types.Double:
		return row.FloatValue(float64(v)), nil
	case types.String:
		return row.TextValue(string(v)), nil
	case types.Bytes:
		return row.BytesValue(v), nil
	case types.Timestamp:
		return row.InstantValue(v.Unix(), uint32(v.Nanosecond())), nil
	case types.Duration:
		return row.DurationValue(v.Duration), nil
	case *types.Optional:
		if !v.HasValue() {
			return row.NullValue(), nil
		}
		return valueOf(v.GetValue())
	case traits.Lister:
		b, err := appendCELJSON(nil, out)
		return row.StringKind(row.Array, string(b)), err
	case traits.Mapper:
		b, err := appendCELJSON(nil, out)
		return row.StringKind(row.JSON, string(b)), err
	}
	return row.Value{}, fmt.Errorf("the result has type %s, which cannot be sent", out.Type().TypeName())
}

func appendCELJSON(b []byte, val ref.Val) ([]byte, error) {
	var err error
	switch v := val.(type) {
	case traits.Lister:
		b = append(b, '[')
		n := int64(v.Size().(types.Int))
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendCELJSON(b, v.Get(types.Int(i))); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case traits.Mapper:
		var keys []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			k, ok := it.Next().(types.String)
			if !ok {
				return nil, errors.New("the result is a map whose keys are not text")
			}
			keys = append(keys, string(k))
		}
		sort.Strings(keys)
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(row.AppendJSONString(b, k), ':')
			if b, err = appendCELJSON(b, v.Get(types.String(k))); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	v, err := valueOf(val)
	if err != nil {
		return nil, err
	}
	return v.AppendJSON(b), nil
}
