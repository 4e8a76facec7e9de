package redshifttest

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
)

// Exec runs statements in Redshift's dialect past the protocol. Faults do not reach them.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	return s.inside(ctx, func(c *pgconn.PgConn) error {
		for _, sql := range statements {
			if _, err := c.Exec(ctx, s.translate(sql, calm)).ReadAll(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Load appends the rows of a CSV file with a line of names to a table. It does at once what COPY from S3 with CSV does, which also
// gathers statistics where the table was empty: https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html and
// https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-load.html#copy-statupdate
func (s *Server) Load(ctx context.Context, table, file string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := bufio.NewReaderSize(f, 64<<10)
	head, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	columns := strings.Split(strings.TrimRight(head, "\r\n"), ",")
	for i, c := range columns {
		columns[i] = pgwire.Ident(c)
	}
	return s.inside(ctx, func(c *pgconn.PgConn) error {
		if _, err := c.CopyFrom(ctx, r, "COPY "+path(table)+" ("+strings.Join(columns, ", ")+") FROM STDIN WITH (FORMAT csv)"); err != nil {
			return err
		}
		return pgwire.Run(ctx, c, "ANALYZE "+path(table))
	})
}

// inside gives a connection to the database behind the server.
func (s *Server) inside(ctx context.Context, do func(*pgconn.PgConn) error) (err error) {
	c, err := pgconn.ConnectConfig(ctx, s.backend.Copy())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	return do(c)
}

// path quotes a table's name, with or without its schema. Redshift folds names to lower case, in quotes too:
// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
func path(table string) string {
	parts := strings.Split(strings.ToLower(table), ".")
	for i, p := range parts {
		parts[i] = pgwire.Ident(p)
	}
	return strings.Join(parts, ".")
}
