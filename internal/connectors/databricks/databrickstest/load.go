package databrickstest

import (
	"context"
	"strings"
)

// Load appends the rows of a CSV file with a line of names to a table, written as in a statement. It does at once what COPY INTO does:
// https://docs.databricks.com/aws/en/sql/language-manual/delta-copy-into
func (s *Server) Load(ctx context.Context, table, file string) error {
	name, _, err := translate(table, nil, Catalog)
	if err != nil {
		return err
	}
	session, err := s.session(ctx, "", "")
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Load(ctx, strings.TrimSpace(name), file)
}
