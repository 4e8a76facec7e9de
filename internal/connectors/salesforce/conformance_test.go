package salesforce_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/salesforce"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_the_destination_keeps_the_contract(t *testing.T) {
	fields := map[row.Kind]string{
		row.Text: "Description", row.Int: "NumberOfEmployees", row.Decimal: "Health_Score__c", row.Bool: "Is_Customer__c", row.Date: "First_Seen__c",
		row.Instant: "Last_Seen__c", row.Time: "Renewal_Time__c",
	}
	kinds := map[string]row.Kind{}
	for k, name := range fields {
		kinds[name] = k
	}
	conformance.Destination(t, conformance.Harness{
		Connector: salesforce.Connector(), Object: "Account", Match: "Account_Number__c", Fields: fields,
		Required: conformance.Record{"Name": row.TextValue("Account")},
		Bad:      conformance.Record{"Health_Tier__c": row.TextValue("splendid")},
		Wrong:    map[string]string{"client_secret": "wrong-secret-0815"},
		New: func(t testing.TB) conformance.World {
			s, err := salesforcetest.Start("", salesforcetest.WithPolls(3))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return conformance.World{
				Settings: s.Settings(), Forget: s.ForgetJobs,
				Seed: func(r conformance.Record) {
					rec := salesforcetest.Record{}
					for name, v := range r {
						rec[name] = asStored(v)
					}
					s.Put("Account", rec)
				},
				Records: func() (out []conformance.Record) {
					for _, rec := range s.Records("Account") {
						r := conformance.Record{}
						for name, raw := range rec {
							r[name] = asRead(kinds, name, raw)
						}
						out = append(out, r)
					}
					return out
				},
			}
		},
		Live: &conformance.Live[conformance.World]{
			Needs: []string{"client_secret"},
			New:   func(t testing.TB, a conformance.Account) conformance.World { return liveWorld(t, a, kinds) },
		},
		HTTP: &conformance.HTTP{
			URL: "instance_url",
			Write: func(r *http.Request) bool {
				return r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/composite/")
			},
			Shorter: func(b []byte) []byte {
				return editList(b, func(l []json.RawMessage) []json.RawMessage { return l[:len(l)-1] })
			},
			Longer: func(b []byte) []byte {
				return editList(b, func(l []json.RawMessage) []json.RawMessage { return append(l, l[len(l)-1]) })
			},
		},
	})
}

// asRead is a value as the org shows it.
func asRead(kinds map[string]row.Kind, name string, raw any) row.Value {
	k, ok := kinds[name]
	if !ok {
		k = row.Text
	}
	if text, ok := raw.(string); ok && k == row.Time { // "09:30:00.000Z", without a meaning of the Z
		raw = strings.TrimSuffix(text, "Z")
	}
	return conformance.Value(k, raw)
}

// asStored is a value as the stand-in keeps it.
func asStored(v row.Value) any {
	switch {
	case v.IsNull(), v.IsAbsent():
		return nil
	case v.Kind() == row.Bool:
		return v.Bool()
	case v.Kind() == row.Time:
		return time.Unix(0, v.Int()).UTC().Format("15:04:05.000Z")
	case v.Kind().Numeric():
		return json.Number(v.String())
	}
	return v.String()
}

func editList(b []byte, edit func([]json.RawMessage) []json.RawMessage) []byte {
	var list []json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil {
		panic(err)
	}
	out, err := json.Marshal(edit(list))
	if err != nil {
		panic(err)
	}
	return out
}
