package databricks

import (
	"context"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

// dialect is that of Databricks SQL: names in backticks
// (https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-identifiers), named parameters.
var dialect = connector.Dialect{Name: "databricks", Quote: '`', Placeholder: ":", Ledger: &ledgerSQL}

// source is one SQL warehouse.
type source struct {
	config
	client *httpkit.Client // with the workspace's credentials
	plain  *httpkit.Client // without any: links to results
	pace   rhythm
}

var (
	_ connector.Warehouse = (*source)(nil)
	_ connector.Catalog   = (*source)(nil)
)

// Dialect implements connector.Source.
func (s *source) Dialect() connector.Dialect { return dialect }

// Close drops idle connections. Statements that were left have been cancelled.
func (s *source) Close() error {
	s.plain.Close() // client shares its connections
	return nil
}

// Check runs the smallest query, which starts the warehouse if it is stopped: nothing less proves that the principal may use it.
func (s *source) Check(ctx context.Context) error {
	_, err := s.run(ctx, statement{sql: "SELECT 1 AS n", inline: true, doing: "connecting"})
	return err
}

// Describe asks for no rows: an optimizer rule (OptimizeLimitZero) turns the plan into an empty relation before anything is read.
// It asks for the result inline, where the manifest names the types of nested columns; with links it calls them STRING.
func (s *source) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	sql, params, err := render(q)
	if err != nil {
		return nil, err
	}
	st := statement{sql: "SELECT * FROM (\n" + sql + "\n) AS upwell_model LIMIT 0", params: params, inline: true, doing: "describing the query"}
	a, err := s.run(ctx, st)
	if err != nil {
		return nil, err
	}
	cols, err := columnsOf(a.Manifest, nil)
	if err != nil {
		return nil, err
	}
	return schemaOf(cols), nil
}

// Read runs the query as one statement and yields its result. It is complete when the manifest says that nothing was cut off, every
// chunk has come with as many rows as was said of it, and together they are as many as the manifest counts: an Arrow stream that
// is cut between two messages looks like one that ended.
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		sql, params, err := render(q)
		if err != nil {
			yield(nil, err)
			return
		}
		st := statement{sql: sql, params: params, inline: s.inline, doing: "reading the model"}
		err = s.read(ctx, st, q.Rows, func(b arrow.RecordBatch) bool { return yield(b, nil) })
		if err != nil {
			yield(nil, err)
		}
	}
}

// read gives the batches of a statement to yield until it does not want more.
func (s *source) read(ctx context.Context, st statement, told func(int64), yield func(arrow.RecordBatch) bool) error {
	a, err := s.run(ctx, st)
	if err != nil {
		return err
	}
	m := a.Manifest
	if m.Truncated {
		return fault.New(fault.SourceIncomplete, "%s: the result is larger than Databricks hands out, and was cut off after %d rows", st.doing, int64(m.RowCount)).
			WithFix("Results end at 100 GiB. Read fewer columns or rows, or use diff: warehouse, so that only changes leave it.")
	}
	if _, err := columnsOf(m, nil); err != nil {
		return err
	}
	var count int64
	left := false
	take := func(batches []arrow.RecordBatch) bool {
		for _, b := range batches {
			count += b.NumRows()
			if told != nil {
				told(count)
			}
			if left = !yield(b); left {
				return false
			}
		}
		return true
	}
	if m.RowCount > 0 {
		each := s.linked
		if s.inline {
			each = s.inlined
		}
		if err := each(ctx, st, a, take); err != nil || left {
			return err
		}
	}
	if count != int64(m.RowCount) {
		return fault.New(fault.SourceIncomplete, "%s: %d rows came where Databricks counts %d", st.doing, count, int64(m.RowCount))
	}
	return nil
}

// usable reports whether a link may be tried, which must not lead from https to http: what comes back is the data.
func (s *source) usable(l link) error {
	u, err := url.Parse(l.Address)
	if err != nil || u.Host == "" {
		return fault.New(fault.SourceIncomplete, "a link to a part of the result is no address")
	}
	if s.base.Scheme == "https" && u.Scheme != "https" {
		return fault.New(fault.SourceIncomplete, "a link to a part of the result, on %s, is without encryption", u.Host)
	}
	return nil
}

// over reports a link that has ended, by this machine's clock.
func (l link) over(now time.Time) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) }

// Tables names what lies beside a table and the principal can see
// (https://docs.databricks.com/aws/en/sql/language-manual/information-schema/tables).
func (s *source) Tables(ctx context.Context, name string) ([]string, error) {
	from := "information_schema.tables"
	if parts := strings.Split(name, "."); len(parts) == 3 {
		from = dialect.Ident(parts[0]) + "." + from
	}
	return connector.Listed(ctx, s, name, "SELECT table_name FROM "+from+" WHERE table_schema = %s", "CURRENT_SCHEMA()")
}
