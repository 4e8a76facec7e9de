package proof_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // makes the file
	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/duckdb"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/connectors/snowflake"
	"github.com/upwelldata/upwell/internal/testdb"
)

// database is where a world's model stands as a table, and its ledger.
type database struct {
	connector.SourceConnector
	settings string
	fill     func([]string) error // runs statements
}

func inPostgres(t testing.TB) database {
	dsn := testdb.Postgres(t)
	c, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return database{postgres.Source(), "dsn: '" + dsn + "'", func(list []string) error {
		_, err := c.Exec(context.Background(), strings.Join(list, ";"))
		return err
	}}
}

func inDuckDB(t testing.TB) database {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db, err := sql.Open("duckdb", path)
	if err == nil {
		err = errors.Join(db.PingContext(context.Background()), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return database{duckdb.Source(), "path: " + path, func(list []string) (err error) {
		// the program's own way of writing, as one process has one instance of a database
		src, err := duckdb.Source().Open(context.Background(), connector.NewConfig(map[string]string{"path": path}, nil, nil), connector.Env{Name: "fill", Ledger: true})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, src.Close()) }()
		var stmts []connector.Statement
		for _, s := range list {
			stmts = append(stmts, connector.Statement{SQL: s})
		}
		return src.(connector.Warehouse).Exec(context.Background(), stmts)
	}}
}

func inSnowflake(t testing.TB) database {
	s, open := snowflakeStandIn(t)
	var settings []string
	for name, value := range s.Settings() {
		settings = append(settings, name+": "+value)
	}
	return database{snowflake.Source(), strings.Join(settings, ", "), func(list []string) (err error) {
		src, err := open(context.Background())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, src.Close()) }()
		var stmts []connector.Statement
		for _, s := range list {
			// BIGINT is NUMBER(38, 0) there, which is no integer of 64 bits
			stmts = append(stmts, connector.Statement{SQL: strings.Replace(s, "BIGINT", "NUMBER(18, 0)", 1)})
		}
		return src.Exec(context.Background(), stmts)
	}}
}
