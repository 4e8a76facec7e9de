// Package conformance is the kit every connector passes: Destination and Source run the whole contract of package connector
// against a connector's stand-in or a real database, and look at results past the connector.
//
// The kit itself is tested: its own good connectors pass, and connectors that break one promise each are caught by the check
// of that name.
package conformance

import (
	"net/http"
	"slices"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// Record is one record of a tool: values by field name. A field that is missing or null is empty.
type Record map[string]row.Value

// Harness tells the kit how to try one destination. What the destination can do is read from its Spec and Object.
type Harness struct {
	Connector connector.DestinationConnector
	// New starts a fresh stand-in, or makes a fresh database, whose object has no records. It registers its own clean-up.
	New func(testing.TB) World

	Object   string
	Match    string                // the field that identifies a record
	Key      func(i int) row.Value // the i-th value of Match; nil = texts "key-000"
	Fields   map[row.Kind]string   // the field that takes values of a kind; kinds without one are not tried
	Required Record                // what a record must have to be created, beside Match
	Bad      Record                // fields that make the tool refuse a row; nil = it refuses none
	Wrong    map[string]string     // settings laid over good ones so that the login is refused; nil = there is no login
	Nowhere  map[string]string     // settings laid over good ones so that nothing answers; with HTTP the kit knows itself
	Needs    []string              // settings without which Open or Check fails, beside the Required ones of the Spec
	Filter   func(row.Value) bool  // values the engine would refuse before a write (Field.MaxLength, Precision); nil = none
	HTTP     *HTTP                 // for tools spoken to by HTTP: the kit puts itself between connector and stand-in
	AnyBy    bool                  // ReadBack finds records by any field, so that a match can be ambiguous
	Except   map[string]string     // checks this tool cannot be held to, by name, with the reason
	Shown    map[string]string     // secret settings of which a part may be shown, with the reason; World.Secrets names the rest
	Live     *Live[World]          // how to run against a real account (-live); nil = New gives the real thing

	alive bool
}

// HTTP tells how to stand between a connector and its stand-in.
type HTTP struct {
	URL     string                   // the setting that holds the stand-in's address
	Write   func(*http.Request) bool // requests that write; nil = all but GET and HEAD
	Shorter func(body []byte) []byte // takes the last row's result out of an answer to a write; nil = answers name no rows
	Longer  func(body []byte) []byte // adds a result that belongs to no row; nil = cannot be told
	Silent  bool                     // an answer without a body is a success
}

// World is one fresh stand-in or database.
type World struct {
	Settings map[string]string   // project settings that connect, dotted names for nested ones
	Lists    map[string][]string // list settings
	Dir      string              // the project folder, "" = none
	Secrets  []string            // texts that must never be shown, beside the values of secret settings
	Records  func() []Record     // what the object holds, read from the tool itself
	Seed     func(Record)        // puts a record in place past the connector; nil = the kit writes it through the connector
	Forget   func()              // the tool forgets its asynchronous jobs; nil = it cannot
	Object   string              // in place of Harness.Object
	Prefix   string              // keys of this world begin so, where others' records may be beside them
}

// Destination runs every check against a destination, each in a world of its own.
func Destination(t *testing.T, h Harness) {
	t.Helper()
	if *live {
		h = h.onAccount(t)
	}
	names := map[string]bool{}
	for _, c := range destinationChecks() {
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) { c.try(t, &h) })
	}
	for name, why := range h.Except {
		if !names[name] || why == "" {
			t.Errorf("the exception %q (%q) names no check, or has no reason", name, why)
		}
	}
}

// check is one promise.
type check struct {
	name  string
	run   func(*stand)
	apart bool // opens its own connections
}

func (c check) try(t testing.TB, h *Harness) {
	t.Helper()
	if why, ok := h.Except[c.name]; ok {
		t.Skip(why)
	}
	s := newStand(t, h)
	if !c.apart {
		s.connect()
	}
	c.run(s)
	s.keepsSecrets()
}

func destinationChecks() []check {
	return slices.Concat(
		specChecks(), discoveryChecks(), writeChecks(), valueChecks(), removalChecks(), outcomeChecks(), readChecks(), stageChecks(),
		fillChecks(), jobChecks(), weatherChecks(), hygieneChecks(),
	)
}
