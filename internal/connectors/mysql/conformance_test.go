package mysql_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/mysql"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/testdb"
)

// place is a fresh database, its settings and a plain connection that looks at it.
type place struct {
	testing.TB
	db       *sql.DB
	settings map[string]string
	address  string
	table    string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	cfg, err := driver.ParseDSN(testdb.MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{TB: t, address: cfg.Addr, table: "things", settings: map[string]string{
		"host": host, "port": port, "user": cfg.User, "database": cfg.DBName, "sslmode": "disable",
	}}
	p.connect(cfg)
	return p
}

func (p *place) connect(cfg *driver.Config) {
	p.Helper()
	cfg.Params = map[string]string{"time_zone": "'+00:00'"}
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		p.Fatal(err)
	}
	p.db = sql.OpenDB(connector)
	p.Cleanup(func() { _ = p.db.Close() })
}

// livePlace is a table of its own in the database of an account, dropped in the end. The look at it is encrypted where the server
// can; the certificate is the connector's to check.
func livePlace(t testing.TB, a conformance.Account) *place {
	t.Helper()
	p := &place{TB: t, settings: a.Settings, table: a.Name}
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(a.Settings["host"], cmp.Or(a.Settings["port"], "3306"))
	cfg.User, cfg.Passwd, cfg.DBName, cfg.TLSConfig = a.Settings["user"], a.Settings["password"], a.Settings["database"], "preferred"
	p.connect(cfg)
	t.Cleanup(func() { p.exec("DROP TABLE IF EXISTS " + p.table) }) // before the connection is closed
	return p
}

// numbers is a query of the numbers from 1 to %d: MariaDB has an engine for them, MySQL a function of JSON.
func numbers() string {
	if !conformance.IsLive() {
		return "SELECT seq AS n FROM seq_1_to_%d"
	}
	return "SELECT n FROM JSON_TABLE(CONCAT('[', REPEAT('1,', %d - 1), '1]'), '$[*]' COLUMNS (n FOR ORDINALITY)) j"
}

func (p *place) exec(query string, args ...any) {
	p.Helper()
	if _, err := p.db.ExecContext(context.Background(), query, args...); err != nil {
		p.Fatalf("%s: %v", query, err)
	}
}

// columns are the kit table's, by kind: type, and the expression that prints it in row.ParseText's form. A server has no type of its
// own for booleans, and MariaDB none for JSON.
var columns = map[row.Kind][2]string{
	row.Int: {"BIGINT", "CAST(%s AS CHAR)"}, row.Uint: {"BIGINT UNSIGNED", "CAST(%s AS CHAR)"},
	row.Float: {"DOUBLE", "CAST(%s AS CHAR)"}, row.Decimal: {"DECIMAL(65,25)", "CAST(%s AS CHAR)"}, row.Text: {"LONGTEXT", "%s"},
	row.Bytes: {"LONGBLOB", "REPLACE(TO_BASE64(%s), '\\n', '')"}, row.Date: {"DATE", "CAST(%s AS CHAR)"}, row.Time: {"TIME(6)", "CAST(%s AS CHAR)"},
	row.Timestamp: {"DATETIME(6)", "CAST(%s AS CHAR)"}, row.Instant: {"TIMESTAMP(6) NULL", "CONCAT(%s, 'Z')"},
}

func field(k row.Kind) string { return "f_" + k.String() }

// records reads the kit's table past the connector.
func (p *place) records() (out []conformance.Record) {
	p.Helper()
	names, kinds := []string{"id", "must", "tier"}, []row.Kind{row.Text, row.Text, row.Text}
	list := []string{"id", "must", "tier"}
	for k, c := range columns {
		names, kinds = append(names, field(k)), append(kinds, k)
		list = append(list, "IF("+field(k)+" IS NULL, NULL, "+fmt.Sprintf(c[1], field(k))+")")
	}
	rows, err := p.db.QueryContext(context.Background(), "SELECT "+strings.Join(list, ", ")+" FROM "+p.table+" ORDER BY id")
	if err != nil {
		p.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			p.Fatal(err)
		}
		r := conformance.Record{}
		for i, c := range cells {
			if r[names[i]] = row.NullValue(); c.Valid {
				r[names[i]] = conformance.Text(kinds[i], c.String)
			}
		}
		out = append(out, r)
	}
	if rows.Err() != nil {
		p.Fatal(rows.Err())
	}
	return out
}

// seed inserts a record past the connector.
func (p *place) seed(r conformance.Record) {
	p.Helper()
	var names, places []string
	var args []any
	for name, v := range r {
		if v.IsNull() || v.IsAbsent() {
			continue
		}
		names, places = append(names, name), append(places, "?")
		switch v.Kind() {
		case row.Bool:
			args = append(args, v.Bool())
		case row.Bytes:
			args = append(args, []byte(v.Str()))
		case row.Instant:
			args = append(args, strings.TrimSuffix(v.String(), "Z"))
		default:
			args = append(args, v.String())
		}
	}
	p.exec("INSERT INTO "+p.table+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(places, ", ")+")", args...)
}

// things makes the table and gives the world around it.
func (p *place) things() conformance.World {
	p.Helper()
	ddl := "CREATE TABLE " + p.table + " (id VARCHAR(200) COLLATE utf8mb4_bin PRIMARY KEY, must VARCHAR(20) NOT NULL, tier VARCHAR(20), CHECK (tier = 'good')"
	for k, c := range columns {
		ddl += ", " + field(k) + " " + c[0]
	}
	p.exec(ddl + ") CHARACTER SET utf8mb4")
	return conformance.World{Settings: p.settings, Object: p.table, Records: p.records, Seed: p.seed}
}

// rows3 makes the table a source reads by name.
func (p *place) rows3(name string) conformance.SourceWorld {
	p.Helper()
	p.exec("CREATE TABLE " + name + " (id INT, name VARCHAR(10))")
	p.exec("INSERT INTO " + name + " VALUES (1, 'one'), (2, 'two'), (3, 'three')")
	return conformance.SourceWorld{Settings: p.settings, Address: p.address, Table: name}
}

// liveNeeds are the settings an account is reached by; a dsn will not do, because checks lay single settings over it.
var liveNeeds = []string{"host", "user", "database"}

func Test_the_destination_keeps_the_contract(t *testing.T) {
	h := conformance.Harness{
		Connector: mysql.Destination(), Object: "things", Match: "id", AnyBy: true, Fields: map[row.Kind]string{},
		Required: conformance.Record{"must": row.TextValue("there")},
		Bad:      conformance.Record{"tier": row.TextValue("none")},
		Wrong:    map[string]string{"user": "kit_stranger", "password": "wrong-password-0815"},
		Nowhere:  map[string]string{"host": "127.0.0.1", "port": "1"},
		Needs:    []string{"host"},
		New:      func(t testing.TB) conformance.World { return newPlace(t).things() },
		Live: &conformance.Live[conformance.World]{
			Needs: liveNeeds, New: func(t testing.TB, a conformance.Account) conformance.World { return livePlace(t, a).things() },
		},
	}
	for k := range columns {
		h.Fields[k] = field(k)
	}
	conformance.Destination(t, h)
}

func Test_the_source_keeps_the_contract(t *testing.T) {
	conformance.Source(t, conformance.SourceHarness{
		Connector: mysql.Source(),
		New:       func(t testing.TB) conformance.SourceWorld { return newPlace(t).rows3("rows3") },
		Live: &conformance.Live[conformance.SourceWorld]{
			Needs: liveNeeds, New: func(t testing.TB, a conformance.Account) conformance.SourceWorld {
				return livePlace(t, a).rows3(a.Name)
			},
		},
		Numbers: numbers(),
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: "nowhere_at_all' doesn't exist",
		Late:    "SELECT 9223372036854675807 + CAST(n AS SIGNED) AS n FROM (" + fmt.Sprintf(numbers(), 200_000) + ") x",
		Wrong:   map[string]string{"user": "kit_stranger", "password": "wrong-password-0815"},
		Nowhere: map[string]string{"host": "127.0.0.1", "port": "1"},
		Needs:   []string{"host"},
		Via:     func(host, port string) map[string]string { return map[string]string{"host": host, "port": port} },
		Types: []conformance.Type{
			{SQL: "CAST(9223372036854775807 AS SIGNED)", Kind: row.Int, Text: "9223372036854775807"},
			{SQL: "CAST(-9223372036854775807 - 1 AS SIGNED)", Kind: row.Int, Text: "-9223372036854775808"},
			{SQL: "CAST(18446744073709551615 AS UNSIGNED)", Kind: row.Uint, Text: "18446744073709551615"},
			{SQL: "CAST(0.1 AS DOUBLE)", Kind: row.Float, Text: "0.1"},
			{SQL: "1e-10", Kind: row.Float, Text: "1e-10"},
			{SQL: "CAST('12345678901234567890.123456789012345678' AS DECIMAL(38,18))", Kind: row.Decimal, Text: "12345678901234567890.123456789012345678"},
			{SQL: "-0.10", Kind: row.Decimal, Text: "-0.10"},
			{SQL: `'O''Neil "x" 😀 é'`, Kind: row.Text, Text: `O'Neil "x" 😀 é`},
			{SQL: "''", Kind: row.Text, Text: ""},
			{SQL: "x'00ff'", Kind: row.Bytes, Text: "AP8="},
			{SQL: "DATE '2024-02-29'", Kind: row.Date, Text: "2024-02-29"},
			{SQL: "CAST('0000-00-00' AS DATE)"},
			{SQL: "TIME '12:34:56.123456'", Kind: row.Time, Text: "12:34:56.123456"},
			{SQL: "TIME '25:00:00'"},
			{SQL: "TIMESTAMP '2026-03-29 02:30:00.000001'", Kind: row.Timestamp, Text: "2026-03-29T02:30:00.000001"},
			{SQL: "CAST(NULL AS SIGNED)", Kind: row.Int, Text: "null"},
		},
	})
}
