package bigquery

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/api/googleapi"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// ledgerSQL is how BigQuery holds a ledger.
//
// Statements are not put into one transaction: a transaction that writes a table cancels others that do
// (https://docs.cloud.google.com/bigquery/docs/transactions#transaction_concurrency), and all syncs share the state table, so that two
// of them that settle at the same time would; it takes no DDL for permanent tables; and it costs three jobs more. Single statements
// wait for each other, each is atomic, and all are safe to repeat.
//
// Texts are compared as JSON texts, which have no collation; geographies, JSON, structs and arrays have no equality and are too.
// A null must stay one. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-manipulation-language,
// .../data-definition-language, .../query-syntax#join_types, .../json_functions, .../collation-concepts, .../conversion_functions
var ledgerSQL = connector.LedgerSQL{
	Schema:       "upwell",
	CreateSchema: "CREATE SCHEMA IF NOT EXISTS %s", // in the location of the job
	Create:       "CREATE TABLE %s CLUSTER BY upwell_k AS ",
	Scratch:      "CREATE TABLE %s OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)) AS ",
	Types: map[row.Kind]string{
		row.Text: "STRING", row.Int: "INT64", row.Uint: "NUMERIC", row.Decimal: "NUMERIC", row.Float: "FLOAT64", row.Bool: "BOOL",
		row.Date: "DATE", row.Time: "TIME", row.Timestamp: "DATETIME", row.Instant: "TIMESTAMP",
	},
	Rows: "UNNEST(JSON_QUERY_ARRAY(%s)) AS j",
	Cell: "JSON_VALUE(j, '$[%d]')",
	Exact: map[row.Kind]string{
		row.Text: exactText, row.JSON: exactText, row.Array: exactText,
	},
	Fold:       "LOWER(TRIM(CAST(%s AS STRING)))",
	Merge:      true,
	ParamBytes: 4 << 20, // a request has at most 10 MB: https://docs.cloud.google.com/bigquery/quotas#query_jobs
}

const exactText = "IF(%[1]s IS NULL, NULL, COLLATE(TO_JSON_STRING(%[1]s), ''))"

// dialect is the dialect without its ledger, for quoting.
var dialect = connector.Dialect{Name: typeName, Quote: '`', Backslash: true, Placeholder: "?"}

// Exec runs statements of the ledger one after the other, each as a job.
func (s *source) Exec(ctx context.Context, statements []connector.Statement) error {
	for _, st := range statements {
		n, err := s.settled(ctx, st)
		if err != nil {
			return s.ledgerFault(ctx, err)
		}
		if st.Affects > 0 && n != st.Affects {
			return fault.New(fault.StateLocked, "another process has taken over the ledger in the project %s (%d rows affected instead of %d)", s.config.project, n, st.Affects)
		}
	}
	return nil
}

// settled runs a statement, again where it collided with another that wrote the table: BigQuery queues such statements and repeats
// them, but not for ever. One that collided has changed nothing.
// https://docs.cloud.google.com/bigquery/docs/data-manipulation-language#dml_concurrency
func (s *source) settled(ctx context.Context, st connector.Statement) (n int64, err error) {
	for try := 1; ; try++ {
		n, err = s.change(ctx, st)
		if err == nil || !collided(err) || try == tries {
			return n, err
		}
		if err := rest(ctx, 4*pause<<(try-1)); err != nil {
			return 0, err
		}
	}
}

func collided(err error) bool {
	r, ok := answered(cause(err))
	return ok && (strings.Contains(r.message, "Could not serialize access") || strings.Contains(r.message, "due to concurrent update"))
}

// ledgerFault is queryFault for statements that write: a missing right, or a dataset nobody may make, is the state's.
func (s *source) ledgerFault(ctx context.Context, err error) error {
	const doing = "keeping the ledger"
	if collided(err) && ctx.Err() == nil {
		f := fault.New(fault.StateLocked, "%s in BigQuery: %s", doing, s.config.scrub(cause(err).Error()))
		f.Cause = err
		return f
	}
	out := fault.As(s.queryFault(ctx, err, doing))
	if out.Code == fault.SourceQueryFailed && strings.Contains(out.Message, "Access Denied") {
		f := fault.New(fault.StateUnusable, "%s", out.Message)
		f.Cause = err
		return f.WithFix("`upwell grants` prints what the account needs for diff: warehouse.")
	}
	return out
}

// HasTable looks a table up. A dataset that is not there has none; INFORMATION_SCHEMA would need rights in the whole project for that.
// https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables/get
func (s *source) HasTable(ctx context.Context, schema, table string) (bool, error) {
	project, dataset := s.config.project, schema
	if dot := strings.LastIndexByte(schema, '.'); dot >= 0 {
		project, dataset = strings.Trim(schema[:dot], "`"), schema[dot+1:]
	}
	_, err := s.client.DatasetInProject(project, strings.Trim(dataset, "`")).Table(table).Metadata(ctx)
	var api *googleapi.Error
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &api) && api.Code == http.StatusNotFound:
		return false, nil
	}
	return false, s.ledgerFault(ctx, err)
}
