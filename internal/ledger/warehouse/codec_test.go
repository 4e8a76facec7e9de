package warehouse

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

func sample() *ledger.Entry {
	return &ledger.Entry{
		Key: []byte{1, 0, 255}, Fingerprint: 1 << 63, State: ledger.Missed, Match: []row.Value{row.TextValue("A@x")}, MatchID: []byte("a@x"),
		Fields: []string{"Score", "Näme"}, Values: []row.Value{row.DecimalValue("1.50"), {}}, RemoteID: "0012", Created: connector.Yes, Run: "01M8", At: time.Unix(1_790_000_000, 0).UTC(),
	}
}

func Test_entries_and_changes_come_back_as_they_were(t *testing.T) {
	bare := &ledger.Entry{Key: []byte("k"), Run: "r", At: time.Unix(0, 0).UTC()}
	for _, e := range []*ledger.Entry{sample(), bare} {
		got, err := decodeEntry(encodeEntry(e))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%+v, %v; want %+v", got, err, e)
		}
	}
	h := ledger.History{
		Run: "r1", At: time.Unix(1_790_000_001, 0).UTC(), Op: connector.OpUpdate, Outcome: connector.Delivered, Created: connector.No, Fields: []string{"Score"},
		Old: []row.Value{{}}, New: []row.Value{row.NullValue()}, Known: true, PrevState: ledger.Baseline, PrevMatch: []row.Value{row.IntValue(7)},
		PrevRemoteID: "x", PrevFingerprint: 3, Key: []byte("k"),
	}
	got, err := decodeHistory("r1", encodeHistory(&h))
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("%+v, %v; want %+v", got, err, h)
	}
}

// Somebody may edit the tables: what was not written here is noticed.
func Test_what_somebody_else_wrote_is_damage(t *testing.T) {
	text := encodeEntry(sample())
	for _, bad := range []string{"", "?", text[:len(text)-3], text + "AAAA", strings.Repeat("A", 40)} {
		if _, err := decodeEntry(bad); !fault.Is(err, fault.StateCorrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := decodeEntry("/w"); !fault.Is(err, fault.StateNewer) {
		t.Errorf("a newer format: %v", err)
	}
	sealed, err := emptyDocument().seal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unseal(sealed); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", sealed[1:], strings.Replace(sealed, `"Rows":0`, `"Rows":9`, 1), strings.Replace(sealed, " ", "", 1)} {
		if _, err := unseal(bad); !fault.Is(err, fault.StateCorrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func Fuzz_an_entry_is_read_or_refused(f *testing.F) {
	f.Add(encodeEntry(sample()))
	f.Add("AQAA")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := decodeEntry(text)
		if err != nil {
			if c := fault.As(err).Code; c != fault.StateCorrupt && c != fault.StateNewer {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeEntry(encodeEntry(e))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%+v became %+v, %v", e, again, err)
		}
	})
}
