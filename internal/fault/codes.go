package fault

import "sort"

// Code names a fault. Codes of this program are registered below; a tool's own code (a Salesforce statusCode, an SQLSTATE)
// may stand in a row fault unregistered, with its class set.
type Code string

// Info is what the registry knows of a code.
type Info struct {
	Code  Code
	Class Class
	Exit  int    // process exit code when this fault ends a command
	Doc   string // what it means, one sentence
	Fix   string // what to do, one sentence
}

// The exit codes of the contract.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitPartial     = 3
	ExitHeld        = 4
	ExitEnvironment = 5
	ExitChanges     = 10
	ExitInterrupted = 130
)

// Codes of the program. Add here, with a row in the registry; docs/codes.md is generated from it.
const (
	// project and call
	ProjectNotFound   Code = "PROJECT_NOT_FOUND"
	ProjectSyntax     Code = "PROJECT_SYNTAX"
	ProjectUnknownKey Code = "PROJECT_UNKNOWN_KEY"
	ProjectType       Code = "PROJECT_TYPE"
	ProjectValue      Code = "PROJECT_VALUE"
	ProjectMissing    Code = "PROJECT_MISSING_KEY"
	ProjectReference  Code = "PROJECT_REFERENCE"
	ProjectDuplicate  Code = "PROJECT_DUPLICATE"
	ProjectSecret     Code = "PROJECT_SECRET_LITERAL"
	ProjectVariable   Code = "PROJECT_VARIABLE"
	ProjectExpression Code = "PROJECT_EXPRESSION"
	ProjectMode       Code = "PROJECT_MODE_UNSUPPORTED"
	ProjectUnreadable Code = "PROJECT_UNREADABLE"
	ProjectLimit      Code = "PROJECT_LIMIT"
	ProjectUnused     Code = "PROJECT_UNUSED"
	ProjectForeign    Code = "PROJECT_FOREIGN_FILE"
	ProjectUngoverned Code = "PROJECT_UNGOVERNED"
	UsageUnknown      Code = "USAGE"

	// sources
	SourceUnreachable     Code = "SOURCE_UNREACHABLE"
	SourceAuth            Code = "SOURCE_AUTH"
	SourceQueryFailed     Code = "SOURCE_QUERY_FAILED"
	SourceIncomplete      Code = "SOURCE_READ_INCOMPLETE"
	SourceColumnMissing   Code = "SOURCE_COLUMN_MISSING"
	SourceTypeUnsupported Code = "SOURCE_TYPE_UNSUPPORTED"
	SourceValue           Code = "SOURCE_VALUE_UNSUPPORTED"

	// rows refused before planning
	KeyNull        Code = "KEY_NULL"
	KeyDuplicate   Code = "KEY_DUPLICATE"
	KeyType        Code = "KEY_TYPE"
	MatchNull      Code = "MATCH_NULL"
	MatchDuplicate Code = "MATCH_DUPLICATE"
	MatchChanged   Code = "MATCH_CHANGED"
	TextInvalid    Code = "TEXT_INVALID_UTF8"
	ValueNotNumber Code = "VALUE_NOT_A_NUMBER"
	ValueType      Code = "VALUE_TYPE"
	ValueNull      Code = "VALUE_NULL"
	ValueTooLong   Code = "VALUE_TOO_LONG"
	ValuePicklist  Code = "VALUE_NOT_IN_PICKLIST"
	RowTooLarge    Code = "ROW_TOO_LARGE"
	Expression     Code = "EXPRESSION_FAILED"
	LookupMissing  Code = "LOOKUP_MISSING"
	AlreadyExists  Code = "ALREADY_EXISTS"
	RequiredAbsent Code = "REQUIRED_FIELD_MISSING"

	// destinations
	DestUnreachable    Code = "DESTINATION_UNREACHABLE"
	DestAuth           Code = "DESTINATION_AUTH"
	DestForbidden      Code = "DESTINATION_FORBIDDEN"
	DestTransient      Code = "DESTINATION_UNAVAILABLE"
	DestThrottled      Code = "DESTINATION_THROTTLED"
	DestQuota          Code = "DESTINATION_QUOTA"
	DestConfig         Code = "DESTINATION_CONFIG"
	DestRefused        Code = "DESTINATION_REFUSED_BATCH"
	DestRowRefused     Code = "DESTINATION_REFUSED_ROW"
	DestAnswer         Code = "DESTINATION_ANSWER_UNREADABLE"
	DestTimeout        Code = "DESTINATION_TIMEOUT"
	DestUnknownOutcome Code = "OUTCOME_UNKNOWN"
	DestRedirect       Code = "DESTINATION_REDIRECT"
	DestAddressBlocked Code = "DESTINATION_ADDRESS_BLOCKED"
	DestTLS            Code = "DESTINATION_TLS"
	DestObjectMissing  Code = "OBJECT_NOT_FOUND"
	DestFieldMissing   Code = "FIELD_NOT_FOUND"
	DestFieldReadOnly  Code = "FIELD_NOT_WRITABLE"
	DestFieldType      Code = "FIELD_TYPE_MISMATCH"
	DestKeyUnusable    Code = "MATCH_FIELD_UNUSABLE"
	DestSystemic       Code = "SYSTEMIC_REJECTION"
	DestJobLost        Code = "JOB_LOST"

	// holding
	GuardHeld    Code = "GUARD_HELD"
	TestFailed   Code = "MODEL_TEST_FAILED"
	PolicyDenied Code = "POLICY_DENIED"
	PlanStale    Code = "PLAN_STALE"
	DBTHeld      Code = "DBT_HELD"

	// dbt
	DBTArtifact Code = "DBT_ARTIFACT"

	// state
	StateLocked      Code = "STATE_LOCKED"
	StateUnusable    Code = "STATE_UNUSABLE"
	StateCorrupt     Code = "STATE_CORRUPT"
	StateMissing     Code = "STATE_MISSING"
	StateNewer       Code = "STATE_NEWER"
	StateFull        Code = "STATE_DISK_FULL"
	LeaseLost        Code = "LEASE_LOST"
	UndoNotPossible  Code = "UNDO_NOT_POSSIBLE"
	NotFound         Code = "NOT_FOUND"
	Cancelled        Code = "CANCELLED"
	Internal         Code = "INTERNAL"
	AccountingBroken Code = "ACCOUNTING_BROKEN"
)

var registry = index([]Info{
	{ProjectNotFound, ClassConfig, ExitUsage, "There is no upwell.yml in the project folder.", "Run `upwell init`, or name the folder with -C."},
	{ProjectSyntax, ClassConfig, ExitUsage, "A project file is not valid YAML.", "Mend the line named; indentation and quotes are the usual cause."},
	{ProjectUnknownKey, ClassConfig, ExitUsage, "A key is not part of the project format.", "Use the suggested key, or remove it."},
	{ProjectType, ClassConfig, ExitUsage, "A value has the wrong type.", "Write the value in the type named."},
	{ProjectValue, ClassConfig, ExitUsage, "A value is not allowed here.", "Use one of the values named."},
	{ProjectMissing, ClassConfig, ExitUsage, "A required key is missing.", "Add the key named."},
	{ProjectReference, ClassConfig, ExitUsage, "A name refers to nothing.", "Define it, or use the suggested name."},
	{ProjectDuplicate, ClassConfig, ExitUsage, "A name is defined twice.", "Rename or remove one of the two places named."},
	{ProjectSecret, ClassConfig, ExitUsage, "A secret stands in the file in clear text.", "Use ${env:NAME} or ${file:path}."},
	{ProjectVariable, ClassConfig, ExitUsage, "An ${env:} or ${file:} reference cannot be resolved.", "Set the variable, write the file, or give a default with :-."},
	{ProjectExpression, ClassConfig, ExitUsage, "A CEL expression does not compile.", "Mend the expression at the place named."},
	{ProjectMode, ClassConfig, ExitUsage, "The object does not support this mode or removal policy.", "Use one of the modes the connector offers: `upwell connectors NAME`."},
	{ProjectUnreadable, ClassConfig, ExitUsage, "A project file cannot be read.", "Check that it is a regular UTF-8 file and that you may read it."},
	{ProjectLimit, ClassConfig, ExitUsage, "A project file is too large, too deep or expands too far.", "Split the file, or use fewer aliases."},
	{ProjectUnused, ClassConfig, ExitUsage, "Something is defined and nothing uses it.", "Use it, or remove it."},
	{ProjectForeign, ClassConfig, ExitUsage, "A YAML file in the project folder holds nothing of the project format and was left alone.", "Move it out of the folder if the warning disturbs."},
	{ProjectUngoverned, ClassConfig, ExitUsage, "A rule on personal data covers nothing, or nothing covers personal data.", "Write a policy for it, or mend the name."},
	{UsageUnknown, ClassConfig, ExitUsage, "The command was called wrongly.", "See --help."},

	{SourceUnreachable, ClassEnvironment, ExitEnvironment, "The source cannot be reached.", "Check host, port and network, then run `upwell check --connect`."},
	{SourceAuth, ClassEnvironment, ExitEnvironment, "The source refused the credentials.", "Check user and password, and the rights of the user."},
	{SourceQueryFailed, ClassConfig, ExitFailed, "The source refused the model's query.", "Mend the SQL; `upwell preview MODEL` shows the answer."},
	{SourceIncomplete, ClassSource, ExitFailed, "The source's answer ended without proof that it was complete.", "Nothing was sent. Run again; if it repeats, look at the source's log."},
	{SourceColumnMissing, ClassConfig, ExitUsage, "The model does not yield a column the sync uses.", "Add the column to the model, or use the suggested name."},
	{SourceTypeUnsupported, ClassConfig, ExitUsage, "A column has a type that cannot be carried.", "Cast the column in the model's SQL."},
	{SourceValue, ClassSource, ExitFailed, "A value cannot be carried exactly.", "Filter or cast the value in the model's SQL."},

	{KeyNull, ClassRow, ExitPartial, "A key column is null.", "Filter such rows in the model, or choose another key."},
	{KeyDuplicate, ClassRow, ExitPartial, "Several rows of the model have the same key; none of them is sent.", "Make the key unique in the model."},
	{KeyType, ClassRow, ExitPartial, "The key column changed its type and this value has no exact counterpart in the old type.", "Cast the key to its former type, or `upwell reset` the sync."},
	{MatchNull, ClassRow, ExitPartial, "A column that identifies the record in the tool is null.", "Fill it in the model, or filter such rows."},
	{MatchDuplicate, ClassRow, ExitPartial, "Several rows point at the same record in the tool; none of them is sent.", "Make the match columns unique in the model."},
	{MatchChanged, ClassRow, ExitPartial, "The record's identity changed and the tool cannot move a record.", "Set on_match_change: create, or keep the match stable."},
	{TextInvalid, ClassRow, ExitPartial, "A text is not valid UTF-8.", "Repair the text in the source."},
	{ValueNotNumber, ClassRow, ExitPartial, "NaN or infinity, which the tool cannot take.", "Replace it in the model, for instance with null."},
	{ValueType, ClassRow, ExitPartial, "The value does not fit the field's type.", "Cast it in the model."},
	{ValueNull, ClassRow, ExitPartial, "The value is null and the mapping says null: reject.", "Fill it in the model, or choose null: skip or clear."},
	{ValueTooLong, ClassRow, ExitPartial, "The text is longer than the field.", "Shorten it in the model; nothing is cut silently."},
	{ValuePicklist, ClassRow, ExitPartial, "The value is not one of the field's restricted choices.", "Use a listed value, or add it in the tool."},
	{RowTooLarge, ClassRow, ExitPartial, "The encoded record is larger than the tool takes.", "Map fewer or shorter fields."},
	{Expression, ClassRow, ExitPartial, "The expression of a field failed for this row.", "Guard the expression against nulls and types."},
	{LookupMissing, ClassRow, ExitPartial, "The record a lookup refers to is not in the tool.", "Sync the parent first, or set on_missing: null."},
	{AlreadyExists, ClassRow, ExitPartial, "Insert mode: the tool already has the record.", "Set on_exists: skip, or use upsert."},
	{RequiredAbsent, ClassRow, ExitPartial, "A field the tool requires has no value.", "Map the field, fill it in the model, or leave nulls out with `null: skip`."},

	{DestUnreachable, ClassTransient, ExitEnvironment, "The destination cannot be reached.", "The run waits and resumes by itself; check network and address if it stays down."},
	{DestAuth, ClassAuth, ExitEnvironment, "The destination refused the credentials.", "Check them with `upwell check --connect`."},
	{DestForbidden, ClassAuth, ExitEnvironment, "The destination user lacks a right.", "Grant the right named by the tool."},
	{DestTransient, ClassTransient, ExitEnvironment, "The destination answered with a temporary error.", "The run retries by itself."},
	{DestThrottled, ClassThrottled, ExitEnvironment, "The destination asked to slow down.", "The run waits by itself; lower `limits` if it shares the account."},
	{DestQuota, ClassQuota, ExitEnvironment, "The destination's quota is used up.", "The run resumes when the quota resets."},
	{DestConfig, ClassConfig, ExitFailed, "The destination refused the request as such.", "Check object, fields and settings."},
	{DestRefused, ClassBatchRefused, ExitPartial, "The destination refused a batch without naming the row.", "The batch is split until the row is found."},
	{DestRowRefused, ClassRow, ExitPartial, "The destination refused the row.", "See the tool's message."},
	{DestAnswer, ClassTransient, ExitFailed, "The destination's answer cannot be understood; it is never taken for success.", "Check that the address is the tool's API and no proxy answers in between."},
	{DestTimeout, ClassTransient, ExitEnvironment, "The destination did not answer in time.", "The outcome is settled by sending again or reading back."},
	{DestUnknownOutcome, ClassRow, ExitPartial, "The row was sent and its outcome is not known.", "Look in the tool; then `upwell retry` the sync."},
	{DestRedirect, ClassConfig, ExitFailed, "The destination redirected to another address.", "Set the final address in the project."},
	{DestAddressBlocked, ClassConfig, ExitUsage, "The address is private or loopback.", "Set allow_private: true on the destination if that is meant."},
	{DestTLS, ClassConfig, ExitEnvironment, "The destination's certificate cannot be trusted.", "Check the address and certificate; verification is never switched off."},
	{DestObjectMissing, ClassConfig, ExitUsage, "The destination has no such object.", "Use one of the objects named by `upwell connectors NAME`."},
	{DestFieldMissing, ClassConfig, ExitUsage, "The object has no such field, or the user may not see it.", "Use the suggested field, create it, or grant field access."},
	{DestFieldReadOnly, ClassConfig, ExitUsage, "The field cannot be written.", "Remove it from the mapping or grant edit access."},
	{DestFieldType, ClassConfig, ExitUsage, "The column's type does not fit the field's.", "Cast the column in the model."},
	{DestKeyUnusable, ClassConfig, ExitUsage, "The match field cannot identify records.", "Use a unique or external-id field."},
	{DestSystemic, ClassConfig, ExitFailed, "More than half of the rows were refused for the same reason; the run stopped early.", "Mend the cause, then run again."},
	{DestJobLost, ClassRow, ExitPartial, "The tool no longer knows an asynchronous job; its rows' outcome is unknown.", "They are settled by the next run."},

	{GuardHeld, ClassHeld, ExitHeld, "A guard withheld changes.", "Look at `upwell plan`, then run with --allow if it is right."},
	{TestFailed, ClassHeld, ExitHeld, "A model test failed; nothing was sent.", "Mend the data or the test; `upwell test` shows the rows."},
	{PolicyDenied, ClassHeld, ExitHeld, "A policy forbids this field here.", "See `upwell policy explain`."},
	{PlanStale, ClassHeld, ExitHeld, "The saved plan no longer describes what would happen.", "Make a new plan."},
	{DBTHeld, ClassHeld, ExitHeld, "dbt failed, skipped or did not test the model, or finds its sources too old; nothing was sent.", "Mend it and let dbt build it again; `gate: off` under `dbt` looks away."},

	{DBTArtifact, ClassConfig, ExitUsage, "A file of dbt is missing, cannot be read, or has a schema this version does not know.", "Let dbt write it anew; the schemas known are named in docs/guide/dbt.md."},

	{StateLocked, ClassEnvironment, ExitEnvironment, "Another process uses the state folder.", "Wait for it, or stop the process named."},
	{StateUnusable, ClassEnvironment, ExitEnvironment, "The state folder cannot be used.", "Check its permissions and disk."},
	{StateCorrupt, ClassEnvironment, ExitEnvironment, "A state file does not hold what was written; nothing was sent.", "Run `upwell doctor`."},
	{StateMissing, ClassEnvironment, ExitEnvironment, "The project had state before and it is gone.", "Restore it, or choose with `upwell doctor --adopt | --rebuild`."},
	{StateNewer, ClassEnvironment, ExitEnvironment, "The state was written by a newer version.", "Use that version or a newer one."},
	{StateFull, ClassEnvironment, ExitEnvironment, "The disk of the state folder is full; nothing was sent without a record.", "Free space and run again."},
	{LeaseLost, ClassEnvironment, ExitEnvironment, "Another process took over this sync.", "Nothing to do; the other run goes on."},
	{UndoNotPossible, ClassConfig, ExitFailed, "The run cannot be undone.", "See the message."},
	{NotFound, ClassConfig, ExitUsage, "There is no such thing.", "Check the name."},
	{Cancelled, ClassCancelled, ExitInterrupted, "Interrupted; what was in flight was settled.", "Run again to go on."},
	{Internal, ClassBug, ExitFailed, "The program met a state it should not; nothing was lost.", "Please report it with `upwell run-log`."},
	{AccountingBroken, ClassBug, ExitFailed, "The rows of a run do not add up.", "Please report it with `upwell run-log`."},
})

func index(list []Info) map[Code]Info {
	m := make(map[Code]Info, len(list))
	for _, i := range list {
		m[i.Code] = i
	}
	return m
}

// Lookup gives what the registry knows of a code.
func Lookup(c Code) (Info, bool) { i, ok := registry[c]; return i, ok }

// All lists the registry, sorted by code.
func All() []Info {
	out := make([]Info, 0, len(registry))
	for _, i := range registry {
		out = append(out, i)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Code < out[b].Code })
	return out
}

// Exit is the process exit code of a fault.
func (e *Error) Exit() int {
	if info, ok := Lookup(e.Code); ok {
		return info.Exit
	}
	switch e.GetClass() {
	case ClassAuth, ClassEnvironment, ClassTransient, ClassThrottled, ClassQuota:
		return ExitEnvironment
	case ClassHeld:
		return ExitHeld
	case ClassRow, ClassBatchRefused:
		return ExitPartial
	case ClassCancelled:
		return ExitInterrupted
	case ClassConfig, ClassSource, ClassBug:
		return ExitFailed
	}
	return ExitFailed
}
