// Package project reads a project folder: YAML files become checked sources, destinations, models and syncs, or errors that
// name file, line, column and the fix. It knows connectors by their Spec only.
package project

import (
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Project is one checked project.
type Project struct {
	Dir          string // absolute
	Name         string
	Version      int
	Sources      map[string]*Connection
	Destinations map[string]*Connection
	Models       map[string]*Model
	Syncs        map[string]*Sync
	Policies     []*Policy
	DBT          *DBT       `json:",omitempty"` // nil: nothing of the project is of dbt
	Warnings     fault.List // lint warnings: the project is usable
}

// StateDir is the folder of local state.
func (p *Project) StateDir() string { return p.Dir + "/.upwell" }

// Connection is a source or destination.
type Connection struct {
	Name   string
	Type   string
	Tags   []string
	Config connector.Config // resolved settings, checked against the connector's Spec
	Limits Limits           // destinations
	Diff   string           // sources: local | warehouse
	// StateSchema is the schema of Upwell's tables with diff: warehouse; "" = the warehouse's usual one.
	StateSchema string
	// Unresolved are references without a value, in a project loaded WithoutSecrets: such a connection cannot be used.
	Unresolved fault.List `json:",omitempty"`
	Where      fault.Where
}

// Limits tighten what a connector declares; zero values change nothing.
type Limits struct {
	RequestsPerSecond float64
	Concurrency       int
	DailyShare        float64     // 0..1 of the daily quota
	Where             fault.Where `json:"-"`
}

// Model is a query with a key.
type Model struct {
	Name        string
	Description string
	Owner       string
	Source      string
	SQL         string // sql, or the text of sql_file, or what reads dbt's relation
	Table       string
	DBT         string     // the model of dbt, as the project names it; SQL then reads its relation
	Ref         dbt.Ref    `json:"-"` // the same, taken apart
	Manifest    dbt.File   `json:"-"` // where it stands
	Node        *dbt.Model `json:"-"` // what dbt's manifest says of it; nil for other models
	Gate        dbt.Gate   `json:"-"` // which of dbt's results decide over it
	Key         []string
	Columns     map[string]Column
	Tests       []Test
	Where       fault.Where
	SQLWhere    fault.Where // where the SQL text stands

	sqlAt func(line, column int) fault.Where
}

// SQLAt gives the place of a line and column of the model's SQL, both from 1; column 0 is the line alone.
func (m *Model) SQLAt(line, column int) fault.Where {
	if m.sqlAt == nil || line < 1 {
		return m.SQLWhere
	}
	w := m.sqlAt(line, max(1, column))
	if column == 0 && line > 1 {
		w.Column = 0
	}
	return w
}

// Column is what the project says of a model column.
type Column struct {
	Description string
	Tags        []string
	Kind        row.Kind // declared type, row.Absent = as the source says
}

// TestKind is a model test's kind.
type TestKind string

// The model tests.
const (
	TestNotNull        TestKind = "not_null"
	TestUnique         TestKind = "unique"
	TestAcceptedRange  TestKind = "accepted_range"
	TestAcceptedValues TestKind = "accepted_values"
	TestRowCount       TestKind = "row_count"
	TestSQL            TestKind = "sql"
)

// Test is one model test.
type Test struct {
	Name     string // for sql tests, else generated: not_null(account_id)
	Kind     TestKind
	Columns  []string    // not_null, unique; accepted_*: one
	Min, Max *row.Value  // accepted_range, row_count; nil = open
	Values   []row.Value // accepted_values
	Query    string      // sql, with {{ model }}
	Warn     bool        // severity: warn
	Where    fault.Where
}

// Sync is model -> object.
type Sync struct {
	Name            string
	Description     string
	Model           string
	Destination     string
	Object          string
	Mode            connector.Mode // mirror is kept as written; Removed is then delete
	Match           []MatchField   // in file order; empty = the model's key columns by name, where the connector allows it
	Fields          []Field        // in file order
	Removed         connector.Removal
	Schedule        Schedule
	SkipExists      bool // on_exists: skip
	CreateOnMove    bool // on_match_change: create
	AtMostOnce      bool
	ReadBefore      bool
	Baseline        bool // first_run: baseline
	IgnoreRemapping bool // on_mapping_change: ignore
	Guards          Guards
	Filter          string // where: SQL
	FilterWhere     fault.Where
	Owner           string
	Where           fault.Where
}

// MatchField maps a model column to an identifying destination field.
type MatchField struct {
	Field  string
	Column string
	Where  fault.Where
}

// NullPolicy says what a null does.
type NullPolicy string

// The null policies.
const (
	NullClear  NullPolicy = "clear"
	NullSkip   NullPolicy = "skip"
	NullReject NullPolicy = "reject"
)

// Field maps something to a destination field: exactly one of Column, Value, CEL, Lookup.
type Field struct {
	Field      string
	Column     string
	Value      *row.Value
	CEL        string
	Lookup     *Lookup
	Null       NullPolicy
	CreateOnly bool // write: create
	Where      fault.Where
}

// Lookup fills a field with the remote id of another record.
type Lookup struct {
	Object string
	By     []MatchField // destination field of the foreign object: model column
	ToNull bool         // on_missing: null
}

// Guards stop a run.
type Guards struct {
	MaxRemoved Threshold
	MaxChanged Threshold
	AllowEmpty bool
}

// Threshold is a share of the ledger's keys or a number of rows.
type Threshold struct {
	Share  float64 // 0.1 = 10 %; used when Rows is nil
	Rows   *int64
	String string // as written, for messages
}

// Exceeded reports whether n rows of total pass the threshold.
func (t Threshold) Exceeded(n, total int64) bool {
	if t.Rows != nil {
		return n > *t.Rows
	}
	return float64(n) > t.Share*float64(total)
}

// Schedule says when a sync runs; the zero value is manual.
type Schedule struct {
	Every      time.Duration
	Cron       string
	Timezone   string
	Continuous bool
	// MinInterval is the least time between two starts of a continuous sync; 0 = the scheduler's default.
	MinInterval time.Duration
	After       []string // sync names
	AfterDBT    string   // dbt's run_results.json, relative to the project or absolute
}

// Policy is a governance rule; the governance package evaluates it.
type Policy struct {
	Name         string
	Effect       string // allow | deny | mask | hash | require_approval
	Columns      []string
	ColumnTags   []string
	Models       []string
	Destinations []string // names; tags below
	DestTags     []string
	Objects      []string
	Fields       []string
	When         string // CEL
	Where        fault.Where
}
