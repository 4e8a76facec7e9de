package demo

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the database/sql driver "duckdb"

	"github.com/upwelldata/upwell/internal/fault"
)

//go:embed project
var files embed.FS

var (
	//go:embed warehouse.sql
	warehouseSQL string
	//go:embed later.sql
	laterSQL string
)

// healthFile is the model of the health score, which also is the table health that the other models read.
const healthFile = "project/models/customer_health.sql"

// writeProject writes the project into an empty folder: with the file that describes the product database, and the one of the warehouse.
func writeProject(dir, product, warehouse string) error {
	for from, to := range map[string]string{
		"upwell.yml": "upwell.yml", product: "product.yml", warehouse: "warehouse.yml", "models/customer_health.sql": "models/customer_health.sql",
		"models/personalisation.sql": "models/personalisation.sql", "models/at_risk_accounts.sql": "models/at_risk_accounts.sql",
	} {
		b, err := files.ReadFile("project/" + from)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "reading the demo project")
		}
		name := filepath.Join(dir, filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fault.Wrap(fault.UsageUnknown, err, "writing the demo project")
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return fault.Wrap(fault.UsageUnknown, err, "writing the demo project")
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		return fault.Wrap(fault.UsageUnknown, err, "writing the demo project")
	}
	return nil
}

// inCompany runs statements in the file the company is generated in and closes it again, because only one program at a time may write
// to it.
func (s *show) inCompany(ctx context.Context, do func(*sql.Conn) error) (err error) {
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = fault.Wrap(fault.Internal, err, "making the demo's warehouse")
		}
	}()
	db, err := sql.Open("duckdb", s.company)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx) // variables belong to a connection
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	set := fmt.Sprintf("set variable seed = %d::ubigint; set variable rows = %d; set variable spared = '%s'", s.Seed, s.Rows, s.spared)
	if _, err := c.ExecContext(ctx, set); err != nil {
		return err
	}
	return do(c)
}

// warehouse generates the data and picks the account whose record will be refused in the end. It tells what there is.
func (s *show) warehouse(ctx context.Context) (facts string, err error) {
	err = s.inCompany(ctx, func(c *sql.Conn) error {
		health, err := files.ReadFile(healthFile)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, warehouseSQL+"\ncreate view health as\n"+string(health)); err != nil {
			return err
		}
		var parts []string
		tables := []string{"accounts", "product_events", "tickets", "invoices", "nps_answers"}
		if err := s.house.bring(ctx, c, filepath.Dir(s.company), append(tables, "warehouse_calendar")...); err != nil {
			return err
		}
		for _, t := range tables {
			var n int
			if err := c.QueryRowContext(ctx, "select count(*) from "+t).Scan(&n); err != nil {
				return err
			}
			parts = append(parts, fmt.Sprintf("%s %s", number(n), strings.ReplaceAll(t, "_", " ")))
		}
		facts = strings.Join(parts, ", ")
		// a healthy account with a good answer, so that a bad one changes its score
		return c.QueryRowContext(ctx, `select account_id from health where health_tier = 'healthy' and nps >= 7
			order by dice('spared', account_id), account_id limit 1`).Scan(&s.spared)
	})
	return facts, err
}

// later lets a day pass in the warehouse and tells what happened.
func (s *show) later(ctx context.Context) (what string, err error) {
	err = s.inCompany(ctx, func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, laterSQL); err != nil {
			return err
		}
		if err := s.house.bring(ctx, c, filepath.Dir(s.company), "accounts", "product_events", "tickets"); err != nil {
			return err
		}
		var lost string
		var troubled, quiet int
		err := c.QueryRowContext(ctx, `select (select account_id from lost), (select count(*) from troubled), (select count(*) from quiet)`).
			Scan(&lost, &troubled, &quiet)
		what = fmt.Sprintf("%s opened urgent tickets, %s hardly used the product, %s cancelled and one signed up",
			plural(troubled, "account"), plural(quiet, "account"), lost)
		return err
	})
	return what, err
}

// disappoint lets the spared account give a bad answer.
func (s *show) disappoint(ctx context.Context) error {
	return s.inCompany(ctx, func(c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `insert into nps_answers select getvariable('spared'), calendar_day, 1 from warehouse_calendar where days_ago = -1`)
		if err != nil {
			return err
		}
		return s.house.bring(ctx, c, filepath.Dir(s.company), "nps_answers")
	})
}
