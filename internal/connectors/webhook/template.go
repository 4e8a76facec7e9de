package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// The variables of the CEL settings.
var (
	templateVars = []string{"sync", "run_id", "object", "operation", "rows"}
	answerVars   = []string{"status", "headers", "body"}
)

// expression is a compiled CEL setting.
type expression struct {
	name    string
	program cel.Program
}

func newExpression(name, text string, vars []string) (*expression, error) {
	if text == "" {
		return nil, nil
	}
	opts := []cel.EnvOption{
		cel.OptionalTypes(), ext.Strings(), ext.Math(), ext.Lists(), ext.Sets(), ext.Encoders(),
		cel.Function("string", cel.Overload("decimal_to_string", []*cel.Type{exactType}, cel.StringType, cel.UnaryBinding(exactTo(types.StringType)))),
		cel.Function("double", cel.Overload("decimal_to_double", []*cel.Type{exactType}, cel.DoubleType, cel.UnaryBinding(exactTo(types.DoubleType)))),
	}
	for _, v := range vars {
		opts = append(opts, cel.Variable(v, cel.DynType))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, setting("%s: %v", name, err)
	}
	tree, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, fault.New(fault.ProjectExpression, "compiling %s: %s", name, issues.Errors()[0].Message).NotLanded()
	}
	program, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(1000))
	if err != nil {
		return nil, setting("%s: %v", name, err)
	}
	return &expression{name, program}, nil
}

// eval runs the expression. Its errors may quote data, so only the kind of failure is kept.
func (e *expression) eval(ctx context.Context, vars map[string]any) (ref.Val, error) {
	out, _, err := e.program.ContextEval(ctx, vars)
	if err != nil {
		reason := err.Error()
		if i := strings.IndexAny(reason, "\"'`"); i >= 0 {
			reason = strings.TrimRight(reason[:i], " :(")
		}
		if rest, ok := strings.CutPrefix(reason, "no such key: "); ok {
			reason = "there is no " + rest
		}
		return nil, errors.New("the setting " + e.name + " failed: " + reason)
	}
	return out, nil
}

// answer evaluates over an answer: status as a number, headers with lower-case names, body as JSON or else as text.
func (e *expression) answer(resp *httpkit.Response) (ref.Val, error) {
	headers := make(map[string]string, len(resp.Header))
	for k, v := range resp.Header {
		headers[strings.ToLower(k)] = strings.Join(v, ", ")
	}
	var body any
	if err := httpkit.DecodeJSON(resp.Body, &body); err != nil {
		body = strings.ToValidUTF8(string(resp.Body), "\ufffd")
	}
	return e.eval(context.Background(), map[string]any{"status": int64(resp.Status), "headers": headers, "body": native(body)})
}

func (e *expression) yes(_ *httpkit.Client, resp *httpkit.Response) (bool, error) {
	v, err := e.answer(resp)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the setting %s gives neither true nor false", e.name)
	}
	return bool(b), nil
}

func (e *expression) json(_ *httpkit.Client, resp *httpkit.Response) ([]byte, error) {
	v, err := e.answer(resp)
	if err != nil {
		return nil, err
	}
	if _, ok := v.(traits.Lister); !ok {
		return nil, fmt.Errorf("the setting %s gives no list", e.name)
	}
	return appendVal(nil, v)
}

// template makes request bodies from the setting body.
type template struct{ *expression }

func newTemplate(text string) (*template, error) {
	e, err := newExpression("body", text, templateVars)
	if e == nil {
		return nil, err
	}
	return &template{e}, nil
}

// append evaluates the template for the rows that index names. A text is taken as the body itself; anything else as JSON.
func (t *template) append(ctx context.Context, b []byte, to connector.Target, rows *row.Batch, index []int) ([]byte, error) {
	list := make([]any, len(index))
	for n, i := range index {
		m := rows.Meta(i)
		one := map[string]any{"key": record(rows.MatchFields(), rows.Match(i)), "fields": map[string]any{}, "idempotency_key": m.IdempotencyKey}
		if to.Op != connector.OpDelete {
			one["fields"] = record(rows.Fields(), rows.Values(i))
		}
		if m.RemoteID != "" {
			one["id"] = m.RemoteID
		}
		list[n] = one
	}
	out, err := t.eval(ctx, map[string]any{"sync": to.Sync, "run_id": to.RunID, "object": to.Object.Name, "operation": string(to.Op), "rows": list})
	if err != nil {
		return b, err
	}
	if s, ok := out.(types.String); ok {
		return append(b, s...), nil
	}
	return appendVal(b, out)
}

func record(names []string, values []row.Value) map[string]any {
	out := make(map[string]any, len(values))
	for i, v := range values {
		if !v.IsAbsent() {
			out[names[i]] = toCEL(v)
		}
	}
	return out
}

// toCEL gives a value as expressions see it. Decimals stay exact: they are written as they are, and double(x) or string(x)
// makes them computable.
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
		return exact(v.Str())
	case row.JSON, row.Array:
		var parsed any
		if httpkit.DecodeJSON([]byte(v.Str()), &parsed) == nil {
			return native(parsed)
		}
	case row.Text, row.Interval, row.UUID, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant:
	}
	return v.String()
}

// native turns decoded JSON into what CEL takes: integers of 64 bits become numbers, every other number stays exact.
func native(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i
		}
		return exact(v.String())
	case map[string]any:
		for k, e := range v {
			v[k] = native(e)
		}
		return v
	case []any:
		for i, e := range v {
			v[i] = native(e)
		}
		return v
	case nil:
		return types.NullValue
	}
	return v
}

// exact is a number that a double could not hold: its text is kept.
type exact string

var exactType = cel.ObjectType("upwell.decimal")

func exactTo(t ref.Type) func(ref.Val) ref.Val {
	return func(v ref.Val) ref.Val { return v.ConvertToType(t) }
}

// ConvertToNative implements ref.Val.
func (e exact) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a decimal is no %v", t)
}

// ConvertToType implements ref.Val.
func (e exact) ConvertToType(t ref.Type) ref.Val {
	if t.TypeName() == types.StringType.TypeName() {
		return types.String(e)
	}
	return types.String(e).ConvertToType(t)
}

// Equal implements ref.Val: by value, to another exact number or an integer.
func (e exact) Equal(other ref.Val) ref.Val {
	switch o := other.(type) {
	case exact:
		return types.Bool(row.DecimalValue(string(e)).Equal(row.DecimalValue(string(o))))
	case types.Int:
		return types.Bool(row.DecimalValue(string(e)).Equal(row.IntValue(int64(o))))
	}
	return types.False
}

// Type implements ref.Val.
func (e exact) Type() ref.Type { return exactType }

// Value implements ref.Val.
func (e exact) Value() any { return string(e) }

// appendVal appends a CEL value as JSON; keys of objects are sorted, so that equal values give equal bytes.
func appendVal(b []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case exact:
		return append(b, v...), nil
	case types.Null:
		return append(b, "null"...), nil
	case types.Bool:
		return strconv.AppendBool(b, bool(v)), nil
	case types.Int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case types.Uint:
		return strconv.AppendUint(b, uint64(v), 10), nil
	case types.Double:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return b, errors.New("JSON has no NaN and no infinity")
		}
		return row.FloatValue(float64(v)).AppendJSON(b), nil
	case types.String:
		return row.AppendJSONString(b, string(v)), nil
	case types.Bytes:
		return row.AppendJSONString(b, base64.StdEncoding.EncodeToString(v)), nil
	case types.Timestamp:
		return row.AppendJSONString(b, v.UTC().Format(time.RFC3339Nano)), nil
	case types.Duration:
		return row.AppendJSONString(b, v.Duration.String()), nil
	case *types.Optional:
		if !v.HasValue() {
			return append(b, "null"...), nil
		}
		return appendVal(b, v.GetValue())
	case traits.Mapper:
		return appendMap(b, v)
	case traits.Lister:
		return appendList(b, v)
	}
	return b, fmt.Errorf("a %s cannot be written as JSON", v.Type().TypeName())
}

func appendList(b []byte, v traits.Lister) (_ []byte, err error) {
	b = append(b, '[')
	first := true
	for it := v.Iterator(); it.HasNext() == types.True; first = false {
		if !first {
			b = append(b, ',')
		}
		if b, err = appendVal(b, it.Next()); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func appendMap(b []byte, v traits.Mapper) (_ []byte, err error) {
	var keys []string
	for it := v.Iterator(); it.HasNext() == types.True; {
		k, ok := it.Next().(types.String)
		if !ok {
			return b, errors.New("the keys of an object must be texts")
		}
		keys = append(keys, string(k))
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(row.AppendJSONString(b, k), ':')
		if b, err = appendVal(b, v.Get(types.String(k))); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
