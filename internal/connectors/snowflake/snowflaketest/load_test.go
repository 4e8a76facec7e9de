package snowflaketest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func Test_a_file_is_loaded_into_a_table_named_as_in_a_statement(t *testing.T) {
	s, _ := dial(t)
	file := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(file, []byte("name,id\n,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "CREATE TABLE \"Mixed\" (id NUMBER(38, 0), name VARCHAR)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context(), "\"Mixed\"", file); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Records(t.Context(), "\"Mixed\"")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(rows); err != nil || string(got) != "[{\"ID\":1,\"NAME\":null}]" {
		t.Errorf("loaded %s, %v", got, err)
	}
	if err := s.Load(t.Context(), "no_such_table", file); err == nil {
		t.Error("a table that is not there was loaded")
	}
}
