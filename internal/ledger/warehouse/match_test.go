package warehouse

import (
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// A wrong match would let a row stay that claims the record; an unknown one only lets more rows leave.
func Test_a_match_is_told_to_the_warehouse_only_where_it_is_certain(t *testing.T) {
	text, number, other := row.FieldOf("mail", row.Text), row.FieldOf("org", row.Int), row.FieldOf("at", row.Date)
	mail, org := row.TextValue(" A@X "), row.IntValue(7)
	id := func(vals ...row.Value) []byte { return row.AppendKey(nil, vals...) }
	for what, c := range map[string]struct {
		match  []string
		fields []arrow.Field
		entry  ledger.Entry
		want   []row.Value
	}{
		"a text and an integer": {[]string{"mail", "org"}, []arrow.Field{text, number}, ledger.Entry{Match: []row.Value{mail, org}, MatchID: id(row.TextValue("a@x"), org)}, []row.Value{mail, org}},
		"in another order":      {[]string{"org", "mail"}, []arrow.Field{text, number}, ledger.Entry{Match: []row.Value{org, mail}, MatchID: id(org, row.TextValue("a@x"))}, []row.Value{org, mail}},
		"another identity":      {[]string{"mail"}, []arrow.Field{text}, ledger.Entry{Match: []row.Value{mail}, MatchID: id(row.TextValue("b@x"))}, []row.Value{row.NullValue()}},
		"another kind":          {[]string{"mail"}, []arrow.Field{text}, ledger.Entry{Match: []row.Value{org}, MatchID: id(org)}, []row.Value{row.NullValue()}},
		"no identity":           {[]string{"mail"}, []arrow.Field{text}, ledger.Entry{Match: []row.Value{mail}}, []row.Value{row.NullValue()}},
		"fewer parts":           {[]string{"mail", "org"}, []arrow.Field{text, number}, ledger.Entry{Match: []row.Value{mail}, MatchID: id(mail)}, []row.Value{row.NullValue(), row.NullValue()}},
		"a kind with forms":     {[]string{"at"}, []arrow.Field{other}, ledger.Entry{Match: []row.Value{mail}, MatchID: id(mail)}, nil},
		"a type of its own":     {[]string{"mood"}, []arrow.Field{row.TypedField("mood", row.Text, "mood")}, ledger.Entry{Match: []row.Value{mail}, MatchID: id(mail)}, nil},
		"a part of the key":     {[]string{"id"}, []arrow.Field{row.FieldOf("id", row.Int)}, ledger.Entry{Match: []row.Value{org}, MatchID: id(org)}, nil},
	} {
		u := &upload{shape: dialect.Shape{Key: []string{"id"}, Match: c.match, Fields: c.fields}}
		u.kept = u.shape.Kept()
		if got := u.match(&c.entry); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}
