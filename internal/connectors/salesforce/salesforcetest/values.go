package salesforcetest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// itemError is one error of one record: note statusCode, where whole-request errors have errorCode
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-upsert.html).
type itemError struct {
	StatusCode string   `json:"statusCode"`
	Message    string   `json:"message"`
	Fields     []string `json:"fields"`
}

func refuse(code string, f *Field, format string, args ...any) *itemError {
	e := &itemError{StatusCode: code, Message: fmt.Sprintf(format, args...), Fields: []string{}}
	if f != nil {
		e.Fields = append(e.Fields, f.Name)
	}
	return e
}

// apiError is a refused request.
type apiError struct {
	status    int
	ErrorCode string   `json:"errorCode"`
	Message   string   `json:"message"`
	Fields    []string `json:"fields,omitempty"`
}

func fail(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, ErrorCode: code, Message: fmt.Sprintf(format, args...)}
}

// fromJSON reads one value of a request body. A value of the wrong JSON type makes the whole request malformed; the parser does
// not know about records.
func fromJSON(f *Field, raw json.RawMessage) (any, *apiError) {
	wrong := func() *apiError {
		shown := string(raw)
		kind := "VALUE_STRING"
		switch shown[0] {
		case '{':
			kind = "START_OBJECT"
		case '[':
			kind = "START_ARRAY"
		case 't', 'f':
			kind = "VALUE_" + strings.ToUpper(shown)
		case '"':
		default:
			kind = "VALUE_NUMBER_FLOAT"
		}
		e := fail(400, "JSON_PARSER_ERROR", "Cannot deserialize instance of %s from %s value %s or request may be missing a required field at [line:1, column:1]",
			f.Type, kind, strings.Trim(shown, `"`))
		return e
	}
	switch c := raw[0]; {
	case c == 'n':
		if f.Type == "boolean" {
			return nil, wrong()
		}
		return nil, nil
	case c == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fail(400, "JSON_PARSER_ERROR", "%v", err)
		}
		if s == "" {
			return nil, nil // an empty text is no value
		}
		switch {
		case f.numeric():
			if !isNumber(s) {
				return nil, wrong()
			}
			return json.Number(s), nil
		case f.Type == "boolean":
			return nil, wrong()
		case f.Type == "date" && !dateForm.MatchString(s), f.Type == "datetime" && !isDatetime(s), f.Type == "time" && !timeForm.MatchString(s):
			return nil, wrong()
		}
		return s, nil
	case c == 't' || c == 'f':
		if f.Type != "boolean" {
			return nil, wrong()
		}
		return c == 't', nil
	case c == '-' || c >= '0' && c <= '9':
		if !f.numeric() {
			return nil, wrong()
		}
		return json.Number(raw), nil
	}
	return nil, wrong()
}

// fromCSV reads one cell: empty leaves the field alone (set is false), #N/A makes it null
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/datafiles-prepare-csv.md).
func fromCSV(f *Field, cell string) (v any, set bool, bad *itemError) {
	wrong := func(what string) *itemError {
		return refuse("INVALID_TYPE_ON_FIELD_IN_RECORD", f, "%s: value not of required type: %s: %s", f.Label, what, cell)
	}
	switch {
	case cell == "":
		return nil, false, nil
	case cell == "#N/A":
		if f.Type == "boolean" {
			return false, true, nil
		}
		return nil, true, nil
	case f.numeric():
		if !isNumber(cell) {
			return nil, false, wrong("invalid number")
		}
		return json.Number(cell), true, nil
	case f.Type == "boolean":
		switch strings.ToLower(cell) {
		case "true", "1", "yes", "y", "t":
			return true, true, nil
		case "false", "0", "no", "n", "f":
			return false, true, nil
		}
		return nil, false, wrong("invalid boolean")
	case f.Type == "date" && !dateForm.MatchString(cell), f.Type == "datetime" && !isDatetime(cell), f.Type == "time" && !timeForm.MatchString(cell):
		return nil, false, wrong("invalid " + f.Type)
	}
	return cell, true, nil
}

var (
	dateForm  = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	timeForm  = regexp.MustCompile(`^\d\d:\d\d:\d\d(\.\d{1,3})?Z?$`)
	emailForm = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
)

// isDatetime takes ISO 8601 with a zone and at most milliseconds
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/datafiles-csv-valid-date-formats.html).
func isDatetime(s string) bool {
	for _, layout := range [...]string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05.000-0700", "2006-01-02T15:04:05-0700"} {
		if _, err := time.Parse(layout, s); err == nil {
			dot := strings.IndexByte(s, '.')
			return dot < 0 || strings.IndexAny(s[dot:], "Z+-") <= 4
		}
	}
	return false
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && strings.Trim(s, "0123456789.+-eE") == ""
}

// check applies a field's own rules to a value.
func check(f *Field, v any) *itemError {
	switch x := v.(type) {
	case nil:
		if !f.Nillable && f.Createable && f.Type != "boolean" {
			return refuse("REQUIRED_FIELD_MISSING", f, "Required fields are missing: [%s]", f.Name)
		}
	case json.Number:
		return checkNumber(f, string(x))
	case string:
		return checkText(f, x)
	}
	return nil
}

func checkNumber(f *Field, s string) *itemError {
	if f.Type == "int" {
		if n, err := strconv.ParseFloat(s, 64); err != nil || n > 1<<31-1 || n < -1<<31 {
			return refuse("NUMBER_OUTSIDE_VALID_RANGE", f, "%s: value outside of valid range on numeric field: %s", f.Label, s)
		}
		return nil
	}
	whole, _, _ := strings.Cut(normalNumber(strings.TrimPrefix(s, "-")), ".")
	if f.Precision > 0 && !strings.ContainsAny(s, "eE") && len(strings.TrimLeft(whole, "0")) > f.Precision-f.Scale {
		return refuse("NUMBER_OUTSIDE_VALID_RANGE", f, "%s: value outside of valid range on numeric field: %s", f.Label, s)
	}
	return nil
}

func checkText(f *Field, s string) *itemError {
	switch f.Type {
	case "reference":
		if _, ok := fullID(s); !ok {
			return refuse("MALFORMED_ID", f, "%s: id value of incorrect type: %s", f.Label, s)
		}
		return nil
	case "picklist":
		if f.RestrictedPicklist && !f.choice(s) {
			return refuse("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f, "%s: bad value for restricted picklist field: %s", f.Label, s)
		}
	case "multipicklist":
		for part := range strings.SplitSeq(s, ";") {
			if f.RestrictedPicklist && !f.choice(part) {
				return refuse("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f, "%s: bad value for restricted picklist field: %s", f.Label, part)
			}
		}
	case "email":
		if !emailForm.MatchString(s) {
			return refuse("INVALID_EMAIL_ADDRESS", f, "%s: invalid email address: %s", f.Label, s)
		}
	case "date", "datetime", "time":
		return nil
	}
	if f.Length > 0 && utf8.RuneCountInString(s) > f.Length {
		return refuse("STRING_TOO_LONG", f, "%s: data value too large: %s (max length=%d)", f.Label, s, f.Length)
	}
	return nil
}
