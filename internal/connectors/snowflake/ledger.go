package snowflake

import (
	"context"
	"database/sql/driver"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// ledgerSQL is how Snowflake holds a ledger. Pages are below https://docs.snowflake.com/en/sql-reference/.
//
//   - Tables of one run are transient and kept for no time, so that they cost nothing once they are dropped (sql/create-table,
//     user-guide/tables-temp-transient). That of the ledger is what the schema makes of a table.
//   - A statement that makes or drops a table commits what is open and is a transaction of its own (transactions); CREATE OR
//     REPLACE is one step (sql/create-table).
//   - A column of a table made of a query has the length and precision of the query's, which for a literal are its own
//     (sql/create-table, data-types-text): Wide.
//   - FLATTEN makes a row of every element (functions/flatten). GET of an element gives a VARIANT (functions/get), whose cast to
//     text has no quotes, and is null for the null of JSON (user-guide/semistructured-considerations).
//   - IS DISTINCT FROM takes null for a value (functions/is-distinct-from). NaN equals itself (data-types-numeric). A TIMESTAMP_TZ
//     equals any other of its instant (data-types-datetime). A text may have a collation that takes different texts for
//     equal (collation): bytes have none (functions/to_binary). What is semi-structured is compared as its text, in which the
//     keys of an object are in order (functions/to_json, data-types-semistructured).
//   - Nothing says that a common table expression used twice is computed once (constructs/with): Materialized is empty.
//   - MERGE is not used: a NULL for a column that is not known would be a column of its source, with a type of its own
//     (sql/merge). DELETE and INSERT in one transaction do the same.
var ledgerSQL = connector.LedgerSQL{
	Schema:       "upwell",
	CreateSchema: "CREATE SCHEMA IF NOT EXISTS %s",
	Tables:       "SELECT COUNT(*) AS n FROM %[1]sINFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %[2]s AND TABLE_NAME = %[3]s",
	Create:       "CREATE TABLE %s AS ",
	Replace:      "CREATE OR REPLACE TABLE %s AS ",
	Scratch:      "CREATE TRANSIENT TABLE %s DATA_RETENTION_TIME_IN_DAYS = 0 AS ",
	Wide: map[row.Kind]string{
		row.Text: "CAST(%s AS VARCHAR)", row.Bytes: "CAST(%s AS BINARY)",
		row.Int: "CAST(%s AS NUMBER(18, 0))", // the most that planColumn takes for an integer
	},
	NotNull: true, // the pages do not say that it is not so
	Types: map[row.Kind]string{
		row.Text: "VARCHAR", row.Int: "NUMBER(18, 0)", row.Uint: "NUMBER(20, 0)", row.Decimal: "NUMBER(%d, %d)", row.Float: "FLOAT", row.Bool: "BOOLEAN",
		row.Date: "DATE", row.Time: "TIME(9)", row.Timestamp: "TIMESTAMP_NTZ(9)", row.Instant: "TIMESTAMP_TZ(9)", row.UUID: "VARCHAR",
	},
	Rows: "TABLE(FLATTEN(INPUT => PARSE_JSON(%s))) AS upwell_rows",
	Cell: "GET(upwell_rows.VALUE, %d)::VARCHAR",
	Exact: map[row.Kind]string{
		row.Text: "TO_BINARY(%s, 'UTF-8')", row.UUID: "TO_BINARY(%s, 'UTF-8')",
		row.JSON: "TO_JSON(CAST(%s AS VARIANT))", row.Array: "TO_JSON(CAST(%s AS VARIANT))",
	},
	// By way of bytes, as LOWER refuses some collations (functions/lower).
	Fold:         "LOWER(TRIM(TO_VARCHAR(TO_BINARY(CAST(%s AS VARCHAR), 'UTF-8'), 'UTF-8')))",
	Transactions: true,
	ParamBytes:   8 << 20, // a text may have 16 MiB (data-types-text)
}

// Exec runs statements of the ledger in one session: as one transaction, unless one of them makes or drops something, which
// would end it (https://docs.snowflake.com/en/sql-reference/transactions).
func (s *source) Exec(ctx context.Context, statements []connector.Statement) error {
	return s.with(ctx, func(ss *session) error {
		c, ok := ss.Conn.(driver.ExecerContext)
		if !ok {
			return fault.New(fault.Internal, "the driver runs no statements")
		}
		w := &writing{source: s, session: ss, conn: c}
		if slices.ContainsFunc(statements, defines) {
			return w.each(ctx, statements)
		}
		return w.together(ctx, statements)
	})
}

// defines reports whether a statement makes or drops something. Package dialect writes them all.
func defines(st connector.Statement) bool {
	return strings.HasPrefix(st.SQL, "CREATE ") || strings.HasPrefix(st.SQL, "DROP ")
}

// writing runs statements in a session.
type writing struct {
	*source
	session *session
	conn    driver.ExecerContext
	done    int // statements that took effect, or may have
}

// rollbackTime is what undoing may take when the caller's time is over.
const rollbackTime = 10 * time.Second

func (w *writing) together(ctx context.Context, statements []connector.Statement) (err error) {
	if err := w.one(ctx, connector.Statement{SQL: "BEGIN TRANSACTION"}); err != nil {
		return err
	}
	if err := w.each(ctx, statements); err != nil {
		// A statement that fails leaves the transaction open.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		_, undone := w.conn.ExecContext(ctx, "ROLLBACK", nil)
		w.session.spent = undone != nil
		return err
	}
	if err := w.one(ctx, connector.Statement{SQL: "COMMIT"}); err != nil {
		w.session.spent = true
		return err
	}
	return nil
}

func (w *writing) each(ctx context.Context, statements []connector.Statement) error {
	for _, st := range statements {
		if err := w.one(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) one(ctx context.Context, st connector.Statement) error {
	args, at := bind(st.Params)
	if at >= 0 {
		return fault.New(fault.Internal, "a statement of the ledger has a parameter of kind %s", st.Params[at].Kind())
	}
	res, err := w.conn.ExecContext(ctx, st.SQL, args)
	if err != nil {
		return w.ledgerFault(ctx, err)
	}
	w.done++
	if st.Affects == 0 {
		return nil
	}
	n, err := res.RowsAffected() // of an UPDATE: rows updated, and rows joined more than once, of which there are none
	if err != nil {
		return w.ledgerFault(ctx, err)
	}
	if n != st.Affects {
		return fault.New(fault.StateLocked, "another process has taken over the ledger in %s (%d rows affected instead of %d)", address(w.config), n, st.Affects)
	}
	return nil
}

// missingPlace is what a statement is told whose table cannot stand where it should.
var missingPlace = regexp.MustCompile(`(Schema|Database) '[^']*' does not exist`)

// ledgerFault is queryFault for statements that write: a missing right is the state's, and says what to grant. Work that has begun
// is not begun again in another session.
func (w *writing) ledgerFault(ctx context.Context, err error) error {
	f := fault.As(w.queryFault(ctx, w.session, err, "keeping the ledger"))
	var e *sf.SnowflakeError
	if errors.As(err, &e) && f.Code == fault.SourceQueryFailed {
		switch {
		case e.Number == codeNoDatabase:
			f.Code = fault.StateUnusable
		case e.Number == codePrivileges, e.Number == codeNoObject && missingPlace.MatchString(e.Message):
			f.Code = fault.StateUnusable
			f.Fix = "`upwell grants` prints what role " + w.role() + " needs for diff: warehouse."
		}
	}
	var gone sessionGone
	if w.done > 0 && errors.As(f.Cause, &gone) {
		f.Cause = gone.error
	}
	return f
}
