package project

import (
	"maps"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/row"
)

// The project format, once: the loader takes known and required keys from here, the JSON Schema its properties and words.

// schema is a JSON Schema fragment.
type schema = map[string]any

// key is one key of a mapping in a project file.
type key struct {
	name     string
	doc      string
	value    schema
	required bool
}

// shape is the keys a mapping may have.
type shape []key

func (s shape) names() []string {
	out := make([]string, len(s))
	for i, k := range s {
		out[i] = k.name
	}
	return out
}

// requiring is the shape with one more key required.
func (s shape) requiring(name string) shape {
	out := slices.Clone(s)
	for i := range out {
		out[i].required = out[i].required || out[i].name == name
	}
	return out
}

// object gives the JSON Schema of a mapping with these keys and no others.
func (s shape) object() schema {
	props := schema{}
	var required []string
	for _, k := range s {
		v := maps.Clone(k.value)
		if k.doc != "" {
			v["description"] = k.doc
		}
		props[k.name] = v
		if k.required {
			required = append(required, k.name)
		}
	}
	out := schema{"type": "object", "properties": props, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	return out
}

const (
	namePattern      = `^[a-z][a-z0-9_-]*$`
	durationPattern  = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$`
	sizePattern      = `^[0-9]+ ?(B|kB|KB|MB|GB|KiB|MiB|GiB)?$`
	percentPattern   = `^[0-9]+(\.[0-9]+)?%$`
	referencePattern = `\$\{(env|file):`
)

func textValue() schema   { return schema{"type": []string{"string", "number", "boolean"}} }
func exactText() schema   { return schema{"type": "string", "minLength": 1} }
func boolValue() schema   { return schema{"anyOf": []any{schema{"type": "boolean"}, referenceText()}} }
func scalarValue() schema { return schema{"type": []string{"string", "number", "boolean", "null"}} }
func referenceText() schema {
	return schema{"type": "string", "pattern": referencePattern}
}

func patternText(p string) schema {
	return schema{"anyOf": []any{schema{"type": "string", "pattern": p}, referenceText()}}
}
func choice[T ~string](values ...T) schema { return schema{"enum": values} }
func wholeNumber(least int) schema {
	return schema{"anyOf": []any{schema{"type": "integer", "minimum": least}, referenceText()}}
}

func textList() schema {
	return schema{"anyOf": []any{textValue(), schema{"type": "array", "items": textValue(), "minItems": 1}}}
}
func mapOf(value schema) schema { return schema{"type": "object", "additionalProperties": value} }
func named(value schema) schema {
	return schema{"type": []string{"object", "null"}, "propertyNames": schema{"pattern": namePattern}, "additionalProperties": value}
}

func threshold() schema {
	return schema{"anyOf": []any{schema{"type": "integer", "minimum": 0}, schema{"type": "string", "pattern": percentPattern}, referenceText()}}
}

var limitKeys = shape{
	{name: "requests_per_second", doc: "Most requests a second.", value: schema{"anyOf": []any{schema{"type": "number", "exclusiveMinimum": 0}, referenceText()}}},
	{name: "concurrency", doc: "Most requests in flight.", value: wholeNumber(1)},
	{name: "daily_share", doc: "Share of the daily quota this project may use, as a percentage.", value: patternText(percentPattern)},
}

var tagsKey = key{name: "tags", doc: "Words policies select by.", value: textList()}

// sourceKeys and destinationKeys are the keys every connection has beside its connector's settings.
var sourceKeys = shape{
	{name: "type", doc: "Connector type.", value: exactText(), required: true},
	tagsKey,
	{name: "diff", doc: "Where the ledger lives and changes are found: local (default), or in the warehouse.", value: choice("local", "warehouse")},
	{name: "state_schema", doc: "Schema (dataset, catalog.schema) of Upwell's own tables with diff: warehouse; upwell when absent.", value: exactText()},
}

var destinationKeys = shape{
	{name: "type", doc: "Connector type.", value: exactText(), required: true},
	tagsKey,
	{name: "limits", doc: "Limits of your own; they may only tighten what the connector declares.", value: limitKeys.object()},
}

var allowPrivate = connector.Setting{
	Name: "allow_private", Type: connector.TypeBool,
	Doc: "Allow loopback and private addresses, which are refused otherwise.",
}

var columnKeys = shape{
	{name: "description", doc: "What the column holds.", value: textValue()},
	tagsKey,
	{name: "type", doc: "Declared type; without it the source's type counts.", value: choice(kindWords()...)},
}

func kindWords() []string {
	var out []string
	for k := row.Bool; k <= row.Array; k++ {
		out = append(out, k.String())
	}
	return out
}

var rangeKeys = shape{
	{name: "column", doc: "The column.", value: exactText(), required: true},
	{name: "min", doc: "Least value allowed.", value: scalarValue()},
	{name: "max", doc: "Greatest value allowed.", value: scalarValue()},
}

var valuesKeys = shape{
	{name: "column", doc: "The column.", value: exactText(), required: true},
	{name: "values", doc: "The values allowed; null is always allowed.", value: schema{"type": "array", "items": scalarValue(), "minItems": 1}, required: true},
}

var countKeys = shape{
	{name: "min", doc: "Fewest rows.", value: wholeNumber(0)},
	{name: "max", doc: "Most rows.", value: wholeNumber(0)},
}

var sqlTestKeys = shape{
	{name: "name", doc: "Name of the test.", value: exactText()},
	{name: "query", doc: "A query that returns the offending rows; {{ model }} stands for the model.", value: exactText(), required: true},
}

var testKeys = shape{
	{name: "not_null", doc: "No value of these columns is null.", value: textList()},
	{name: "unique", doc: "No two rows have the same values in these columns.", value: textList()},
	{name: "accepted_range", doc: "Every value of the column lies in the range.", value: rangeKeys.anyOf("min", "max")},
	{name: "accepted_values", doc: "Every value of the column is one of these.", value: valuesKeys.object()},
	{name: "row_count", doc: "The model has so many rows.", value: countKeys.anyOf("min", "max")},
	{name: "sql", doc: "Fails when the query returns rows.", value: sqlTestKeys.object()},
	{name: "severity", doc: "error (default) holds the sync, warn only says so.", value: choice("error", "warn")},
}

var dbtModelKeys = shape{
	{name: "name", doc: "Name of the model.", value: exactText(), required: true},
	{name: "package", doc: "The dbt package it belongs to.", value: exactText()},
	{name: "version", doc: "Its version; without one the latest.", value: textValue()},
	{name: "manifest", doc: "The manifest it stands in, where it is not the project's.", value: exactText()},
}

var dbtKeys = shape{
	{name: "project_dir", doc: "Folder of the dbt project, relative to this one.", value: exactText()},
	{name: "target_path", doc: "Folder of dbt's artifacts, relative to the dbt project. Default target.", value: exactText()},
	{name: "manifest", doc: "Path of manifest.json, relative to the project.", value: exactText()},
	{name: "run_results", doc: "Path of run_results.json, relative to the project.", value: exactText()},
	{name: "sources", doc: "Path of sources.json, relative to the project.", value: exactText()},
	{name: "catalog", doc: "Path of catalog.json, relative to the project.", value: exactText()},
	{name: "gate", doc: "results (default): what dbt reports of a model decides whether it goes out; required: dbt must have reported on it; off.", value: choice(dbt.GateResults, dbt.GateRequired, dbt.GateOff)},
	{name: "accept_newer", doc: "Read artifacts whose schema is newer than this version knows. Default false.", value: boolValue()},
}

// modelSchema asks for a key, too, where no manifest can tell it.
func modelSchema() schema {
	out := modelKeys.oneOf("sql", "sql_file", "table", "dbt")
	out["anyOf"] = []any{schema{"required": []string{"key"}}, schema{"required": []string{"dbt"}}}
	return out
}

var modelKeys = shape{
	{name: "description", doc: "What one row is.", value: textValue()},
	{name: "owner", doc: "Who answers for it.", value: textValue()},
	{name: "source", doc: "The source it is read from.", value: exactText(), required: true},
	{name: "sql", doc: "The query. Exactly one of sql, sql_file, table, dbt.", value: exactText()},
	{name: "sql_file", doc: "File with the query, relative to the project.", value: exactText()},
	{name: "table", doc: "A table or view, optionally schema.table.", value: exactText()},
	{name: "dbt", doc: "A model of dbt: name, package.name, name.v2, or a mapping. `key` may be left out where the manifest tells it.", value: schema{"anyOf": []any{exactText(), dbtModelKeys.object()}}},
	{name: "key", doc: "The columns that name a row: one, or a list.", value: textList()},
	{name: "columns", doc: "What is known of columns.", value: mapOf(nullable(columnKeys.object()))},
	{name: "tests", doc: "What must hold before anything is sent.", value: schema{"type": []string{"array", "null"}, "items": testKeys.oneOf("not_null", "unique", "accepted_range", "accepted_values", "row_count", "sql")}},
}

var lookupKeys = shape{
	{name: "object", doc: "The object the record is found in.", value: exactText(), required: true},
	{name: "by", doc: "Fields of that object and the model columns they equal.", value: filled(mapOf(exactText())), required: true},
	{name: "on_missing", doc: "What a record not found does: reject (default) the row, or null.", value: schema{"enum": []any{"reject", "null", nil}}},
}

var fieldKeys = shape{
	{name: "column", doc: "Model column.", value: exactText()},
	{name: "value", doc: "A constant.", value: scalarValue()},
	{name: "cel", doc: "An expression over row.", value: exactText()},
	{name: "lookup", doc: "The id of another record in the tool.", value: lookupKeys.object()},
	{name: "null", doc: "What a null does: clear (default) the field, skip it, or reject the row.", value: choice(NullClear, NullSkip, NullReject)},
	{name: "write", doc: "create: sent only when the record is created.", value: choice("create", "always")},
}

var guardKeys = shape{
	{name: "max_removed", doc: "Most removals in a run: a percentage of the records delivered, or a number. Default 10%.", value: threshold()},
	{name: "max_changed", doc: "Most changes in a run: a percentage of the records delivered, or a number. Default 100%.", value: threshold()},
	{name: "allow_empty", doc: "An empty model is no reason to stop. Default false.", value: boolValue()},
}

var afterKeys = shape{{
	name: "dbt", doc: "Path of dbt's run_results.json, relative to the project; or true for the one that `dbt` names.",
	value: schema{"anyOf": []any{schema{"type": "string", "pattern": `(\.json$|` + referencePattern + ")"}, schema{"const": true}}}, required: true,
}}

var scheduleKeys = shape{
	{name: "every", doc: "Interval: 15m, 1h, 1d.", value: patternText(durationPattern)},
	{name: "cron", doc: "Cron expression with five fields, or @daily and the like.", value: exactText()},
	{name: "timezone", doc: "Time zone of cron, as in Europe/Berlin. Default UTC.", value: exactText()},
	{name: "continuous", doc: "Start again as soon as the last run ended.", value: schema{"const": true}},
	{name: "min_interval", doc: "Least time between two starts of a continuous sync. Default 10s.", value: patternText(durationPattern)},
	{name: "after", doc: "Run after these syncs, or after dbt (acts under `upwell serve`, which is not there yet).", value: schema{"anyOf": []any{textList(), afterKeys.object()}}},
}

var syncKeys = shape{
	{name: "description", doc: "What the sync is for.", value: textValue()},
	{name: "model", doc: "The model.", value: exactText(), required: true},
	{name: "destination", doc: "The destination.", value: exactText(), required: true},
	{name: "object", doc: "What is written there: Account, contacts, list:VIP, a table.", value: exactText()},
	{name: "mode", doc: "upsert (default), update only, insert only, append events, or mirror = upsert and delete what left the model.", value: choice(modes...)},
	{name: "match", doc: "Destination fields that identify the record, and the model columns they equal.", value: filled(mapOf(exactText()))},
	{name: "fields", doc: "Destination fields, and the model columns or constants or expressions they get.", value: mapOf(schema{"anyOf": []any{exactText(), fieldKeys.oneOf("column", "value", "cel", "lookup")}})},
	{name: "removed", doc: "What happens to records whose row left the model: keep (default), delete, clear.", value: choice(removals...)},
	{name: "schedule", doc: "When it runs: exactly one of every, cron, continuous, after. Without it the sync is manual.", value: nullable(scheduleKeys.oneOf("every", "cron", "continuous", "after"))},
	{name: "on_exists", doc: "Insert mode: what a record that exists does: reject (default) or skip the row.", value: choice("reject", "skip")},
	{name: "on_match_change", doc: "Where a record cannot be moved: reject (default) the row, or create a new record.", value: choice("reject", "create")},
	{name: "at_most_once", doc: "Never repeat an operation whose outcome is unknown. Default false.", value: boolValue()},
	{name: "read_before", doc: "Read current values before writing, so that undo can restore them. Default false.", value: boolValue()},
	{name: "first_run", doc: "send (default), or baseline = record the current rows as delivered and send nothing.", value: choice("send", "baseline")},
	{name: "on_mapping_change", doc: "resend (default) rows whose mapped record differs, or ignore = only future changes.", value: choice("resend", "ignore")},
	{name: "guards", doc: "Limits that stop a run.", value: guardKeys.object()},
	{name: "where", doc: "SQL condition on the model.", value: exactText()},
	{name: "owner", doc: "Who answers for it.", value: textValue()},
}

var (
	modes    = []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror}
	removals = []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear}
	effects  = []string{"allow", "deny", "mask", "hash", "require_approval"}
)

var selectorKeys = shape{
	{name: "columns", doc: "Columns by name.", value: textList()},
	{name: "column_tags", doc: "Columns by tag.", value: textList()},
	{name: "models", doc: "All columns of these models.", value: textList()},
}

var reachKeys = shape{
	{name: "names", doc: "Destinations by name.", value: textList()},
	{name: "tags", doc: "Destinations by tag.", value: textList()},
	{name: "objects", doc: "Objects by name.", value: textList()},
	{name: "fields", doc: "Fields by name.", value: textList()},
}

var policyKeys = shape{
	{name: "name", doc: "Name of the policy.", value: schema{"type": "string", "pattern": namePattern}, required: true},
	{name: "allow", doc: "These columns may pass.", value: selectorKeys.object()},
	{name: "deny", doc: "These columns may not pass.", value: selectorKeys.object()},
	{name: "mask", doc: "These columns pass masked.", value: selectorKeys.object()},
	{name: "hash", doc: "These columns pass as a hash.", value: selectorKeys.object()},
	{name: "require_approval", doc: "These columns pass after approval.", value: selectorKeys.object()},
	{name: "destinations", doc: "Where the policy holds; everywhere when absent.", value: reachKeys.object()},
	{name: "when", doc: "CEL condition over destination, object, field, model, column and sync.", value: exactText()},
}

var projectKeys = shape{
	{name: "version", doc: "Version of the project format.", value: schema{"const": 1}},
	{name: "name", doc: "Name of the project.", value: exactText()},
	{name: "dbt", doc: "Where dbt's artifacts are. Only in upwell.yml."},
	{name: "sources", doc: "Connections to warehouses and databases."},
	{name: "destinations", doc: "Connections to business tools."},
	{name: "models", doc: "Queries that yield one row per record."},
	{name: "syncs", doc: "What is kept in step: model to object."},
	{name: "policies", doc: "Rules on which fields may reach which destination."},
}

func nullable(s schema) schema { s["type"] = []string{"object", "null"}; return s }
func filled(s schema) schema   { s["minProperties"] = 1; return s }

// oneOf is a mapping with these keys, exactly one of those named among them.
func (s shape) oneOf(names ...string) schema {
	one := make([]any, len(names))
	for i, n := range names {
		one[i] = schema{"required": []string{n}}
	}
	out := s.object()
	out["oneOf"] = one
	return out
}

// anyOf is a mapping with these keys, at least one of those named among them.
func (s shape) anyOf(names ...string) schema {
	out := s.oneOf(names...)
	out["anyOf"] = out["oneOf"]
	delete(out, "oneOf")
	return out
}
