package salesforce

import (
	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// EncodedBytes is the size of the records of a collection as they are sent.
func EncodedBytes(to *connector.Target, rows *row.Batch) int {
	l := plan(to, rows)
	n := 0
	for i := range rows.Len() {
		b, _, bad := l.record(nil, rows, i)
		if bad != nil {
			panic(bad.message)
		}
		n += len(b) + 1
	}
	return n
}

// ParseBulkError gives code, message and fields of an sf__Error.
func ParseBulkError(s string) (code, message string, fields []string) {
	e := parseBulkError(s)
	return e.StatusCode, e.Message, e.Fields
}
