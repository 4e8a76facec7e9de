package databricks

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// ledgerSQL is how Databricks holds a ledger, in Delta tables of Unity Catalog. The manual, below
// https://docs.databricks.com/aws/en/sql/language-manual/:
//
//   - The manual has no transaction over several statements in this API; every statement is one. MERGE takes conditions and a delete
//     (delta-merge-into), so that acknowledgements reach the ledger in one statement.
//   - Column names may hold anything with column mapping (../../delta/column-mapping), which a model's names need.
//   - Text may have a collation (sql-ref-collation), so it is compared by its bytes. A MAP cannot be compared and a VARIANT has no
//     order (data-types/map-type, variant-type); nested values are compared as JSON. to_json leaves out null fields and cuts times
//     to milliseconds unless told otherwise (functions/to_json).
//   - from_json makes NULL of what it cannot read, and explode no row of NULL: FAILFAST makes that an error (functions/from_json).
//   - A common table expression is part of the query that uses it and may be computed as often, so the model goes into a table first.
//   - information_schema may lag behind what was just made: https://github.com/databricks/dbt-databricks/pull/799. So tables are
//     looked up by name, see HasTable.
var ledgerSQL = connector.LedgerSQL{
	Schema:       "upwell",
	CreateSchema: "CREATE SCHEMA IF NOT EXISTS %s",
	Create:       "CREATE TABLE %s TBLPROPERTIES ('delta.columnMapping.mode' = 'name') AS ",
	Scratch:      "CREATE TABLE %s TBLPROPERTIES ('delta.columnMapping.mode' = 'name') AS ",
	Types: map[row.Kind]string{
		row.Text: "STRING", row.Int: "BIGINT", row.Uint: "DECIMAL(20, 0)", row.Decimal: "DECIMAL(%d, %d)", row.Float: "DOUBLE", row.Bool: "BOOLEAN",
		row.Date: "DATE", row.Timestamp: "TIMESTAMP_NTZ", row.Instant: "TIMESTAMP",
	},
	Rows: "(SELECT EXPLODE(FROM_JSON(%s, 'ARRAY<ARRAY<STRING>>', MAP('mode', 'FAILFAST'))) AS j) AS upwell_rows",
	Cell: "j[%d]",
	Exact: map[row.Kind]string{
		row.Text: "CAST(%s AS BINARY)", row.JSON: exactJSON, row.Array: exactJSON, row.Interval: "CAST(%s AS STRING)",
	},
	Fold:       "LOWER(TRIM(CAST(%s AS STRING)))",
	Merge:      true,
	ParamBytes: 4 << 20,
}

const exactJSON = `TO_JSON(%s, MAP('ignoreNullFields', 'false', 'timestampFormat', "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", ` +
	`'timestampNTZFormat', "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"))`

// Exec runs statements of the ledger one after the other; each is a transaction of its own. One that lost against another writer
// of the same table had no effect and is run again: ledgers share the state table, and rows of it share a file.
func (s *source) Exec(ctx context.Context, statements []connector.Statement) error {
	for _, st := range statements {
		err := s.repeat(ctx, func(f *fault.Error) bool { return endedAs(f).conflict() }, func() error { return s.execute(ctx, st) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *source) execute(ctx context.Context, st connector.Statement) error {
	a, err := s.run(ctx, statement{sql: st.SQL, params: st.Params, inline: true, doing: "keeping the ledger"})
	if err != nil {
		return s.ledgerFault(ctx, st, err)
	}
	if st.Affects == 0 {
		return nil
	}
	if n := affected(a); n != st.Affects {
		return fault.New(fault.StateLocked, "another process has taken over the ledger in databricks at %s (%d rows affected instead of %d)", s.base.Host, n, st.Affects)
	}
	return nil
}

// HasTable looks a table up by using it, without reading a row. A schema that is not there has none.
// https://docs.databricks.com/aws/en/error-messages/table-or-view-not-found-error-class
func (s *source) HasTable(ctx context.Context, schema, table string) (bool, error) {
	name := dialect.Table(schema) + "." + dialect.Ident(table)
	_, err := s.run(ctx, statement{sql: "SELECT 1 AS n FROM " + name + " WHERE 1 = 0", inline: true, doing: "looking for the ledger"})
	switch e := endedAs(err); {
	case err == nil:
		return true, nil
	case e.missing():
		return false, nil
	case e.forbidden():
		f := fault.New(fault.StateUnusable, "%s", fault.As(err).Message)
		f.Cause = e
		return false, f.WithFix("%s `upwell grants` prints all that diff: warehouse needs.", s.grantFix(e.message))
	}
	return false, err
}

// affected reads what a statement that writes answers: one row whose column num_affected_rows counts
// (https://docs.databricks.com/aws/en/sql/language-manual/delta-update). -1 when it does not.
func affected(a *answer) int64 {
	for i, c := range a.Manifest.Schema.Columns {
		if c.Name == "num_affected_rows" && len(a.Result.Data) == 1 && i < len(a.Result.Data[0]) && a.Result.Data[0][i] != nil {
			if n, err := strconv.ParseInt(*a.Result.Data[0][i], 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// endedAs is how a statement ended, by its fault.
func endedAs(err error) ended {
	var e ended
	errors.As(err, &e)
	return e
}

// ledgerFault makes the fault of a statement that writes: a missing right is the state's, and says what to grant.
func (s *source) ledgerFault(ctx context.Context, st connector.Statement, err error) error {
	e := endedAs(err)
	switch {
	case e.conflict():
		f := fault.New(fault.StateLocked, "%s", fault.As(err).Message)
		f.Cause = e
		return f.WithFix("Another process writes the same tables. Run again.")
	case !e.forbidden():
		return err
	}
	// A schema that an administrator made is good enough, whoever may not make one.
	if name, ok := strings.CutPrefix(st.SQL, strings.TrimSuffix(ledgerSQL.CreateSchema, "%s")); ok {
		if _, there := s.run(ctx, statement{sql: "DESCRIBE SCHEMA " + name, inline: true, doing: "looking for the ledger"}); there == nil {
			return nil
		}
	}
	f := fault.New(fault.StateUnusable, "%s", fault.As(err).Message)
	f.Cause = e
	return f.WithFix("%s `upwell grants` prints all that diff: warehouse needs.", s.grantFix(e.message))
}
