package demo

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
	"github.com/upwelldata/upwell/internal/fault"
)

// DuckDB is the warehouse of a demo that asks for no other: the file the company is generated in.
const DuckDB = "duckdb"

// Warehouses are those a demo can have: DuckDB, and those that have a stand-in.
func Warehouses() []string {
	out := []string{DuckDB}
	for _, k := range kinds {
		out = append(out, k.name)
	}
	return out
}

// standIn is a stand-in of a warehouse. Exec takes statements in its dialect, Load appends the rows of a CSV file to a table, as the
// vendor's bulk loading does.
type standIn interface {
	connector.Sandbox
	Exec(ctx context.Context, statements ...string) error
	Load(ctx context.Context, table, file string) error
}

// kind is a warehouse with a stand-in, and what making tables in it needs.
type kind struct {
	name, title string
	start       func(ctx context.Context, listen string) (standIn, error)
	types       map[string]string // DuckDB's types of the company's columns as the warehouse calls them
	replace     []string          // what makes a table anew; %s is its name
}

const listen = "127.0.0.1:0"

// Types: https://docs.snowflake.com/en/sql-reference/intro-summary-data-types,
// https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-types,
// https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datatypes,
// https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html.
// CREATE OR REPLACE TABLE: https://docs.snowflake.com/en/sql-reference/sql/create-table,
// https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_statement,
// https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-create-table-using; Redshift's CREATE TABLE does not have it:
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html.
var kinds = []kind{
	{
		name: "snowflake", title: "Snowflake", replace: []string{"CREATE OR REPLACE TABLE %s"},
		types: map[string]string{"VARCHAR": "VARCHAR", "INTEGER": "INTEGER", "DATE": "DATE", "DECIMAL(12,2)": "NUMBER(12, 2)"},
		start: func(ctx context.Context, listen string) (standIn, error) { return snowflaketest.Start(ctx, listen) },
	},
	{
		name: "bigquery", title: "BigQuery", replace: []string{"CREATE OR REPLACE TABLE %s"},
		types: map[string]string{"VARCHAR": "STRING", "INTEGER": "INT64", "DATE": "DATE", "DECIMAL(12,2)": "NUMERIC(12, 2)"},
		start: func(ctx context.Context, listen string) (standIn, error) {
			return bigquerytest.Start(ctx, listen, bigquerytest.Options{})
		},
	},
	{
		name: "databricks", title: "Databricks", replace: []string{"CREATE OR REPLACE TABLE %s"},
		types: map[string]string{"VARCHAR": "STRING", "INTEGER": "INT", "DATE": "DATE", "DECIMAL(12,2)": "DECIMAL(12, 2)"},
		start: func(ctx context.Context, listen string) (standIn, error) { return databrickstest.Start(ctx, listen) },
	},
	{
		name: "redshift", title: "Redshift", replace: []string{"DROP TABLE IF EXISTS %s", "CREATE TABLE %s"},
		types: map[string]string{"VARCHAR": "VARCHAR(256)", "INTEGER": "INTEGER", "DATE": "DATE", "DECIMAL(12,2)": "DECIMAL(12, 2)"},
		start: func(ctx context.Context, listen string) (standIn, error) {
			return redshifttest.StartSandbox(ctx, PostgresVariable, listen)
		},
	},
}

// house is a warehouse beside the file the company is generated in. A nil one is that file itself.
type house struct {
	kind
	standIn
}

// open starts the stand-in of a warehouse and leaves its settings in the variables that the project's warehouse.yml names.
func open(ctx context.Context, name string) (*house, error) {
	if name == "" || name == DuckDB {
		return nil, nil //nolint:nilnil // see house
	}
	for _, k := range kinds {
		if k.name != name {
			continue
		}
		s, err := k.start(ctx, listen)
		if err != nil {
			return nil, err
		}
		h := &house{k, s}
		for setting, value := range s.Settings() {
			if err := os.Setenv("UPWELL_DEMO_WAREHOUSE_"+strings.ToUpper(setting), value); err != nil {
				_ = s.Close() //nolint:errcheck // the first error counts
				return nil, fault.Wrap(fault.Internal, err, "setting the variables of the warehouse")
			}
		}
		return h, nil
	}
	return nil, fault.New(fault.UsageUnknown, "the demo has no warehouse %q", name).WithFix("use one of %s", strings.Join(Warehouses(), ", "))
}

// bring makes tables of the company anew in the warehouse, and with them health, which the models read. It is a table: a view of
// BigQuery's would have to name the dataset of what it reads (https://docs.cloud.google.com/bigquery/docs/views), and the model's SQL
// names none. dir is for files.
func (h *house) bring(ctx context.Context, company *sql.Conn, dir string, tables ...string) error {
	if h == nil {
		return nil
	}
	for _, t := range tables {
		if err := h.table(ctx, company, dir, t); err != nil {
			return fmt.Errorf("loading %s: %w", t, err)
		}
	}
	health, err := files.ReadFile(healthFile)
	if err != nil {
		return err
	}
	return h.Exec(ctx, h.anew("health", " AS\n"+string(health))...)
}

func (h *house) table(ctx context.Context, company *sql.Conn, dir, name string) error {
	columns, err := h.columns(ctx, company, name)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, name+".csv")
	if _, err := company.ExecContext(ctx, "copy "+name+" to '"+strings.ReplaceAll(file, "'", "''")+"' (format csv, header)"); err != nil {
		return err
	}
	if err := h.Exec(ctx, h.anew(name, " ("+strings.Join(columns, ", ")+")")...); err != nil {
		return err
	}
	if err := h.Load(ctx, name, file); err != nil {
		return err
	}
	return os.Remove(file)
}

// anew gives statements that make a table; what follows its name is behind.
func (h *house) anew(name, behind string) []string {
	var out []string
	for _, s := range h.replace {
		out = append(out, fmt.Sprintf(s, name))
	}
	out[len(out)-1] += behind
	return out
}

// columns are a table's columns in the warehouse's types.
func (h *house) columns(ctx context.Context, company *sql.Conn, table string) (out []string, err error) {
	rows, err := company.QueryContext(ctx, "select column_name, data_type from duckdb_columns() where table_name = ? order by column_index", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return nil, err
		}
		as, ok := h.types[typ]
		if !ok {
			return nil, fmt.Errorf("column %s has the type %s, which %s has no name for", name, typ, h.title)
		}
		out = append(out, name+" "+as)
	}
	return out, rows.Err()
}

func (h *house) close() error {
	if h == nil {
		return nil
	}
	return h.Close()
}
