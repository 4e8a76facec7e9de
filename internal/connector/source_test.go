package connector

import (
	"testing"

	"pgregory.net/rapid"
)

var upper = Dialect{Name: "upper", Quote: '"', Placeholder: "?", Upper: true}

func Test_a_server_that_upper_cases_names_is_addressed_in_lower_case(t *testing.T) {
	for name, ident := range map[string]string{
		"account_id":      `"ACCOUNT_ID"`,
		"_a1$":            `"_A1$"`,
		"Account_Id":      `"Account_Id"`,
		"ACCOUNT_ID":      `"ACCOUNT_ID"`,
		"with space":      `"with space"`,
		`with"quote`:      `"with""quote"`,
		"ünï":             `"ünï"`,
		"1st":             `"1st"`,
		`"account_id"`:    `"account_id"`,
		`"Account ""x"""`: `"Account ""x"""`,
	} {
		if got := upper.Ident(name); got != ident {
			t.Errorf("%s is quoted as %s; want %s", name, got, ident)
		}
	}
	for server, name := range map[string]string{
		"ACCOUNT_ID": "account_id",
		"account_id": `"account_id"`,
		"Account_Id": "Account_Id",
		`"X"`:        `"""X"""`,
		"ÜNÏ":        "ÜNÏ",
		"1ST":        "1ST",
	} {
		if got := upper.Known(server); got != name {
			t.Errorf("%s is known as %s; want %s", server, got, name)
		}
	}
	if got := upper.Table(`analytics."customers".Health`); got != `"ANALYTICS"."customers"."Health"` {
		t.Errorf("table: %s", got)
	}
	if d := (Dialect{Quote: '`'}); d.Ident("account_id") != "`account_id`" || d.Known("ACCOUNT_ID") != "ACCOUNT_ID" {
		t.Error("a server that keeps names is addressed otherwise")
	}
}

func Test_every_name_of_the_server_has_a_name_of_its_own(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.SampledFrom([]rune(`aAbB_1$" ü`)), 1, 6, -1).Draw(t, "name")
		if got := upper.Ident(upper.Known(name)); got != upper.quote(name) {
			t.Fatalf("%s is known as %s, which is quoted as %s", name, upper.Known(name), got)
		}
	})
}
