package redshift

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// source reads models. Every call has a connection of its own, so that nothing of one query can leak into another.
type source struct{ *dialer }

// Dialect is Redshift's SQL as data.
func (s *source) Dialect() connector.Dialect {
	return connector.Dialect{Name: typeName, Quote: '"', Placeholder: "$", Ledger: &ledgerSQL}
}

// Close has nothing to close but idle connections to AWS: connections to the database end with their calls.
func (s *source) Close() error {
	if s.iam != nil {
		s.iam.client.Close()
	}
	return nil
}

// Check logs in and runs the smallest query.
func (s *source) Check(ctx context.Context) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer pgwire.Close(c)
	if err := pgwire.Run(ctx, c, "SELECT 1"); err != nil {
		return s.sourceFault(ctx, err, "checking the connection", connector.Query{}, false)
	}
	return nil
}

// Describe gives the columns of a query; no data is scanned.
func (s *source) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer pgwire.Close(c)
	p, err := s.prepare(ctx, c, q)
	if err != nil {
		return nil, err
	}
	return p.schema, nil
}

// open connects and starts a pinned read-only transaction.
func (s *source) open(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, s.connectFault(ctx, err)
	}
	if err := pgwire.Run(ctx, c, s.begin(true)); err != nil {
		pgwire.Close(c)
		return nil, s.sourceFault(ctx, err, "preparing the session", connector.Query{}, false)
	}
	return c, nil
}

// prepared is a query ready to run.
type prepared struct {
	*result
	sql    string   // what yields the result: the query itself, or a projection of it
	params [][]byte // bound with protocol: extended; with simple they are part of sql
}

// prepare finds out what a query yields. With the simple protocol that is what a query yields from which every row is filtered: the
// server plans it and scans nothing.
func (s *source) prepare(ctx context.Context, c *pgconn.PgConn, q connector.Query) (*prepared, error) {
	sql, args := q.Render(s.Dialect())
	p := &prepared{sql: sql}
	var fields []pgconn.FieldDescription
	if s.extended {
		for _, a := range args {
			p.params = append(p.params, pgwire.Param(a, ""))
		}
		desc, err := c.Prepare(ctx, "", sql, nil)
		if err != nil {
			return nil, s.sourceFault(ctx, err, "preparing the query", q, false)
		}
		fields = desc.Fields
	} else {
		var err error
		if p.sql, err = splice(sql, args); err != nil {
			return nil, err
		}
		if fields, err = s.describe(ctx, c, q, p.sql); err != nil {
			return nil, err
		}
	}
	if len(fields) == 0 {
		return nil, fault.New(fault.SourceQueryFailed, "the query yields no columns").WithFix("A model is one SELECT statement.")
	}
	var err error
	if p.result, err = plan(fields); err != nil {
		return nil, err
	}
	list := p.project()
	if list == "" {
		return p, nil
	}
	p.sql = "SELECT " + list + " FROM (\n" + p.sql + "\n) AS upwell_model"
	if s.extended {
		if _, err := c.Prepare(ctx, "", p.sql, nil); err != nil {
			return nil, s.sourceFault(ctx, err, "preparing the query", connector.Query{}, false)
		}
	}
	return p, nil
}

const describing = "SELECT * FROM (\n"

func (s *source) describe(ctx context.Context, c *pgconn.PgConn, q connector.Query, sql string) ([]pgconn.FieldDescription, error) {
	var fields []pgconn.FieldDescription
	all := c.Exec(ctx, describing+sql+"\n) AS upwell_model WHERE 1 = 0")
	for all.NextResult() {
		fields = append(fields, all.ResultReader().FieldDescriptions()...)
		if _, err := all.ResultReader().Close(); err != nil {
			break // Close of all gives it too
		}
	}
	err := all.Close()
	if err != nil {
		if pe, ok := pgwire.AsServer(err); ok && pe.Position > 0 {
			pe.Position -= int32(len(describing))
		}
		return nil, s.sourceFault(ctx, err, "preparing the query", q, false)
	}
	return fields, nil
}

// Tables names what lies beside a table. https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_TABLES.html: what the user may read. Functions
// such as current_schema() cannot be used beside it (https://docs.aws.amazon.com/redshift/latest/dg/c_sql-functions-leader-node-only.html).
func (s *source) Tables(ctx context.Context, name string) ([]string, error) {
	here := "public"
	if s.schema != "" {
		here = s.schema
	}
	here, err := literal(row.TextValue(here))
	if err != nil {
		return nil, err
	}
	return connector.Listed(ctx, s, name, "SELECT CAST(table_name AS VARCHAR(256)) FROM svv_tables WHERE table_schema = %s", here)
}
