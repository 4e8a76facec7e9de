package connector

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/row"
)

// Source is an open connection to a warehouse or database. Methods may be called from several goroutines.
//
// Arrow conventions: integers, unsigned integers, floats, decimals, bool, utf8, binary, date32, time64, timestamp without zone
// (row.Timestamp) and with zone "UTC" (row.Instant) stand for themselves. A value Arrow has no exact type for (unbounded decimal,
// json, array, uuid, interval) is a utf8 column whose field metadata has "upwell.kind" = the row.Kind's name; its text is in that
// kind's form. A value that cannot be carried exactly ends the read with SOURCE_VALUE_UNSUPPORTED naming column and cast.
type Source interface {
	Check(ctx context.Context) error
	// Describe gives the columns of a query without running it over the data.
	Describe(ctx context.Context, q Query) (*arrow.Schema, error)
	// Read runs the query as one statement and yields its batches. A batch is valid until the next step of the loop. The
	// loop ends without an error only when the result is provably complete; leaving it early frees the cursor.
	Read(ctx context.Context, q Query) iter.Seq2[arrow.RecordBatch, error]
	Dialect() Dialect
	Close() error
}

// KindKey is the Arrow field metadata key for kinds without an exact Arrow type.
const KindKey = "upwell.kind"

// Query is what is read of a model.
type Query struct {
	SQL     string      // the model's query (without trailing semicolon), or empty with Table
	Table   string      // table or schema.table, quoted by the dialect; empty with SQL
	Columns []string    // projection; nil = all
	Where   string      // the sync's filter, SQL of the user; "" = none
	Equal   []ColumnIs  // rows whose columns equal these values: bound as parameters
	Params  []row.Value // parameters of SQL that the program made itself; only with SQL alone
	Limit   int         // 0 = none
	Rows    func(int64) // called now and then with the rows read so far; may be nil
}

// ColumnIs is a condition column = value.
type ColumnIs struct {
	Column string
	Value  row.Value
}

// Dialect is how a source writes SQL, as data.
type Dialect struct {
	Name        string
	Quote       byte   // identifier quote: '"' or '`'; doubled inside
	Placeholder string // "$" = $1, $2…; "?" = ?; ":" = :p1, :p2…
	// ParamCast, when set, is the text form of a parameter's type by kind, for servers that cannot infer it: "CAST(%s AS bigint)".
	ParamCast map[row.Kind]string
	// Ledger, when set, is what `diff: warehouse` needs to know; the source is then a Warehouse.
	Ledger *LedgerSQL
}

// Ident quotes an identifier.
func (d Dialect) Ident(name string) string {
	q := string(d.Quote)
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// Table quotes a table name with up to two dots as parts; parts already quoted are kept.
func (d Dialect) Table(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		if len(p) < 2 || p[0] != d.Quote || p[len(p)-1] != d.Quote {
			parts[i] = d.Ident(p)
		}
	}
	return strings.Join(parts, ".")
}

// Param gives the n-th (from 1) placeholder.
func (d Dialect) Param(n int, k row.Kind) string {
	p := d.Placeholder
	switch p {
	case "$":
		p += strconv.Itoa(n)
	case ":":
		p += "p" + strconv.Itoa(n)
	}
	if c, ok := d.ParamCast[k]; ok {
		p = strings.Replace(c, "%s", p, 1)
	}
	return p
}

// Relation gives what stands after FROM for the query's model: a quoted table or the SQL in parentheses. Needs an alias.
func (q Query) Relation(d Dialect) string {
	if q.SQL == "" {
		return d.Table(q.Table)
	}
	return "(\n" + strings.TrimRight(strings.TrimSpace(q.SQL), "; \n\t") + "\n)"
}

// Render gives the statement and its parameters. A plain model is passed through unwrapped, so that its ORDER BY counts.
func (q Query) Render(d Dialect) (string, []row.Value) {
	if q.SQL != "" && q.Columns == nil && q.Where == "" && len(q.Equal) == 0 && q.Limit == 0 {
		return strings.TrimRight(strings.TrimSpace(q.SQL), "; \n\t"), q.Params
	}
	var b strings.Builder
	b.WriteString("SELECT ")
	if q.Columns == nil {
		b.WriteString("*")
	}
	for i, c := range q.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d.Ident(c))
	}
	b.WriteString(" FROM " + q.Relation(d) + " AS upwell_model")
	var args []row.Value
	sep := " WHERE "
	if q.Where != "" {
		b.WriteString(sep + "(" + q.Where + "\n)")
		sep = " AND "
	}
	for _, e := range q.Equal {
		args = append(args, e.Value)
		b.WriteString(sep + d.Ident(e.Column) + " = " + d.Param(len(args), e.Value.Kind()))
		sep = " AND "
	}
	if q.Limit > 0 {
		b.WriteString(" LIMIT " + strconv.Itoa(q.Limit))
	}
	return b.String(), args
}
