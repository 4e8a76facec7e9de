// Package connector is the seam between the engine and the tools it reads from and writes to.
//
// A connector declares what it can do as data (Spec, Object, Operation, Limits) and does one thing at a time: check, describe,
// read, write one batch of one operation. Everything else belongs to the engine, once: batching, limits, retries, backoff,
// splitting, accounting, logging. docs/adr/0002-connector-seam.md says which vendor rule each part of this package answers.
package connector

import (
	"context"
	"time"
)

// Spec describes a connector: lint, plan, JSON Schema, the UI form, the docs page and the conformance kit read this and
// nothing else.
type Spec struct {
	Type       string // as written in a project: "salesforce"
	Title      string // "Salesforce"
	Summary    string // one sentence
	APIVersion string // the vendor API version pinned, "" where there is none
	Settings   []Setting
	HTTP       bool          // speaks HTTP: gets allow_private
	Modes      []Mode        // destinations: modes that some object of it supports
	Removed    []Removal     // destinations: removal policies that some object of it supports
	Timeout    time.Duration // destinations: longest a request may take; also how long a dead process's request may land
	Ledger     bool          // sources: can hold the ledger (`diff: warehouse`)
	Grants     Grants        // sources: what the user needs, for `upwell grants`
	Sandbox    bool          // has a stand-in server (`upwell sandbox TYPE`)
	FreeObject bool          // destinations: any object name and field is accepted (webhook, file)
	NoMatch    bool          // destinations: match may be left out; the model key's columns identify the record
	Stages     bool          // destinations: implements Stager
}

// Grants are the statements that give a user the rights a source needs, and no more. {name} stands for the connection's setting of
// that name, {state_schema} for the schema of Upwell's tables; a setting that is absent is left as it is, to be filled in.
type Grants struct {
	Read   string // to read models
	Ledger string // besides, for diff: warehouse
}

// SettingType is the type of a setting's value in a project file.
type SettingType string

// The setting types.
const (
	TypeString   SettingType = "string"
	TypeInt      SettingType = "int"
	TypeBool     SettingType = "bool"
	TypeDuration SettingType = "duration" // "30s"
	TypeSize     SettingType = "size"     // "1MiB"
	TypeMap      SettingType = "map"      // map of string to string
	TypeList     SettingType = "list"     // list of strings
	TypeGroup    SettingType = "group"    // nested settings, see Setting.Fields
	TypeCEL      SettingType = "cel"      // an expression over Setting.Vars
)

// Setting is one key of a source or destination in a project file.
type Setting struct {
	Name     string
	Type     SettingType
	Required bool
	Secret   bool     // must be a reference; never shown
	Default  string   // as written in a file, "" = none
	Enum     []string // allowed values, nil = any
	Fields   []Setting
	Vars     []string // TypeCEL: variables the expression may use
	Doc      string   // one sentence
	Example  string
}

// Mode is a sync's mode.
type Mode string

// The modes of the contract.
const (
	ModeUpsert Mode = "upsert"
	ModeUpdate Mode = "update"
	ModeInsert Mode = "insert"
	ModeAppend Mode = "append"
	ModeMirror Mode = "mirror"
)

// Removal says what happens in the tool to records whose row left the model.
type Removal string

// The removal policies of the contract.
const (
	RemovedKeep   Removal = "keep"
	RemovedDelete Removal = "delete"
	RemovedClear  Removal = "clear"
)

// Op is one operation on records of an object; a batch holds rows of one operation.
type Op string

// The operations. Clear sets the given fields to the tool's empty value: its batch holds Null values.
const (
	OpUpsert Op = "upsert"
	OpUpdate Op = "update"
	OpInsert Op = "insert"
	OpAppend Op = "append"
	OpDelete Op = "delete"
	OpClear  Op = "clear"
	OpAdd    Op = "add_member"
	OpDrop   Op = "remove_member"
)

// DestinationConnector is one registered destination type.
type DestinationConnector struct {
	Spec Spec
	// Open makes a destination from checked settings. It does not connect: the first call does.
	Open func(ctx context.Context, cfg Config, env Env) (Destination, error)
	// Sandbox starts the stand-in server; nil where there is none.
	Sandbox func(ctx context.Context, listen string) (Sandbox, error)
}

// SourceConnector is one registered source type.
type SourceConnector struct {
	Spec Spec
	// Open makes a source from checked settings. It does not connect: the first call does.
	Open func(ctx context.Context, cfg Config, env Env) (Source, error)
	// Sandbox starts the stand-in server; nil where there is none.
	Sandbox func(ctx context.Context, listen string) (Sandbox, error)
}

// Sandbox is a running stand-in server of a tool.
type Sandbox interface {
	Addr() string                // host:port it listens on
	Settings() map[string]string // project settings that connect to it; secrets of the stand-in are not secret
	Close() error
}

// Env is what the engine gives a connector beside its settings.
type Env struct {
	ProjectDir string // paths in settings are relative to it
	StateDir   string // a private folder for small durable files of this connection; "" when none may be written
	Gate       Gate   // every request passes it; never nil in production (Open gate: OpenGate)
	Name       string // name of the connection in the project
	Ledger     bool   // the source holds the ledger, and is written to: diff: warehouse
}
