// Package dialect writes the SQL of a ledger that lives inside the warehouse: one planner for all, in the words of the
// warehouse's dialect, which is data (connector.Dialect, connector.LedgerSQL). It is the only place that does. Identifiers are
// quoted, values are bound; what is spliced in is quoted names, numbers of this program, and the user's own model and filter.
//
// docs/adr/0005-ledger-in-the-warehouse.md explains the tables and why their statements are safe to repeat.
package dialect

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Ledger writes the statements of one sync's ledger.
type Ledger struct {
	connector.Dialect
	schema string
	id     string
	// Project and Sync say in the state table whose ledger it is.
	Project, Sync string
}

// OfSync gives the ledger of a sync. schema "" is the dialect's own. Two projects may share a schema.
func OfSync(d connector.Dialect, schema, project, sync string) Ledger {
	if schema == "" {
		schema = d.Ledger.Schema
	}
	return Ledger{Dialect: d, schema: schema, id: identifier(project, sync), Project: project, Sync: sync}
}

// ID names the ledger in the state table and in the names of its tables.
func (l Ledger) ID() string { return l.id }

// identifier makes a short name of a sync that is safe in every dialect and differs between projects.
func identifier(project, sync string) string {
	short := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, sync)
	return fmt.Sprintf("%.16s_%08x", short, uint32(xxh3.HashString(project+"\x00"+sync)))
}

// Columns beside the model's own. Models may not use names that begin like them.
const (
	colKey      = "upwell_k" // canonical key, hexadecimal
	colState    = "upwell_state"
	colFresh    = "upwell_fresh" // 1: the model's columns are those of the record last accepted
	colRun      = "upwell_run"
	colAt       = "upwell_at"
	colRemote   = "upwell_remote_id"
	colEntry    = "upwell_entry"
	colPresent  = "upwell_present" // 1 = a row of the model, 2 = one of several with its key, null = the row is gone
	colTotal    = "upwell_total"   // rows of the model, in the one row of a delta that is not a change
	reserved    = "upwell_"
	tableState  = "state"
	tableLedger = "ledger"
	tablePast   = "history"
)

// Reserved reports whether a model's column has a name that the tables of a ledger need.
func Reserved(column string) bool { return strings.HasPrefix(strings.ToLower(column), reserved) }

// table gives the quoted name of a table of this ledger.
func (l Ledger) table(kind, run string) string { return l.inSchema(l.name(kind, run)) }

func (l Ledger) name(kind, run string) string {
	name := kind + "_" + l.id
	if run != "" {
		name += "_" + strings.ToLower(run)
	}
	return name
}

func (l Ledger) inSchema(name string) string { return l.Table(l.schema) + "." + l.Ident(name) }

// Schema gives the quoted schema.
func (l Ledger) Schema() string { return l.Table(l.schema) }

// text is the type that holds texts.
func (l Ledger) text() string { return l.Dialect.Ledger.Types[row.Text] }

func (l Ledger) integer() string { return l.Dialect.Ledger.Types[row.Int] }

// MakeSchema makes the schema; nothing where the dialect cannot. A user who may not make one may still be given one.
func (l Ledger) MakeSchema() []connector.Statement {
	c := l.Dialect.Ledger.CreateSchema
	if c == "" {
		return nil
	}
	return []connector.Statement{sql(c, l.Schema())}
}

// Setup makes state table and history. Everything stays as it is where it is there.
func (l Ledger) Setup() []connector.Statement {
	text, number := l.text(), l.integer()
	return []connector.Statement{
		sql("CREATE TABLE IF NOT EXISTS %s (id %s, project %[2]s, sync %[2]s, version %[3]s, token %[2]s, holder %[2]s, until %[3]s, scratch %[2]s, meta %[2]s)",
			l.inSchema(tableState), text, number),
		sql("CREATE TABLE IF NOT EXISTS %s (run %s, version %[3]s, k %[2]s, n %[3]s, h %[2]s)", l.table(tablePast, ""), text, number),
	}
}

// Look asks whether a table is there: by a query that counts it, or by name where the warehouse is a connector.Catalog.
type Look struct {
	connector.Query
	Schema, Table string
}

// StateThere asks for the state table: it is not there before the first run with this schema.
func (l Ledger) StateThere() Look { return l.there(tableState) }

// KeptThere asks for the delta table of a run: it is not there when somebody dropped it.
func (l Ledger) KeptThere(run string) Look { return l.there(l.name("delta", run)) }

func (l Ledger) there(table string) Look {
	look := Look{Schema: l.schema, Table: table}
	if l.Dialect.Ledger.Tables == "" {
		return look
	}
	p := params{d: l.Dialect}
	parts := l.Parts(l.schema)
	schema := l.Server(parts[len(parts)-1])
	within := ""
	if len(parts) > 1 {
		within = l.Table(strings.Join(parts[:len(parts)-1], ".")) + "."
	}
	look.SQL = fmt.Sprintf(l.Dialect.Ledger.Tables, within, p.text(schema), p.text(l.Server(table)))
	look.Params = p.list
	return look
}

// State reads the ledger's state: version, token, holder, until, scratch, meta. No row: it was never written.
func (l Ledger) State() connector.Query {
	return connector.Query{
		SQL:    fmt.Sprintf("SELECT version, token, holder, until, scratch, meta FROM %s WHERE id = %s", l.inSchema(tableState), l.Param(1, row.Text)),
		Params: []row.Value{row.TextValue(l.id)},
	}
}

// Introduce puts the ledger into the state table; it must not be there.
func (l Ledger) Introduce(token, meta string) connector.Statement {
	p := params{d: l.Dialect}
	return p.done("INSERT INTO %s (id, project, sync, version, token, holder, until, scratch, meta) VALUES (%s, %s, %s, 0, %s, '', 0, '', %s)",
		l.inSchema(tableState), p.text(l.id), p.text(l.Project), p.text(l.Sync), p.text(token), p.text(meta))
}

// Take makes token the one that may write, if was is it now; holder and until (Unix seconds) tell others. scratch lists the
// tables of one run that are there.
func (l Ledger) Take(was, token, holder string, until int64, scratch string) connector.Statement {
	p := params{d: l.Dialect}
	s := p.done("UPDATE %s SET token = %s, holder = %s, until = %s, scratch = %s WHERE id = %s AND token = %s",
		l.inSchema(tableState), p.text(token), p.text(holder), p.number(until), p.text(scratch), p.text(l.id), p.text(was))
	s.Affects = 1
	return s
}

// Prolong moves the end of a lease.
func (l Ledger) Prolong(token string, until int64) connector.Statement {
	p := params{d: l.Dialect}
	s := p.done("UPDATE %s SET until = %s WHERE id = %s AND token = %s", l.inSchema(tableState), p.number(until), p.text(l.id), p.text(token))
	s.Affects = 1
	return s
}

// Scratched records whose run's tables may be there, before they are made; "" = none are.
func (l Ledger) Scratched(token, run string) connector.Statement {
	p := params{d: l.Dialect}
	s := p.done("UPDATE %s SET scratch = %s WHERE id = %s AND token = %s", l.inSchema(tableState), p.text(run), p.text(l.id), p.text(token))
	s.Affects = 1
	return s
}

// Release gives the lease back.
func (l Ledger) Release(token string) connector.Statement {
	p := params{d: l.Dialect}
	return p.done("UPDATE %s SET holder = '', until = 0 WHERE id = %s AND token = %s", l.inSchema(tableState), p.text(l.id), p.text(token))
}

// exact is a column of a table in a form whose equality is that of its values.
func (l Ledger) exact(alias string, f arrow.Field) string {
	col := alias + l.Ident(f.Name)
	if as, ok := l.Dialect.Ledger.Exact[kind(f)]; ok {
		return fmt.Sprintf(as, col)
	}
	return col
}

// Keeps refuses a key whose columns a ledger in this dialect cannot keep: before anything is sent, as nothing could be recorded.
func (l Ledger) Keeps(s Shape) error {
	for _, k := range s.Key {
		if _, err := l.typeOf(s.field(k)); err != nil {
			return err
		}
	}
	return nil
}

// typeOf is the type that a key column's text is cast to.
func (l Ledger) typeOf(f arrow.Field) (string, error) {
	k := kind(f)
	t, ok := l.Dialect.Ledger.Types[k]
	if !ok {
		return "", fault.New(fault.SourceValue, "the key column %q has kind %s, which a ledger in %s cannot keep", f.Name, k, l.Name).
			WithFix("Cast it to text in the model, or use diff: local.")
	}
	if own, ok := f.Metadata.GetValue(row.TypeKey); ok {
		return own, nil
	}
	if d, ok := f.Type.(arrow.DecimalType); ok && strings.Count(t, "%") == 2 {
		return fmt.Sprintf(t, d.GetPrecision(), d.GetScale()), nil
	}
	if strings.Contains(t, "%") {
		return fmt.Sprintf(t, 38, 9), nil
	}
	return t, nil
}

// Create makes an empty ledger table for a model.
func (l Ledger) Create(relation string, s Shape) connector.Statement {
	return sql("%s", fmt.Sprintf(l.Dialect.Ledger.Create, l.placed(l.table(tableLedger, ""), s))+l.emptyOf(relation, s))
}

// placed gives the name of a table that is made, with where its rows shall lie.
func (l Ledger) placed(table string, s Shape) string {
	at := l.Dialect.Ledger.Placed
	if at == "" || len(s.Key) != 1 {
		return table
	}
	if _, changed := l.Dialect.Ledger.Exact[kind(s.field(s.Key[0]))]; changed {
		return table
	}
	return table + fmt.Sprintf(at, l.Ident(s.Key[0]))
}

// CreateBare makes an empty ledger table that knows its key's columns only, by their kinds.
func (l Ledger) CreateBare(s Shape) (connector.Statement, error) {
	key := make([]string, len(s.Key))
	for i, k := range s.Key {
		t, err := l.typeOf(s.field(k))
		if err != nil {
			return connector.Statement{}, err
		}
		key[i] = "CAST(NULL AS " + t + ") AS " + l.Ident(k)
	}
	return l.Create("(SELECT "+strings.Join(key, ", ")+")", Shape{Key: s.Key, Fields: s.Fields}), nil
}

// emptyOf selects no row of the ledger's columns, with the types the model has.
func (l Ledger) emptyOf(relation string, s Shape) string {
	t, n := l.text(), l.integer()
	none := ""
	if l.Dialect.Ledger.NotNull {
		none = "\nUNION ALL SELECT " + nulls(len(s.Fields)+strings.Count(entryColumns, ",")+1) + " FROM (SELECT 1 AS upwell_one) AS upwell_none WHERE 1 = 0"
	}
	return fmt.Sprintf("SELECT %s, CAST(NULL AS %s) AS %s, CAST(NULL AS %s) AS %s, CAST(NULL AS %s) AS %s, CAST(NULL AS %s) AS %s, "+
		"CAST(NULL AS %s) AS %s, CAST(NULL AS %s) AS %s, CAST(NULL AS %s) AS %s FROM %s AS upwell_model WHERE 1 = 0%s",
		l.wide(s), t, colKey, n, colState, n, colFresh, t, colRun, t, colAt, t, colRemote, t, colEntry, relation, none)
}

// wide lists the model's columns for a table that keeps what later models give.
func (l Ledger) wide(s Shape) string {
	out := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = l.Ident(f.Name)
		if as, ok := l.Dialect.Ledger.Wide[kind(f)]; ok {
			out[i] = fmt.Sprintf(as, out[i]) + " AS " + out[i]
		}
	}
	return strings.Join(out, ", ")
}

// entryColumns are the columns of a ledger beside the model's. They are never quoted, the model's always are.
const entryColumns = colKey + ", " + colState + ", " + colFresh + ", " + colRun + ", " + colAt + ", " + colRemote + ", " + colEntry

// list joins quoted column names, each after alias ("c." or "").
func (l Ledger) list(alias string, columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = alias + l.Ident(c)
	}
	return strings.Join(out, ", ")
}

// Describe is the query whose columns tell the shape of the ledger table.
func (l Ledger) Describe() connector.Query {
	return connector.Query{SQL: "SELECT * FROM " + l.table(tableLedger, "") + " WHERE 1 = 0"}
}

// Count counts the ledger's keys.
func (l Ledger) Count() connector.Query {
	return connector.Query{SQL: "SELECT COUNT(*) AS n FROM " + l.table(tableLedger, "")}
}

// Entries reads all entries, or that of one canonical key.
func (l Ledger) Entries(key []byte) connector.Query {
	q := connector.Query{SQL: "SELECT " + colEntry + " FROM " + l.table(tableLedger, "")}
	if key != nil {
		q.SQL += " WHERE " + colKey + " = " + l.Param(1, row.Text)
		q.Params = []row.Value{hexKey(key)}
	}
	return q
}

// Past reads what runs did, newest first: to one key, or all that one run did. Its columns are the run and the text of a change.
func (l Ledger) Past(run string, key []byte) connector.Query {
	p := params{d: l.Dialect}
	where, order := "", ""
	if run != "" {
		where, order = "run = "+p.text(run), "k, version DESC, n DESC"
	} else {
		where, order = "k = "+p.value(hexKey(key)), "version DESC, n DESC"
	}
	return connector.Query{SQL: fmt.Sprintf("SELECT run, h FROM %s WHERE %s ORDER BY %s", l.table(tablePast, ""), where, order), Params: p.list}
}

// Reshape gives the ledger table the columns of the model as it is now. What the tool accepted stays; every row will be looked
// at once. The types of the key must be the same.
func (l Ledger) Reshape(relation string, s Shape) []connector.Statement {
	next := l.inSchema(tableLedger + "_" + l.id + "_next")
	cols := l.list("", s.Key) + ", " + entryColumns
	values := strings.Replace(cols, colFresh, "0", 1)
	ledger, create := l.table(tableLedger, ""), l.Dialect.Ledger.Replace
	out := []connector.Statement{
		sql("DROP TABLE IF EXISTS %s", next),
		sql("%s", fmt.Sprintf(l.Dialect.Ledger.Create, l.placed(next, s))+l.emptyOf(relation, s)),
		sql("INSERT INTO %s (%s) SELECT %s FROM %s", next, cols, values, ledger),
	}
	if create == "" {
		out, create = append(out, sql("DROP TABLE %s", ledger)), l.Dialect.Ledger.Create
	}
	return append(out, sql("%s", fmt.Sprintf(create, l.placed(ledger, s))+"SELECT * FROM "+next), sql("DROP TABLE %s", next))
}

// Forget drops the ledger table; history and state stay.
func (l Ledger) Forget() connector.Statement {
	return sql("DROP TABLE IF EXISTS %s", l.table(tableLedger, ""))
}

// Retire drops the history of runs before the one named.
func (l Ledger) Retire(before string) connector.Statement {
	p := params{d: l.Dialect}
	return p.done("DELETE FROM %s WHERE run < %s", l.table(tablePast, ""), p.text(before))
}

func hexKey(key []byte) row.Value { return row.TextValue(hex.EncodeToString(key)) }

func sql(format string, args ...any) connector.Statement {
	return connector.Statement{SQL: fmt.Sprintf(format, args...)}
}

// params gathers bound values in the order of their placeholders.
type params struct {
	d    connector.Dialect
	list []row.Value
}

func (p *params) value(v row.Value) string {
	p.list = append(p.list, v)
	return p.d.Param(len(p.list), v.Kind())
}

func (p *params) text(s string) string  { return p.value(row.TextValue(s)) }
func (p *params) number(n int64) string { return p.value(row.IntValue(n)) }

func (p *params) done(format string, args ...any) connector.Statement {
	s := sql(format, args...)
	s.Params = p.list
	return s
}
