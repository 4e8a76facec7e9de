package connector

import (
	"context"
	"iter"

	"github.com/upwelldata/upwell/internal/row"
)

// Warehouse is a source that can hold the ledger and compare a model with it, for `diff: warehouse`. Its Dialect has Ledger set.
type Warehouse interface {
	Source
	// Exec runs statements that return no rows, in order, in one session, and as one transaction where the dialect has them.
	// A statement that affects another number of rows than it must ends the work with STATE_LOCKED, and undoes it where there
	// is a transaction. A missing right is STATE_UNUSABLE and names what to grant.
	Exec(ctx context.Context, statements []Statement) error
}

// Statement is one statement of the program's own, made by package dialect.
type Statement struct {
	SQL    string
	Params []row.Value // bound in order; of kind Text, Int or Null
	// Affects is how many rows it must affect; 0 = any number.
	Affects int64
	// Rows go into a table, in place of SQL: only where the dialect says Bulk. The warehouse holds a bounded part of them at a
	// time. No limit of a statement's time counts, as they come at their own pace; an error of theirs ends the work as it is.
	Rows iter.Seq2[[]row.Value, error]
	Into Into
}

// Into says where Rows go: names as they stand in SQL. A value that is not null is cast from its text to the type of its column.
type Into struct {
	Table   string
	Columns []string
}

// Estimator is a source that can tell what reading a query costs, without running it.
type Estimator interface {
	Estimate(ctx context.Context, q Query) (Scan, error)
}

// Scan is what a query would read, as the warehouse estimates it.
type Scan struct {
	Bytes int64 // billed bytes, before the vendor rounds them up
}

// Catalog is a warehouse that looks tables up in a way of its own, because a query that counts them would need rights beyond the
// ledger's schema, or could be answered late. It is asked in place of LedgerSQL.Tables.
type Catalog interface {
	// HasTable reports whether a table is there. schema is as the user names it; it need not be there.
	HasTable(ctx context.Context, schema, table string) (bool, error)
}

// LedgerSQL is what a dialect says about holding a ledger, as data. Templates are for fmt: %s, or %[1]s and %[2]s.
type LedgerSQL struct {
	Schema       string // schema, dataset or catalog.schema of Upwell's tables where the user names no other
	CreateSchema string // of the quoted schema; "" = it must be there
	// Tables counts the tables of a name in a schema: %[1]s is what stands before the schema in its name, with a dot, or nothing;
	// %[2]s and %[3]s are parameters, schema and table. It must work where the schema is not there. "" = see Catalog.
	Tables  string
	Create  string // begin of a permanent table made of a query: "CREATE TABLE %s AS "
	Scratch string // the same for a table of one run, which need not survive a crash of the warehouse
	// Replace is Create for a table that takes the place of one that is there, in one step. It is needed where a statement that
	// makes or drops a table is a transaction of its own; "" = the old one is dropped before.
	Replace string
	// Placed stands behind the name of a table that is made and says that rows of one key column %s lie together. It is used for the
	// tables a comparison joins, where the key is one column that is compared as it is (see Exact). "" = the warehouse decides.
	Placed string
	// Wide turns a column of the model into the widest type that is still of its kind, by kind, where a column of a table made of a
	// query takes the length or precision of what the query gave just then, and would refuse longer values later.
	Wide map[row.Kind]string
	// NotNull says that a column of a table made of a query may refuse nulls where the query's column has none.
	NotNull bool
	// Types are the types that text is cast to, by kind; a decimal's takes precision and scale where it has two verbs. A column
	// that names its own (row.TypeKey) is cast to that.
	Types map[row.Kind]string
	// Rows makes a relation of the parameter %s, the JSON text of a list of lists of texts and nulls; Cell is a cell of it by
	// number, as text.
	Rows, Cell string
	// Differ says that %[1]s and %[2]s differ, null being a value like others; "" = IS DISTINCT FROM.
	Differ string
	// Exact turns a column into something whose equality is that of its values, by kind: text without the rules of a
	// collation, documents as text. A kind that is not named compares as it is.
	Exact map[row.Kind]string
	// Fold turns a text into what all its forms that a tool may take for the same share: case folded, blanks trimmed.
	Fold string
	// Refused are kinds of columns that cannot be compared, with what to write for such a column %[1]s in the model.
	Refused map[row.Kind]string
	// Materialized stands after a common table expression's AS and makes it be computed once; "" where several uses of one
	// may compute it anew: the model is then put into a table of its own first.
	Materialized string
	// Late says that reading the ledger once more, for the entries of the rows that leave, costs less than to carry all of them.
	Late         bool
	Transactions bool // several statements can be one transaction
	Merge        bool // has MERGE with conditions and a delete, and uses it instead of DELETE and INSERT
	DeleteUsing  bool // a DELETE takes no alias and joins by USING
	// Bulk says that Exec takes Statement.Rows: by a COPY, an appender. Elsewhere rows travel as parameters of statements.
	// Passing then begins a table made of a query for the time of a transaction; its name has no schema. "" = Scratch.
	Bulk       bool
	Passing    string
	ParamBytes int // longest text parameter; 0 = 4 MiB
	ParamCount int // how many parameters of Rows one statement may have, where one holds few rows; 0 = 1
}
