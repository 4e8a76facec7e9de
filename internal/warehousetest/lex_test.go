package warehousetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var snow = Lex{Quote: '"', TextQuote: "'", Backslash: true, Dollar: true, Comments: []string{"--", "//"}, Params: "?"}

func Test_a_statement_is_cut_into_what_it_says(t *testing.T) {
	const sql = "select \"a\"\"b\", 'it''s \\'x\\' \\u00e9', $$raw '$$ /* no */ -- end\n, x::NUMBER(10,2), 1.5e-3 <= ? // tail"
	tokens, err := snow.Split(sql)
	if err != nil {
		t.Fatal(err)
	}
	if Join(tokens) != sql {
		t.Errorf("joined: %s", Join(tokens))
	}
	type piece struct {
		Kind  Kind
		Value string
	}
	var got []piece
	for _, tok := range tokens {
		if tok.Kind == Space {
			continue
		}
		v := tok.Value
		if tok.Kind == Number || tok.Kind == Punct {
			v = tok.Text
		}
		got = append(got, piece{tok.Kind, v})
	}
	want := []piece{
		{Word, "SELECT"},
		{Quoted, `a"b`},
		{Punct, ","},
		{String, "it's 'x' é"},
		{Punct, ","},
		{String, "raw '"},
		{Punct, ","},
		{Word, "X"},
		{Punct, "::"},
		{Word, "NUMBER"},
		{Punct, "("},
		{Number, "10"},
		{Punct, ","},
		{Number, "2"},
		{Punct, ")"},
		{Punct, ","},
		{Number, "1.5e-3"},
		{Punct, "<="},
		{Param, ""},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func Test_other_vendors_quote_otherwise(t *testing.T) {
	google := Lex{Quote: '`', TextQuote: `'"`, Backslash: true, Escaped: true, Comments: []string{"--", "#"}, Params: "@?"}
	tokens, err := google.Split("SELECT `a-b.c`, \"it's\", @key # x")
	if err != nil {
		t.Fatal(err)
	}
	if tokens[2].Value != "a-b.c" || tokens[5].Value != "it's" || tokens[8].Kind != Param || tokens[8].Value != "key" {
		t.Errorf("%+v", tokens)
	}
	if tokens, err = google.Split("`a\\`b\\\\`"); err != nil || len(tokens) != 1 || tokens[0].Value != "a`b\\" {
		t.Errorf("%+v, %v", tokens, err)
	}
	plain := Lex{Quote: '"', TextQuote: "'", Comments: []string{"--"}, Params: "$"}
	if tokens, err = plain.Split(`'a\' || $1`); err != nil || tokens[0].Value != `a\` || tokens[4].Value != "1" {
		t.Errorf("%+v, %v", tokens, err)
	}
}

func Test_what_does_not_end_is_refused(t *testing.T) {
	for _, sql := range []string{"'open", `"open`, "$$open", `'open\'`} {
		if _, err := snow.Split(sql); err == nil {
			t.Errorf("%s was cut", sql)
		}
	}
}

func Test_tokens_joined_give_the_statement_back(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sql := rapid.StringOf(rapid.SampledFrom([]rune("aZ_9 \n'\"$?-/*\\.:=<>|(),é"))).Draw(t, "sql")
		if tokens, err := snow.Split(sql); err == nil && Join(tokens) != sql {
			t.Fatalf("%q became %q", sql, Join(tokens))
		}
	})
}
