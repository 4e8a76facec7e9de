package redshift

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// ledgerSQL is how Redshift holds a ledger.
//
// Texts are compared as bytes: VARCHAR and CHAR ignore trailing blanks, and a collation may ignore case
// (https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html, .../r_COLLATE.html). A VARCHAR without a length cuts at 256
// bytes, so that one is always given. A DELETE joins by USING and takes no alias (.../r_DELETE.html). MERGE takes no conditions
// (.../r_MERGE.html). A common table expression may be computed anew for each use (.../r_WITH_clause.html). SUPER cannot pass a full
// outer join (.../limitations-super.html). Rows travel as SUPER and are unnested (.../query-super.html).
//
// The two tables of a comparison are distributed by the key, so that their join moves no rows (.../c_data_redistribution.html); left
// alone, a table made of a query is distributed as the model's is (.../r_CTAS_usage_notes.html). Not by one of several columns, which may have
// few values, nor by a text, which is compared through a cast. They have no sort key: it would only help a merge join, which a full join
// is never (https://docs.aws.amazon.com/prescriptive-guidance/latest/query-lifecycle-redshift/explain-operators.html), and it costs compression.
var ledgerSQL = connector.LedgerSQL{
	Schema:       "upwell",
	CreateSchema: "CREATE SCHEMA IF NOT EXISTS %s",
	Tables:       "SELECT COUNT(*) AS n FROM svv_tables WHERE table_schema = %[2]s AND table_name = %[3]s",
	Create:       "CREATE TABLE %s AS ",
	Scratch:      "CREATE TABLE %s AS ",
	Placed:       " DISTKEY(%s)",
	Types: map[row.Kind]string{
		row.Text: text, row.Int: "BIGINT", row.Uint: "DECIMAL(20,0)", row.Decimal: "DECIMAL(%d,%d)", row.Float: "DOUBLE PRECISION", row.Bool: "BOOLEAN",
		row.Date: "DATE", row.Time: "TIME", row.Timestamp: "TIMESTAMP", row.Instant: "TIMESTAMPTZ",
	},
	Rows:         "(SELECT JSON_PARSE(%s) AS s) AS t, t.s AS j",
	Cell:         "CAST(j[%d] AS " + text + ")",
	Differ:       "(%[1]s <> %[2]s OR (%[1]s IS NULL) <> (%[2]s IS NULL))",
	Exact:        map[row.Kind]string{row.Text: "CAST(CAST(%s AS " + text + ") AS VARBYTE(65535))"},
	Wide:         map[row.Kind]string{row.Text: "CAST(%s AS " + text + ")"}, // a table made of a query takes the lengths that are there
	Fold:         "LOWER(TRIM(CAST(%s AS " + text + ")))",
	Refused:      map[row.Kind]string{row.JSON: "JSON_SERIALIZE(%[1]s) AS %[1]s"},
	DeleteUsing:  true,
	Transactions: true,
	ParamBytes:   maxText,
	ParamCount:   100, // a statement is at most 16 MB long
}

const text = "VARCHAR(65535)"

// attempts bounds how often a transaction that lost against another is repeated. Repeating it is what Redshift asks for, and safe:
// nothing of it has happened. Each waits for the tables' locks, so that one of those that collide always gets on.
const attempts = 5

// Exec runs statements of the ledger in one transaction.
func (s *source) Exec(ctx context.Context, statements []connector.Statement) error {
	for try := 1; ; try++ {
		err := s.transact(ctx, statements)
		if pe, ok := pgwire.AsServer(err); ok && conflict(pe) && try < attempts && ctx.Err() == nil {
			continue
		}
		return err
	}
}

func (s *source) transact(ctx context.Context, statements []connector.Statement) error {
	c, err := s.connect(ctx)
	if err != nil {
		return s.connectFault(ctx, err)
	}
	defer pgwire.Close(c)
	if err := pgwire.Run(ctx, c, s.begin(false)); err != nil {
		return s.ledgerFault(ctx, err, "preparing the session")
	}
	for _, st := range statements {
		if err := s.execute(ctx, c, st); err != nil {
			return err
		}
	}
	if err := pgwire.Run(ctx, c, "COMMIT"); err != nil {
		return s.ledgerFault(ctx, err, "committing")
	}
	return nil
}

func (s *source) execute(ctx context.Context, c *pgconn.PgConn, st connector.Statement) error {
	tag, err := s.send(ctx, c, st)
	if err != nil {
		return s.ledgerFault(ctx, err, "keeping the ledger")
	}
	if n := tag.RowsAffected(); st.Affects > 0 && n != st.Affects {
		return fault.New(fault.StateLocked, "another process has taken over the ledger in %s (%d rows affected instead of %d)", s.Address(), n, st.Affects)
	}
	return nil
}

func (s *source) send(ctx context.Context, c *pgconn.PgConn, st connector.Statement) (pgconn.CommandTag, error) {
	if s.extended {
		params := make([][]byte, len(st.Params))
		for i, v := range st.Params {
			if params[i] = pgwire.Param(v, ""); len(params[i]) > maxText {
				return pgconn.CommandTag{}, tooLong(len(params[i]))
			}
		}
		res := c.ExecParams(ctx, st.SQL, params, nil, nil, nil).Read()
		return res.CommandTag, res.Err
	}
	sql, err := splice(st.SQL, st.Params)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	results, err := c.Exec(ctx, sql).ReadAll()
	if err == nil && len(results) != 1 {
		err = fmt.Errorf("%d answers came for one statement", len(results))
	}
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return results[0].CommandTag, nil
}

// ledgerFault is sourceFault for statements that write: a missing right is the state's, and says what to grant.
func (s *source) ledgerFault(ctx context.Context, err error, doing string) error {
	out := fault.As(s.sourceFault(ctx, err, doing, connector.Query{}, false))
	pe, ok := pgwire.AsServer(err)
	if !ok {
		return out
	}
	var code fault.Code
	var fix string
	switch {
	case pe.Code == "42501" || pe.Code == "3F000":
		code, fix = fault.StateUnusable, fmt.Sprintf("`upwell grants` prints what the user %s needs for diff: warehouse.", s.login())
	case conflict(pe):
		code, fix = fault.StateLocked, "Other transactions on the tables of the ledger did not end. Run again; keep other tools away from the schema."
	default:
		return out
	}
	f := fault.New(code, "%s in redshift: %s", doing, s.hide(words(pe)))
	f.Cause = err
	return f.WithFix("%s", fix)
}
