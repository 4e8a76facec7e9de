package connector

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

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
	Backslash   bool   // inside quotes a backslash stands before a quote and before itself, in place of doubling
	Placeholder string // "$" = $1, $2…; "?" = ?; ":" = :p1, :p2…
	// Upper says that the server spells names written without quotes in upper case. Upwell then spells such a name in lower
	// case, as people do: account_id is the column ACCOUNT_ID there. Ident and Known translate, and are each other's inverse.
	Upper bool
	// ParamCast, when set, is the text form of a parameter's type by kind, for servers that cannot infer it: "CAST(%s AS bigint)".
	ParamCast map[row.Kind]string
	// Ledger, when set, is what `diff: warehouse` needs to know; the source is then a Warehouse.
	Ledger *LedgerSQL
}

// Ident quotes an identifier. With Upper, a plain name in lower case stands for the one in upper case, and a name that is in
// quotes already is kept.
func (d Dialect) Ident(name string) string {
	if d.Upper {
		switch {
		case d.quoted(name):
			return name
		case plain(name, 'a', 'z'):
			name = strings.ToUpper(name)
		}
	}
	return d.quote(name)
}

// Known gives the name by which Upwell knows a column the server calls so. With Upper, a name whose lower case is another
// column's name here, because it was made with quotes, keeps its quotes.
func (d Dialect) Known(server string) string {
	switch {
	case d.Upper && plain(server, 'A', 'Z'):
		return strings.ToLower(server)
	case d.Upper && (plain(server, 'a', 'z') || d.quoted(server)):
		return d.quote(server)
	}
	return server
}

// Server gives how the server spells a name: Ident without its quotes, as its catalog has it.
func (d Dialect) Server(name string) string {
	if !d.quoted(name) {
		name = d.Ident(name)
	}
	q := string(d.Quote)
	return strings.ReplaceAll(name[1:len(name)-1], q+q, q)
}

func (d Dialect) quote(name string) string {
	q := string(d.Quote)
	if d.Backslash {
		return q + strings.NewReplacer(`\`, `\\`, q, `\`+q).Replace(name) + q
	}
	return q + strings.ReplaceAll(name, q, q+q) + q
}

func (d Dialect) quoted(name string) bool {
	return len(name) > 1 && name[0] == d.Quote && name[len(name)-1] == d.Quote
}

// plain reports whether a name needs no quotes and has letters of one case only.
func plain(name string, from, to byte) bool {
	for i := range len(name) {
		c := name[i]
		if !(c >= from && c <= to || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '$')) {
			return false
		}
	}
	return name != ""
}

// Parts takes a name apart at its dots; a dot between quotes belongs to the part, which keeps its quotes.
func (d Dialect) Parts(name string) []string {
	var parts []string
	start, within := 0, false
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '\\' && within && d.Backslash:
			i++
		case c == d.Quote && (within || i == start): // one that is doubled ends a text and begins the next
			within = !within
		case c == d.Quote && i > 0 && name[i-1] == d.Quote:
			within = true
		case c == '.' && !within:
			parts = append(parts, name[start:i])
			start = i + 1
		}
	}
	return append(parts, name[start:])
}

// Table quotes a table name with up to two dots as parts; parts already quoted are kept.
func (d Dialect) Table(name string) string {
	parts := d.Parts(name)
	for i, p := range parts {
		if !d.quoted(p) {
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

// Position turns a place in a rendered statement, in characters from 0, into line and column of the model's own SQL; 0 where it lies
// outside, as in a condition that was added.
func (q Query) Position(statement string, at int) (line, column int) {
	own := strings.TrimRight(strings.TrimSpace(q.SQL), "; \n\t")
	start := strings.Index(statement, own)
	runes := []rune(statement)
	if own == "" || start < 0 || at < 0 || at > len(runes) {
		return 0, 0
	}
	offset := len(string(runes[:at])) - start
	if offset < 0 || offset > len(own) {
		return 0, 0
	}
	before := q.SQL[:strings.Index(q.SQL, own)+offset]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
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
