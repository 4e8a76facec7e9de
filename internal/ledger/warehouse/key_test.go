package warehouse_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
	"github.com/upwelldata/upwell/internal/row"
)

// What could not be recorded is not sent: a key that the ledger cannot keep, a column whose name it needs.
func Test_a_model_that_the_ledger_cannot_keep_is_refused_before_anything_is_sent(t *testing.T) {
	h := warehouse.Open(warehouse.Options{Open: opener(t), Dir: t.TempDir(), Project: "acme", Sync: "accounts"})
	s, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for column, m := range map[string]ledger.Model{
		"raw":          {Key: []string{"raw"}, Fields: []arrow.Field{row.FieldOf("raw", row.Bytes)}},
		"upwell_entry": {Key: []string{"id"}, Fields: []arrow.Field{row.FieldOf("id", row.Int), row.FieldOf("upwell_entry", row.Text)}},
	} {
		m.Query = connector.Query{Table: "t"}
		_, err := s.(ledger.Differ).Diff(t.Context(), m, ledger.CompareOptions{TempDir: t.TempDir(), MatchIsKey: true}) //nolint:forcetypeassert // it is one
		if f := fault.As(err); f == nil || !strings.Contains(f.Message, column) || !strings.Contains(f.GetFix(), "diff: local") {
			t.Errorf("%s: %v", column, err)
		}
	}
}
