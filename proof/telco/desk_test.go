package telco_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/cli"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/testdb"
)

// desk is where somebody works with the example: a copy of the project, a CRM and a product database.
type desk struct {
	*testing.T
	dir string
	crm *salesforcetest.Server
	db  *pgx.Conn
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, dir: t.TempDir()}
	example := filepath.Join("..", "..", "examples", "telco")
	if err := os.CopyFS(d.dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{".upwell", "upwell.lock", "data"} { // of somebody who tried the example in place
		if err := os.RemoveAll(filepath.Join(d.dir, left)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(d.dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.crm, err = salesforcetest.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.crm.Close(); err != nil {
			t.Error(err)
		}
	})
	dsn := testdb.Postgres(t)
	if d.db, err = pgx.Connect(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	table, err := os.ReadFile(filepath.Join(d.dir, "product.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.db.Exec(t.Context(), string(table)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TELCO_SALESFORCE_URL", d.crm.URL())
	t.Setenv("TELCO_SALESFORCE_CLIENT_ID", salesforcetest.ClientID)
	t.Setenv("TELCO_SALESFORCE_CLIENT_SECRET", salesforcetest.ClientSecret)
	t.Setenv("TELCO_POSTGRES", dsn)
	return d
}

// upwell calls the command line with --json and decodes its one document, which must have the form of the contract's.
func (d *desk) upwell(exit int, form string, to any, args ...string) {
	d.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(append([]string{"-C", d.dir, "--json"}, args...), strings.NewReader(""), &out, &errs)
	call := "upwell " + strings.Join(args, " ")
	if code != exit {
		d.Fatalf("%s ended with %d, want %d\n%s\n%s", call, code, exit, out.String(), errs.String())
	}
	dec := json.NewDecoder(bytes.NewReader(out.Bytes()))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil || dec.More() {
		d.Fatalf("%s: standard output is not one JSON document: %v\n%s", call, err, out.String())
	}
	if why := misses(form, doc); len(why) > 0 {
		d.Fatalf("%s: the document breaks the contract: %s\n%s", call, strings.Join(why, "; "), out.String())
	}
	if err := json.Unmarshal(out.Bytes(), to); err != nil {
		d.Fatalf("%s: %v", call, err)
	}
}

// writes counts the requests that could change something in the CRM: everything but reads and logging in.
func (d *desk) writes() int {
	n := 0
	for route, count := range d.crm.Stats().Requests {
		if !strings.HasPrefix(route, "GET ") && !strings.Contains(route, "oauth2/token") {
			n += count
		}
	}
	return n
}

// contacts gives the CRM's records by customer, without what differs between two records that say the same.
func (d *desk) contacts() map[string]salesforcetest.Record {
	d.Helper()
	out := map[string]salesforcetest.Record{}
	for _, r := range d.crm.Records("Contact") {
		id, ok := r["Customer_Id__c"].(string)
		if !ok || out[id] != nil {
			d.Fatalf("the CRM holds a contact without an identity of its own: %v", r)
		}
		for _, f := range []string{"Id", "CreatedDate", "LastModifiedDate", "SystemModstamp"} {
			delete(r, f)
		}
		out[id] = r
	}
	return out
}

// customer is a row of the product database. version changes with every write, even of the same values.
type customer struct {
	risk, tier, offer, monthly string
	total                      *string
	version                    string
}

func (d *desk) product() map[string]customer {
	d.Helper()
	rows, err := d.db.Query(d.Context(), `select customer_id, churn_risk::text, churn_tier, offer, monthly_charges::text, total_charges::text,
		xmin::text || ' ' || ctid::text from customer_risk`)
	if err != nil {
		d.Fatal(err)
	}
	defer rows.Close()
	out := map[string]customer{}
	for rows.Next() {
		var id string
		var c customer
		if err := rows.Scan(&id, &c.risk, &c.tier, &c.offer, &c.monthly, &c.total, &c.version); err != nil {
			d.Fatal(err)
		}
		out[id] = c
	}
	if err := rows.Err(); err != nil {
		d.Fatal(err)
	}
	return out
}

// files gives every file of the project with the hash of what it holds.
func (d *desk) files() map[string][32]byte {
	d.Helper()
	out := map[string][32]byte{}
	err := fs.WalkDir(os.DirFS(d.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(d.dir, name))
		out[name] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
	return out
}
