package connector

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/row"
)

// catalog is a source that knows the names of tables and remembers what it was asked.
type catalog struct {
	Source
	d     Dialect
	names []row.Value
	fail  error
	asked Query
}

func (c *catalog) Dialect() Dialect { return c.d }

func (c *catalog) Read(_ context.Context, q Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		c.asked = q
		b := row.NewBuilder(arrow.NewSchema([]arrow.Field{row.FieldOf("n", row.Text)}, nil))
		for _, n := range c.names {
			if err := b.Append(n); err != nil {
				yield(nil, err)
				return
			}
		}
		if yield(b.Batch(), nil) && c.fail != nil {
			yield(nil, c.fail)
		}
	}
}

func Test_tables_are_listed_as_a_model_names_them(t *testing.T) {
	folds := Dialect{Quote: '"', Placeholder: "?", Upper: true}
	c := &catalog{d: folds, names: []row.Value{row.TextValue("ACCOUNTS"), row.NullValue(), row.TextValue("accounts"), row.TextValue("Odd One")}}
	for name, want := range map[string]struct {
		sql   string
		bound []string
		names []string
	}{
		"acounts":        {"SELECT here()", nil, []string{"accounts", `"accounts"`, "Odd One"}},
		"sales.acounts":  {"SELECT ?", []string{"SALES"}, []string{"sales.accounts", `sales."accounts"`, "sales.Odd One"}},
		"db.sales.accts": {"SELECT ?", []string{"SALES"}, []string{"db.sales.accounts", `db.sales."accounts"`, "db.sales.Odd One"}},
	} {
		got, err := Listed(t.Context(), c, name, "SELECT %s", "here()")
		if err != nil || !slices.Equal(got, want.names) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		var bound []string
		for _, p := range c.asked.Params {
			bound = append(bound, p.String())
		}
		if c.asked.SQL != want.sql || !slices.Equal(bound, want.bound) {
			t.Errorf("%s: asked %q with %q", name, c.asked.SQL, bound)
		}
	}
	c.fail = errors.New("cut")
	if got, err := Listed(t.Context(), c, "a", "SELECT %s", "here()"); err == nil {
		t.Errorf("half a list is taken for a whole one: %q", got)
	}
}
