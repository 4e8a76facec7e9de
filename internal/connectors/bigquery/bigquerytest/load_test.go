package bigquerytest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func Test_a_file_is_loaded_into_a_table_named_as_in_a_statement(t *testing.T) {
	s := start(t)
	file := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(file, []byte("name,id\n,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "CREATE TABLE `more rows` (id INT64, name STRING)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context(), "more rows", file); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Records(t.Context(), "more rows")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(rows); err != nil || string(got) != "[{\"id\":1,\"name\":null}]" {
		t.Errorf("loaded %s, %v", got, err)
	}
	if err := s.Load(t.Context(), "no_such_table", file); err == nil {
		t.Error("a table that is not there was loaded")
	}
}
