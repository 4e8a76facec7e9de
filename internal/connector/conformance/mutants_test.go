package conformance

import (
	"testing"
)

// mutants are connectors that break one promise each, and the check that must catch them.
var mutants = []struct{ bug, check string }{
	{"has a setting without a word", "spec: says what the connector is and what each setting means"},
	{"does without its settings", "spec: a setting that is needed and missing is named"},
	{"shows the secret", "check: a wrong credential is an auth fault"},
	{"takes an outage for a mistake of the project", "check: a tool out of reach is waited for"},
	{"knows objects that are not there", "discovery: an object the tool does not have is left out"},
	{"describes fields by other kinds", "discovery: describes the object"},
	{"connects when it is opened", "spec: opening does not connect"},
	{"hides that it stages", "spec: what is declared is implemented"},
	{"names no account", "check: names the account"},
	{"lists nothing", "discovery: all objects are listed"},
	{"drops the last row", "writes: records are created"},
	{"appends twice", "writes: append adds every event"},
	{"loses values of kind bool", "values: bool arrives exactly or is refused"},
	{"loses values of kind uint", "values: uint arrives exactly or is refused"},
	{"loses values of kind float", "values: float arrives exactly or is refused"},
	{"loses values of kind bytes", "values: bytes arrives exactly or is refused"},
	{"loses values of kind date", "values: date arrives exactly or is refused"},
	{"loses values of kind time", "values: time arrives exactly or is refused"},
	{"loses values of kind interval", "values: interval arrives exactly or is refused"},
	{"loses values of kind uuid", "values: uuid arrives exactly or is refused"},
	{"loses values of kind array", "values: array arrives exactly or is refused"},
	{"escapes keys", "values: keys with odd characters name one record each"},
	{"cannot commit nothing", "stage: an empty stage commits"},
	{"takes a cut answer for success", "weather: an answer cut short is no success"},
	{"takes any 200 for success", "weather: an empty answer is no success"},
	{"overhears answers to no row", "weather: an answer that speaks of more rows is noticed"},
	{"cannot write twice at once", "hygiene: several goroutines may write"},
	{"shows the secret with what was sent", "hygiene: refused rows show no secret"},
	{"adds a record whenever it is asked", "writes: upsert changes the record that is there"},
	{"adds a record whenever it is asked", "writes: the same batch twice leaves the same state"},
	{"takes null for absent", "writes: null clears"},
	{"takes absent for null", "writes: an absent field is left alone"},
	{"takes absent for null", "writes: rows of one batch may hold different fields"},
	{"creates when updating", "writes: update changes and never creates"},
	{"updates what is there when inserting", "writes: insert never changes what is there"},
	{"never skips what exists", "writes: insert can skip what is there"},
	{"carries decimals through floats", "values: decimal arrives exactly or is refused"},
	{"carries integers through floats", "values: int arrives exactly or is refused"},
	{"lower-cases texts", "values: text arrives exactly or is refused"},
	{"trims texts", "values: text arrives exactly or is refused"},
	{"cuts long texts", "values: text arrives exactly or is refused"},
	{"cuts long texts", "stage: every kind arrives exactly or is refused"},
	{"shifts instants by a summer hour", "values: instant arrives exactly or is refused"},
	{"keeps seconds only", "values: timestamp arrives exactly or is refused"},
	{"reads JSON numbers as floats", "values: json arrives exactly or is refused"},
	{"deletes by the beginning of the key", "delete: removes the records named and no others"},
	{"refuses to delete what is gone", "delete: what is gone already is delivered"},
	{"clears the whole record", "clear: empties the fields named and no others"},
	{"calls for nothing", "outcomes: an empty batch makes no call"},
	{"does what was not offered", "outcomes: an operation that is not offered has no effect"},
	{"declares more rows than the tool takes", "limits: a batch of the declared size is one request"},
	{"splits by itself", "limits: a batch of the declared size is one request"},
	{"passes no gate", "limits: every request passes the gate"},
	{"refuses the batch for one row", "partial: a refused row does not sink the rest, first row"},
	{"refuses the batch for one row", "partial: a refused row does not sink the rest, middle row"},
	{"refuses the batch for one row", "partial: a refused row does not sink the rest, last row"},
	{"rejects without a word", "partial: a refused row does not sink the rest, every row"},
	{"answers in the tool's order", "read back: answers come in the order asked"},
	{"answers in the tool's order", "read back: values come as they are"},
	{"picks one of several records", "read back: several records are ambiguous"},
	{"shows staged rows at once", "stage: nothing is visible before commit"},
	{"shows staged rows at once", "stage: abort leaves nothing"},
	{"commits what was aborted", "stage: abort leaves nothing"},
	{"commits what is excluded", "stage: excluded rows are left out"},
	{"commits again", "stage: commit works once"},
	{"refuses the batch for one row", "stage: a refused row does not sink the rest"},
	{"shows filled rows at once", "fill: nothing is visible before commit"},
	{"shows filled rows at once", "fill: abort leaves nothing"},
	{"commits what was aborted", "fill: abort leaves nothing"},
	{"keeps what it filled in before a bad row", "fill: a bad row loses the load and leaves nothing"},
	{"takes a lost load for a refusal", "fill: a bad row loses the load and leaves nothing"},
	{"settles rows of a lost load", "fill: a bad row loses the load and leaves nothing"},
	{"keeps what it filled in before a bad row", "fill: rows that are one record lose the load and leave nothing"},
	{"fills in all but what is left out", "fill: rows that are to be left out lose the load"},
	{"commits what is excluded", "fill: rows that are to be left out lose the load"},
	{"fills what is not empty", "fill: an object that holds a record is not filled"},
	{"cuts long texts", "fill: every kind arrives exactly, is refused or loses the load"},
	{"starts the job before it is saved", "jobs: nothing starts before the handle is saved"},
	{"forgets that the job was not saved", "jobs: nothing starts before the handle is saved"},
	{"keeps its jobs in memory", "jobs: another process finishes them"},
	{"refuses the batch for one row", "jobs: a refused row does not sink the rest"},
	{"takes a lost job for done", "jobs: a job the tool forgot is never a success"},
	{"cannot abandon twice", "jobs: an abandoned job is no error"},
	{"repeats by itself", "weather: 429 with Retry-After waits as long as told"},
	{"forgets how long to wait", "weather: 429 with Retry-After waits as long as told"},
	{"repeats by itself", "weather: 429 without Retry-After is throttled"},
	{"says nothing landed after a server error", "weather: a temporary error is transient and may have landed"},
	{"takes a refused login for a mistake of the project", "weather: 401 in the middle of a run refreshes once or is an auth fault"},
	{"takes a lost answer for nothing sent", "weather: a lost answer may have landed and can be repeated"},
	{"takes a call that was broken off for nothing sent", "weather: an answer that does not come is left, and may have landed"},
	{"takes any 200 for success", "weather: a page of a proxy is no success"},
	{"forgives JSON that ends too early", "weather: JSON that ends too early is no success"},
	{"takes silence for success", "weather: an answer that speaks of fewer rows leaves the others unknown"},
	{"unpacks whatever comes", "weather: an answer that swells when unpacked is refused"},
	{"follows redirects", "weather: a redirect is not followed and no credential leaves"},
	{"leaks a goroutine", "hygiene: nothing runs on after close"},
	{"does not hear the interruption", "hygiene: an interrupted call ends and says so"},
}

func Test_each_broken_promise_is_caught_by_the_check_of_that_name(t *testing.T) {
	checks := map[string]check{}
	for _, c := range destinationChecks() {
		if _, twice := checks[c.name]; twice {
			t.Errorf("two checks are named %q", c.name)
		}
		checks[c.name] = c
	}
	for _, m := range mutants {
		t.Run(m.bug+" - "+m.check, func(t *testing.T) {
			c, ok := checks[m.check]
			if !ok {
				t.Fatalf("there is no check %q", m.check)
			}
			h := goodHarness(m.bug)
			r := record(t, func(t testing.TB) { c.try(t, &h) })
			if !r.Failed() {
				t.Errorf("the check did not notice (skipped: %v)", r.Skipped())
			}
			t.Log(r.text())
		})
	}
}

// A check that no mutant fails may be one that cannot fail.
func Test_every_check_catches_something(t *testing.T) {
	caught := map[string]bool{}
	for _, m := range mutants {
		caught[m.check] = true
	}
	for _, c := range destinationChecks() {
		if !caught[c.name] {
			t.Errorf("no mutant is caught by %q", c.name)
		}
	}
}

func Test_a_check_that_is_excepted_is_skipped_with_its_reason(t *testing.T) {
	h := goodHarness("lower-cases texts")
	h.Except = map[string]string{"values: text arrives exactly or is refused": "the tool has no capitals"}
	for _, c := range destinationChecks() {
		if c.name == "values: text arrives exactly or is refused" {
			if r := record(t, func(t testing.TB) { c.try(t, &h) }); !r.Skipped() || r.text() != "the tool has no capitals" {
				t.Errorf("skipped %v: %s", r.Skipped(), r.text())
			}
		}
	}
}
