package mysql

import (
	"fmt"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// What only MySQL does is tried here without one: MariaDB has no JSON type and other ways to log in.

func Test_a_number_in_json_that_mysql_would_change_is_refused(t *testing.T) {
	s := &slot{name: "j", data: "json", column: "json", kind: row.JSON}
	for text, kept := range map[string]bool{
		`{"n":9007199254740993}`: true, `[-9223372036854775808,18446744073709551615]`: true, `{"a":0.1,"b":2.50,"c":1e3,"d":-0.5}`: true, `"12345678901234567890.5"`: true,
		`18446744073709551616`: false, // 2^64 is a double, and comes back as 1.8446744073709552e19
		`18446744073709551617`: false, `{"d":12345678901234567890.123456789012345678}`: false, `[[1],{"x":[0.1000000000000000000001]}]`: false, `1e999`: false,
	} {
		for _, v := range []row.Value{row.StringKind(row.JSON, text), row.TextValue(text)} {
			_, r := s.encode(nil, v)
			if (r == nil) != kept || r != nil && r.code != fault.ValueType {
				t.Errorf("%s %s: %+v; want it kept: %v", v.Kind(), text, r, kept)
			}
		}
	}
}

func Test_a_login_by_a_method_that_is_not_spoken_is_an_auth_fault(t *testing.T) {
	d, err := newDialer(connector.NewConfig(map[string]string{"host": "db.acme.example", "user": "u", "password": "canary-0815"}, nil, map[string]bool{"password": true}), "", sourceSession())
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{driver.ErrUnknownPlugin, driver.ErrCleartextPassword, driver.ErrOldPassword} {
		cause = fmt.Errorf("connecting: %w", cause)
		for code, err := range map[fault.Code]error{fault.SourceAuth: d.connectFault(t.Context(), cause), fault.DestAuth: d.destFault(t.Context(), cause, "connecting")} {
			if f := fault.As(err); f.Code != code || f.GetFix() == "" {
				t.Errorf("%v: %v; want %s", cause, err, code)
			}
		}
	}
}
