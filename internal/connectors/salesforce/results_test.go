package salesforce_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/connectors/salesforce"
)

func Test_errors_of_bulk_rows_are_read_in_whatever_form_they_come(t *testing.T) {
	for _, c := range []struct {
		in, code, message string
		fields            []string
	}{
		{"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --", "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", []string{"LastName"}},
		{"DUPLICATE_VALUE:duplicate value found: X__c duplicates value on record with id: 0015g:--", "DUPLICATE_VALUE", "duplicate value found: X__c duplicates value on record with id: 0015g", nil},
		{"FIELD_X:a:b:One__c, Two__c --", "FIELD_X", "a:b", []string{"One__c", "Two__c"}},
		{"UNABLE_TO_LOCK_ROW:locked", "UNABLE_TO_LOCK_ROW", "locked", nil},
		{"CODE:message --", "CODE", "message", nil},
		{"InvalidBatch : something", "", "InvalidBatch : something", nil},
		{"plain words", "", "plain words", nil},
		{"", "", "", nil},
	} {
		code, message, fields := salesforce.ParseBulkError(c.in)
		if code != c.code || message != c.message || !cmp.Equal(fields, c.fields) {
			t.Errorf("%q: %q %q %q", c.in, code, message, fields)
		}
	}
}

func FuzzParseBulkError(f *testing.F) {
	f.Add("A:b:C --")
	f.Fuzz(func(t *testing.T, s string) {
		code, message, fields := salesforce.ParseBulkError(s)
		if !strings.Contains(s, message) || !strings.HasPrefix(s, code) {
			t.Errorf("%q became %q %q", s, code, message)
		}
		for _, field := range fields {
			if field == "" || !strings.Contains(s, field) {
				t.Errorf("%q became field %q", s, field)
			}
		}
	})
}
