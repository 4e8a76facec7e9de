package telco_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// The documents as the contract with users shows them. A document may hold more; it must hold these fields with these types.
// "?" before a name: may be null. A list's one element stands for each.
const (
	planForm = `{"schema_version":1,"plans":[{"sync":"s","run_mode":"s","plan_hash":"s","mapping_changed":true,
		"counts":{"read":1,"invalid":1,"unchanged":1,"waiting":1,"add":1,"change":1,"remove":1},
		"guards":[{"guard":"s","limit":"s","value":"s","held":true}],
		"estimate":{"requests":1,"seconds":1,"daily_quota_share":1},
		"samples":[{"op":"s","key":{"customer_id":"s"},"fields":{}}]}]}`
	runForm = `{"schema_version":1,"runs":[` + oneRun + `]}`
	oneRun  = `{"run_id":"s","sync":"s","status":"s","started_at":"s","finished_at":"s",
		"counts":{"read":1,"invalid":1,"unchanged":1,"waiting":1,"planned":{"add":1,"change":1,"remove":1},
			"delivered":1,"unconfirmed":1,"skipped":1,"rejected":1,"unknown":1,"withheld":1,"pending":1},
		"requests":1,"retries":1,"throttled_seconds":1,"?error":{"code":"s","class":"s","message":"s","fix":"s"}}`
	explainForm = `{"schema_version":1,"key":{"customer_id":"s"},"?model_row":{},"?mapped":{},
		"?ledger":{"fields":{},"?delivered_at":"s","run_id":"s","?remote_id":"s"},"state":"s","?last_error":{},"attempts":1,"?next_attempt_at":"s",
		"history":[{"run_id":"s","at":"s","op":"s","outcome":"s","fields":{}}]}`
	rejectsForm = `{"schema_version":1,"groups":[{"code":"s","field":"s","count":1,"message":"s","sample_key":{},"first_seen":"s","last_seen":"s"}],
		"rows":[{}]}`
	statusForm = `{"schema_version":1,"syncs":[{"sync":"s","state":"s","?last_run":` + oneRun + `,"?last_success_at":"s","?freshness_seconds":1,
		"?next_run_at":"s","?problem":{"code":"s","class":"s","message":"s","fix":"s"}}]}`
	undoForm = runForm
)

// misses says what a document lacks of a form.
func misses(form string, doc any) []string {
	var want any
	if err := json.Unmarshal([]byte(form), &want); err != nil {
		return []string{"the form is no JSON: " + err.Error()}
	}
	return compare("the document", want, doc)
}

func compare(at string, want, got any) (out []string) {
	if kind(want) != kind(got) {
		return []string{fmt.Sprintf("%s is %s, want %s", at, kind(got), kind(want))}
	}
	switch want := want.(type) {
	case map[string]any:
		have := got.(map[string]any) //nolint:forcetypeassert // of the same kind
		for name, w := range want {
			optional := name[0] == '?'
			if optional {
				name = name[1:]
			}
			g, there := have[name]
			switch {
			case !there:
				out = append(out, at+" lacks "+name)
			case g == nil && optional:
			default:
				out = append(out, compare(at+"."+name, w, g)...)
			}
		}
	case []any:
		for i, g := range got.([]any) { //nolint:forcetypeassert // of the same kind
			out = append(out, compare(fmt.Sprintf("%s[%d]", at, i), want[0], g)...)
		}
	}
	slices.Sort(out)
	return out
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string:
		return "text"
	case float64, json.Number:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}

func Test_a_document_that_breaks_the_contract_is_noticed(t *testing.T) {
	form := `{"a":[{"n":1,"?s":"s"}]}`
	for doc, wrong := range map[string]bool{
		`{"a":[{"n":2,"s":"x","more":true},{"n":3,"s":null}]}`: false,
		`{"a":[]}`:                    false,
		`{}`:                          true,
		`{"a":null}`:                  true,
		`{"a":[{"n":2}]}`:             true,
		`{"a":[{"n":"2","s":"x"}]}`:   true,
		`{"a":[{"n":null,"s":"x"}]}`:  true,
		`{"a":[{"n":1,"s":{}}]}`:      true,
		`{"a":[{"n":1,"s":"x"},1]}`:   true,
		`[{"a":[{"n":1,"s":"x"},1]}]`: true,
	} {
		var v any
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatal(err)
		}
		if got := misses(form, v); (len(got) > 0) != wrong {
			t.Errorf("%s: %v", doc, got)
		}
	}
}
