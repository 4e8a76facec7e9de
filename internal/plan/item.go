// Package plan decides what a run would do: it turns what a read and the ledger disagree about into operations, counts them,
// judges them against guards, and estimates what they cost. It changes nothing.
package plan

import (
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// Action is what is done about one key, or why nothing is.
type Action uint8

// The actions. Add, Change and Remove are sent; the others are not.
const (
	None      Action = iota // nothing to do and nothing to record
	Add                     // the tool does not have it from us
	Change                  // the mapped record differs
	Remove                  // the row left the model
	Unchanged               // differs in nothing that is sent; the ledger's fingerprint is refreshed
	Waiting                 // rejected or unknown earlier and not due
	Invalid                 // refused before planning
	Leave                   // the row left the model and stays in the tool; the ledger marks it
	Forget                  // the row left and nothing may or need be removed; the ledger drops it
	Adopt                   // recorded as delivered without sending: baseline, or on_mapping_change: ignore
	Note                    // a record without a key of the model, recorded before anything is sent
)

// String gives the action as shown to people and in JSON.
func (a Action) String() string {
	return [...]string{"none", "add", "change", "remove", "unchanged", "waiting", "invalid", "leave", "forget", "adopt", "note"}[a]
}

// Sent reports whether the action leads to a request.
func (a Action) Sent() bool { return a == Add || a == Change || a == Remove }

// Item is what a run does about one key. It and what it points at are valid until the next step of the walk.
type Item struct {
	Action      Action
	Op          connector.Op // for Add, Change, Remove
	Hash        uint64
	Key         []byte
	Match       []row.Value // identity to address
	Move        []row.Value // new identity, when a record's match changes; nil otherwise
	Values      []row.Value // in mapping order; Absent = not sent
	RemoteID    string
	Fingerprint uint64
	Dirty       bool // an earlier outcome is open: the full record is sent, after its old request can no longer land
	Refused     bool // a refusal of an earlier run is on record
	Vacates     bool // another key of the read takes over the record Old stands for
	Late        bool // another key's open request may still land on the same record: sent after it no longer can
	MayCreate   bool // the tool may create the record: write: create fields are included
	New         *ledger.Record
	Old         *ledger.Entry
	Invalid     *ledger.Invalid
	Withheld    string // guard that holds this item back; "" = none
}

// Anew reports that the record written is not the one Old stands for: the key's identity changed and its record was not moved, or
// the tool did not have it when it was last written. What was delivered before says nothing about it.
func (it *Item) Anew() bool {
	return it.Old != nil && it.New != nil && it.Move == nil && (it.Old.State == ledger.Missed || moved(it.New, it.Old))
}

// Dirty is a key whose last request has an open or unknown outcome.
type Dirty struct {
	Key      []byte
	Match    []row.Value // the record the request addressed
	MatchID  []byte      // of Move, else of Match, normalised; nil when the match is the key
	Move     []row.Value // the identity it gave that record, nil = none
	RemoteID string
	Run      string // run of the open request
	Op       connector.Op
	Person   bool      // only a person may decide: never sent again by itself
	Deadline time.Time // after it the open request can no longer land
}

// Refusal is what is known of a row the tool refused.
type Refusal struct {
	Fingerprint uint64
	Mapping     string
	Due         bool
	Removal     bool // what was refused is removing the record
	Code        fault.Code
}
