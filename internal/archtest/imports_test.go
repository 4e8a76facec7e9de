package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"
)

const module = "github.com/upwelldata/upwell/"

// pkg is what `go list` tells of one package, paths of this module shortened to "internal/row".
type pkg struct {
	Path    string
	Imports []string // by files of the program
	Tests   []string // by its test files
	Deps    []string // everything linked in, transitively
}

// A rule is a sentence about imports. It gives the packages a package must not have, as one message each.
type rule struct {
	says  string
	check func(p pkg) []string
}

// Packages that link DuckDB's C library, and so take seconds to link. Everything else must test without it.
var duckdbMayBeIn = []string{
	"cmd/*",
	"internal/api", "internal/api/*", // opens connections by type
	"internal/cli", "internal/cli/*",
	"internal/connectors/all",    // the list of connectors
	"internal/connectors/duckdb", // the connector
	"internal/warehousetest",     // what stand-ins of warehouses compute with
	"internal/connectors/snowflake", "internal/connectors/snowflake/*",
	"internal/connectors/databricks", "internal/connectors/databricks/*",
	"internal/connectors/bigquery", "internal/connectors/bigquery/*",
	"internal/demo", "internal/demo/*",
	"bench/*", "tools/*",
}

var rules = []rule{
	{"fault imports nothing of this module", only("internal/fault")},
	{"row imports only fault", only("internal/row", "internal/fault")},
	{"connector imports only row and fault", only("internal/connector", "internal/row", "internal/fault")},
	{"dbt imports only fault: artifacts are read without a project", only("internal/dbt", "internal/dbt", "internal/fault")},
	{"httpkit imports only connector, row and fault", only("internal/connector/httpkit", "internal/connector", "internal/row", "internal/fault")},
	{"pgwire imports only connector, row and fault", only("internal/connector/pgwire", "internal/connector", "internal/row", "internal/fault")},
	{"a connector imports only the seam, httpkit and pgwire: never the engine, never another connector", connectorsAreAlone},
	{"standin and warehousetest are imported by stand-ins, the demo and tests only", enginesStayInStandIns},
	{"plan, deliver and run know no store, no API, no command line and no logger", engineIsQuiet},
	{"nothing imports cli but cmd and the tests of proof", onlyCommandsImportCLI},
	{"conformance and testdb are imported by tests only", testKitsStayInTests},
	{"DuckDB is linked only where it must be", duckdbIsContained},
}

func Test_packages_import_only_what_the_architecture_allows(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		for _, p := range packages {
			for _, bad := range r.check(p) {
				t.Errorf("%s: %s (rule: %s)", p.Path, bad, r.says)
			}
		}
	}
}

// Each rule must fail on a graph that breaks it, and hold on one that does not.
func Test_each_import_rule_notices_a_breach(t *testing.T) {
	breaches := map[string]pkg{
		"fault imports nothing of this module":                         {Path: "internal/fault", Imports: []string{"internal/row"}},
		"row imports only fault":                                       {Path: "internal/row", Imports: []string{"internal/project"}},
		"connector imports only row and fault":                         {Path: "internal/connector", Deps: []string{"internal/row", "internal/ledger"}},
		"dbt imports only fault: artifacts are read without a project": {Path: "internal/dbt", Imports: []string{"internal/project"}},
		"httpkit imports only connector, row and fault":                {Path: "internal/connector/httpkit", Imports: []string{"internal/deliver"}},
		"pgwire imports only connector, row and fault":                 {Path: "internal/connector/pgwire", Imports: []string{"internal/connectors/postgres"}},
		"a connector imports only the seam, httpkit and pgwire: never the engine, never another connector": {
			Path: "internal/connectors/acme", Imports: []string{"internal/connectors/postgres"},
		},
		"standin and warehousetest are imported by stand-ins, the demo and tests only": {Path: "internal/connectors/acme", Imports: []string{"internal/warehousetest"}},
		"plan, deliver and run know no store, no API, no command line and no logger":   {Path: "internal/deliver", Imports: []string{"log/slog"}},
		"nothing imports cli but cmd and the tests of proof":                           {Path: "internal/api", Imports: []string{"internal/cli"}},
		"conformance and testdb are imported by tests only":                            {Path: "internal/run", Imports: []string{"internal/testdb"}},
		"DuckDB is linked only where it must be":                                       {Path: "internal/plan", Deps: []string{"github.com/duckdb/duckdb-go/v2"}},
	}
	fine := []pkg{
		{Path: "internal/row", Imports: []string{"fmt", "internal/fault"}},
		{Path: "internal/connectors/acme", Imports: []string{"internal/connector/httpkit", "internal/connector/pgwire"}, Tests: []string{"internal/connector/conformance", "internal/connectors/acme/acmetest"}},
		{Path: "internal/connectors/all", Imports: []string{"internal/connectors/acme"}, Deps: []string{"github.com/duckdb/duckdb-go/v2"}},
		{Path: "internal/connectors/acme/acmetest", Imports: []string{"internal/standin", "internal/warehousetest"}},
		{Path: "internal/deliver", Imports: []string{"internal/connector"}, Tests: []string{"internal/testdb"}},
		{Path: "cmd/upwell", Imports: []string{"internal/cli"}},
		{Path: "proof/telco", Tests: []string{"internal/cli"}},
	}
	for _, r := range rules {
		breach, ok := breaches[r.says]
		if !ok {
			t.Errorf("no breach is tried for the rule: %s", r.says)
			continue
		}
		if len(r.check(breach)) == 0 {
			t.Errorf("the rule does not notice a breach: %s", r.says)
		}
		for _, p := range fine {
			if bad := r.check(p); len(bad) > 0 {
				t.Errorf("the rule %q refuses %s: %v", r.says, p.Path, bad)
			}
		}
	}
	// The other ways a connector could reach out.
	for _, p := range []pkg{
		{Path: "internal/connectors/acme", Imports: []string{"internal/deliver"}},
		{Path: "internal/connectors/acme", Imports: []string{"internal/standin"}},
		{Path: "internal/connectors/acme", Tests: []string{"internal/connectors/other/othertest"}},
		{Path: "internal/connectors/acme/acmetest", Imports: []string{"internal/run"}},
	} {
		if len(connectorsAreAlone(p)) == 0 {
			t.Errorf("%s may import %v", p.Path, append(p.Imports, p.Tests...))
		}
	}
}

// only allows one package a set of packages of this module, counted transitively.
func only(of string, allowed ...string) func(pkg) []string {
	return func(p pkg) (bad []string) {
		if p.Path != of {
			return nil
		}
		for _, i := range union(p.Imports, p.Deps) {
			if ours(i) && !slices.Contains(allowed, i) {
				bad = append(bad, "imports "+i)
			}
		}
		return bad
	}
}

// seam is what any connector may use: httpkit for tools that speak HTTP, pgwire for servers that speak PostgreSQL's protocol, which are
// several and must not import each other.
var seam = []string{"internal/row", "internal/fault", "internal/connector", "internal/connector/httpkit", "internal/connector/pgwire"}

func connectorsAreAlone(p pkg) (bad []string) {
	rest, ok := strings.CutPrefix(p.Path, "internal/connectors/")
	if !ok || rest == "all" {
		return nil
	}
	name, _, _ := strings.Cut(rest, "/")
	own := "internal/connectors/" + name
	for _, i := range p.Imports {
		engine := slices.Contains(engines, i) && standIn(p.Path)
		if ours(i) && !engine && !slices.Contains(seam, i) && i != own && !strings.HasPrefix(i, own+"/") {
			bad = append(bad, "imports "+i)
		}
	}
	for _, i := range p.Tests {
		kit := i == "internal/connector/conformance" || i == "internal/testdb"
		if ours(i) && !kit && !slices.Contains(seam, i) && i != own && !strings.HasPrefix(i, own+"/") {
			bad = append(bad, "imports "+i+" in tests")
		}
	}
	return bad
}

// standIn reports whether the package is a connector's stand-in server: internal/connectors/acme/acmetest.
func standIn(p string) bool {
	parts := strings.Split(p, "/")
	return len(parts) == 4 && parts[1] == "connectors" && parts[3] == parts[2]+"test"
}

// engines are what stand-ins are made of.
var engines = []string{"internal/standin", "internal/warehousetest"}

func enginesStayInStandIns(p pkg) (bad []string) {
	if standIn(p.Path) || matches(p.Path, "internal/demo", "internal/demo/*") {
		return nil
	}
	for _, i := range p.Imports {
		if slices.Contains(engines, i) {
			bad = append(bad, "imports "+i)
		}
	}
	return bad
}

func engineIsQuiet(p pkg) (bad []string) {
	if !matches(p.Path, "internal/plan", "internal/plan/*", "internal/deliver", "internal/deliver/*", "internal/run", "internal/run/*") {
		return nil
	}
	for _, i := range union(p.Imports, p.Deps) {
		if matches(i, "internal/store", "internal/store/*", "internal/api", "internal/api/*", "internal/cli", "internal/cli/*") {
			bad = append(bad, "imports "+i)
		}
	}
	for _, i := range p.Imports {
		if i == "log" || i == "log/slog" {
			bad = append(bad, "imports the logger "+i)
		}
	}
	return bad
}

func onlyCommandsImportCLI(p pkg) (bad []string) {
	if matches(p.Path, "cmd/*", "internal/cli", "internal/cli/*") {
		return nil
	}
	imports := union(p.Imports, p.Tests)
	if matches(p.Path, "proof", "proof/*") { // proofs call the program as its users do
		imports = p.Imports
	}
	for _, i := range imports {
		if matches(i, "internal/cli", "internal/cli/*") {
			bad = append(bad, "imports "+i)
		}
	}
	return bad
}

func testKitsStayInTests(p pkg) (bad []string) {
	if matches(p.Path, "internal/testdb", "internal/connector/conformance", "internal/*/conformance") {
		return nil
	}
	for _, i := range p.Imports {
		if i == "internal/testdb" || i == "internal/connector/conformance" {
			bad = append(bad, "imports "+i)
		}
	}
	return bad
}

func duckdbIsContained(p pkg) (bad []string) {
	if matches(p.Path, duckdbMayBeIn...) {
		return nil
	}
	for _, i := range union(p.Imports, p.Deps) {
		if strings.HasPrefix(i, "github.com/duckdb/") {
			bad = append(bad, "links "+i)
		}
	}
	return bad
}

func ours(i string) bool { return strings.HasPrefix(i, "internal/") || strings.HasPrefix(i, "cmd/") }

func matches(p string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if under, ok := strings.CutSuffix(pattern, "/*"); ok && !strings.Contains(under, "*") {
			return strings.HasPrefix(p, under+"/")
		}
		ok, err := path.Match(pattern, p)
		return ok && err == nil
	})
}

func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	sort.Strings(all)
	return slices.Compact(all)
}

// list asks `go list` for the packages of this module.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-tags", "long", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", module+"...")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, problems.String())
	}
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var one struct {
			ImportPath                               string
			Imports, TestImports, XTestImports, Deps []string
		}
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading the answer of go list: %v", err)
		}
		packages = append(packages, pkg{
			Path:    strings.TrimPrefix(one.ImportPath, module),
			Imports: shorten(one.Imports),
			Tests:   shorten(union(one.TestImports, one.XTestImports)),
			Deps:    shorten(one.Deps),
		})
	}
	for _, must := range []string{"internal/row", "internal/fault", "internal/connector"} {
		if !slices.ContainsFunc(packages, func(p pkg) bool { return p.Path == must }) {
			t.Fatalf("go list names no %s; it listed %s", must, fmt.Sprint(packages))
		}
	}
	return packages
}

// shorten drops the module from paths; what remains of other modules and the standard library cannot be taken for ours.
func shorten(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		short, ok := strings.CutPrefix(p, module)
		if !ok && ours(p) {
			short = "std/" + p
		}
		out[i] = short
	}
	return out
}
