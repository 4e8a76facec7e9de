package snowflaketest

import "context"

// Load appends the rows of a CSV file with a line of names to a table, named as in a statement. It does at once what a stage and COPY
// INTO with MATCH_BY_COLUMN_NAME do: https://docs.snowflake.com/en/sql-reference/sql/copy-into-table
func (s *Server) Load(ctx context.Context, table, file string) error {
	e, err := s.engine.Session(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	if _, err := e.Exec(ctx, place(Database, Schema)); err != nil {
		return err
	}
	tokens, err := lex.Split(table)
	if err != nil {
		return err
	}
	name, _ := qualified(tokens, 0)
	return e.Load(ctx, quoteParts(name), file)
}
