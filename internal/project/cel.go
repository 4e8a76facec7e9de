package project

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/upwelldata/upwell/internal/fault"
)

var celSuggestion = regexp.MustCompile(` ?\(did you mean '([^']*)'\?\)`)

// maxExpression bounds one expression.
const maxExpression = 16 << 10

// RowEnv is the environment of field expressions: the variable row holds the model row's columns by name. The expression
// libraries of strings, math, lists, sets and encoders are there; nothing reaches out of the row, not even a clock.
var RowEnv = sync.OnceValues(func() (*cel.Env, error) {
	return celEnv(cel.Variable("row", cel.MapType(cel.StringType, cel.DynType)))
})

// PolicyEnv is the environment of a policy's condition: destination (name, type, tags), object, field, model, column and sync,
// all dynamic.
var PolicyEnv = sync.OnceValues(func() (*cel.Env, error) {
	return settingEnv([]string{"destination", "object", "field", "model", "column", "sync"})()
})

// settingEnv is the environment of a CEL setting with these variables.
func settingEnv(vars []string) func() (*cel.Env, error) {
	return func() (*cel.Env, error) {
		opts := make([]cel.EnvOption, len(vars))
		for i, v := range vars {
			opts[i] = cel.Variable(v, cel.DynType)
		}
		return celEnv(opts...)
	}
}

func celEnv(opts ...cel.EnvOption) (*cel.Env, error) {
	return cel.NewEnv(append(opts, cel.OptionalTypes(), ext.Strings(), ext.Math(), ext.Lists(), ext.Sets(), ext.Encoders())...)
}

// compile checks an expression and reports every problem at its place in the file; nil when there is one.
func (l *loader) compile(n *node, what, text string, env func() (*cel.Env, error)) *cel.Ast {
	if len(text) > maxExpression {
		l.fail(fault.ProjectLimit, n.at, "compiling %s: longer than %d KiB", what, maxExpression>>10).WithFix("compute it in the model")
		return nil
	}
	e, err := env()
	if err != nil {
		l.fail(fault.ProjectExpression, n.at, "compiling %s: %v", what, err)
		return nil
	}
	checked, issues := e.Compile(text)
	if issues == nil || issues.Err() == nil {
		return checked
	}
	for i, problem := range issues.Errors() {
		if i == 5 {
			break // the rest follow from these
		}
		at := n.body
		if line := problem.Location.Line(); line > 0 {
			at = n.within(line, max(0, problem.Location.Column()))
		}
		f := l.fail(fault.ProjectExpression, at, "compiling %s: %s in %s", what, problem.Message, tick(text))
		if m := celSuggestion.FindStringSubmatch(problem.Message); m != nil {
			f.Message = fmt.Sprintf("compiling %s: %s in %s", what, strings.Replace(problem.Message, m[0], "", 1), tick(text))
			f.WithFix("did you mean `%s`?", m[1])
		}
	}
	return nil
}
