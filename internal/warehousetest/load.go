package warehousetest

import "context"

// Load appends the rows of a CSV file, whose first line names the columns, to a table that is there. Empty fields are null. Values take
// the types of the table's columns, as with a warehouse's own bulk loading; table is a name as DuckDB writes it.
func (s *Session) Load(ctx context.Context, table, file string) error {
	_, err := s.Exec(ctx, "INSERT INTO "+table+" BY NAME SELECT * FROM read_csv("+Literal(file)+", header = true, all_varchar = true, nullstr = '')")
	return err
}
