package duckdb

import (
	"context"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
)

func Test_a_scratch_database_is_written_read_and_left(t *testing.T) {
	s, err := NewScratch(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"CREATE SCHEMA crm; USE crm", "CREATE TABLE a (id INTEGER)", "INSERT INTO a SELECT * FROM range(100000)"} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Exec(t.Context(), "DELETE FROM a WHERE id < 10"); n != 10 || err != nil {
		t.Errorf("deleted %d: %v", n, err)
	}
	if schema, err := c.Describe(t.Context(), "SELECT id FROM crm.a"); err != nil || schema.Field(0).Name != "id" {
		t.Errorf("%v, %v", schema, err)
	}
	rows := int64(0)
	for b, err := range c.Read(t.Context(), "SELECT id FROM a") {
		if err != nil {
			t.Fatal(err)
		}
		if rows == 0 && b.Column(0).(*array.Int32).Value(0) != 10 {
			t.Errorf("begins with %s", b.Column(0))
		}
		rows += b.NumRows()
	}
	if rows != 99990 {
		t.Errorf("%d rows", rows)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.Exec(ctx, "DROP TABLE a"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a dead context: %v", err)
	}
	c.Close()
	s.Close()
}
