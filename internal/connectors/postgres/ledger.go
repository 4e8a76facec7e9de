package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// ledgerSQL is how PostgreSQL holds a ledger (12 and newer). Types without an equality of values are compared as text: json has
// none, that of intervals takes a month for thirty days, and text may follow a collation or a type that folds case.
// https://www.postgresql.org/docs/current/functions-comparison.html, .../queries-with.html, .../functions-json.html
var ledgerSQL = connector.LedgerSQL{
	Schema:       "upwell",
	CreateSchema: "CREATE SCHEMA IF NOT EXISTS %s",
	Tables:       "SELECT COUNT(*) AS n FROM %[1]sinformation_schema.tables WHERE table_schema = %[2]s AND table_name = %[3]s",
	Create:       "CREATE TABLE %s AS ",
	Scratch:      "CREATE UNLOGGED TABLE %s AS ",
	Types: map[row.Kind]string{
		row.Text: "text", row.Int: "bigint", row.Uint: "numeric(20)", row.Decimal: "numeric", row.Float: "double precision", row.Bool: "boolean",
		row.Date: "date", row.Time: "time", row.Timestamp: "timestamp", row.Instant: "timestamptz", row.UUID: "uuid",
	},
	Rows: "jsonb_array_elements(CAST(%s AS jsonb)) AS upwell_rows(j)",
	Cell: "j->>%d",
	Exact: map[row.Kind]string{
		row.Text: `CAST(%s AS text) COLLATE "C"`, row.JSON: `CAST(%s AS text) COLLATE "C"`, row.Array: `CAST(%s AS text) COLLATE "C"`,
		row.Interval: `CAST(%s AS text) COLLATE "C"`,
	},
	Wide:         map[row.Kind]string{row.Text: "CAST(%s AS text)"}, // varchar(10) may become varchar(20)
	Fold:         fold,
	Materialized: "MATERIALIZED ",
	Late:         true,
	Transactions: true,
	Bulk:         true,
}

// fold: in a database with the locale C, LOWER knows the letters of ASCII only, and others differ in the rest. So all beyond ASCII
// share one text, and so do i and k, whose other forms are beyond it (İ and the sign of Kelvin): more rows may leave, none stays that
// a tool takes for the same. https://www.postgresql.org/docs/current/locale.html, .../functions-matching.html#POSIX-SYNTAX-DETAILS
const fold = `TRANSLATE(LOWER(TRIM(CASE WHEN OCTET_LENGTH(CAST(%[1]s AS text)) = CHAR_LENGTH(CAST(%[1]s AS text)) THEN CAST(%[1]s AS text) ` +
	`ELSE REGEXP_REPLACE(CAST(%[1]s AS text), '[^\x01-\x7f]', '?', 'g') END)), 'ik', '??')`

// Exec runs statements of the ledger in one transaction.
func (s *source) Exec(ctx context.Context, statements []connector.Statement) error {
	c, err := s.connect(ctx)
	if err != nil {
		return s.connectFault(ctx, err)
	}
	defer closeConn(c)
	if err := run(ctx, c, s.begin(false)+"; SET LOCAL client_min_messages = 'warning'"); err != nil {
		return s.ledgerFault(ctx, err, "preparing the session")
	}
	for _, st := range statements {
		if err := s.execute(ctx, c, st); err != nil {
			return err
		}
	}
	if err := run(ctx, c, "COMMIT"); err != nil {
		return s.ledgerFault(ctx, err, "committing")
	}
	return nil
}

func (s *source) execute(ctx context.Context, c *pgconn.PgConn, st connector.Statement) error {
	if st.Rows != nil {
		return s.load(ctx, c, st.Into, st.Rows)
	}
	params := make([][]byte, len(st.Params))
	for i, v := range st.Params {
		params[i] = pgwire.Param(v, hexMark)
	}
	res := c.ExecParams(ctx, st.SQL, params, nil, nil, nil).Read()
	if res.Err != nil {
		return s.ledgerFault(ctx, res.Err, "keeping the ledger")
	}
	if n := res.CommandTag.RowsAffected(); st.Affects > 0 && n != st.Affects {
		return fault.New(fault.StateLocked, "another process has taken over the ledger in %s (%d rows affected instead of %d)", s.Address(), n, st.Affects)
	}
	return nil
}

// ledgerFault is sourceFault for statements that write: a missing right is the state's, and says what to grant.
func (s *source) ledgerFault(ctx context.Context, err error, doing string) error {
	out := fault.As(s.sourceFault(ctx, err, doing, connector.Query{}, false))
	if pe, ok := pgError(err); ok && (pe.Code == "42501" || pe.Code == "3F000") {
		f := fault.New(fault.StateUnusable, "%s in postgres: %s", doing, s.Scrub(words(pe)))
		f.Cause = err
		return f.WithFix("`upwell grants` prints what the user %s needs for diff: warehouse.", s.User)
	}
	return out
}
