package postgres

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// appendArrayText turns a JSON array into the array's text form, every element checked against the element type first, because
// the server's cast from text would round decimals and drop time zones.
func (s *slot) appendArrayText(b []byte, text string) ([]byte, *refusal) {
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil || list == nil {
		return b, &refusal{fault.ValueType, "the value is not a JSON array"}
	}
	elem := &slot{typ: s.elem, name: s.name, mod: s.mod}
	elem.prepare("UTF8")
	comma := s.comma
	if comma == 0 {
		comma = ','
	}
	return elem.appendList(b, list, comma)
}

func (s *slot) appendList(b []byte, list []json.RawMessage, comma byte) ([]byte, *refusal) {
	b = append(b, '{')
	for i, raw := range list {
		if i > 0 {
			b = append(b, comma)
		}
		if raw[0] == '[' && s.kind != row.JSON {
			var inner []json.RawMessage
			if err := json.Unmarshal(raw, &inner); err != nil {
				return b, &refusal{fault.ValueType, "the value is not a JSON array"}
			}
			var no *refusal
			if b, no = s.appendList(b, inner, comma); no != nil {
				return b, no
			}
			continue
		}
		if string(raw) == "null" {
			b = append(b, "NULL"...)
			continue
		}
		text, no := s.elementText(raw)
		if no != nil {
			return b, no
		}
		b = append(append(append(b, '"'), literalEscaper.Replace(text)...), '"')
	}
	return append(b, '}'), nil
}

var literalEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// elementText gives one JSON element as the text the element type reads, or refuses it.
func (s *slot) elementText(raw json.RawMessage) (string, *refusal) {
	no := &refusal{fault.ValueType, fmt.Sprintf("array element %s does not fit type %s", excerpt(string(raw)), s.typ.name)}
	if s.kind == row.JSON {
		return string(raw), checkText(raw)
	}
	switch raw[0] {
	case '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", no
		}
		return s.elementString(text, no)
	case 't', 'f':
		if s.kind == row.Bool {
			return string(raw), nil
		}
		return "", no
	case '{':
		return "", no
	}
	v, err := row.ParseDecimal(string(raw))
	if err != nil {
		return "", no
	}
	switch s.kind { //nolint:exhaustive // a number fits no other kind
	case row.Int, row.Float, row.Decimal:
		if _, no := s.append(nil, v); no != nil {
			return "", no
		}
		return v.Str(), nil
	}
	return "", no
}

func (s *slot) elementString(text string, no *refusal) (string, *refusal) {
	zoned := strings.HasSuffix(text, "Z") || strings.LastIndexAny(text, "+-") > 10
	switch s.kind { //nolint:exhaustive // the server would round these
	case row.Instant, row.Timestamp, row.Time, row.Interval:
		if v, err := row.ParseText(s.kind, text); err == nil {
			if _, no := s.append(nil, v); no != nil {
				return "", no
			}
		} else if s.kind != row.Interval && strings.Contains(text, ".") {
			return "", no
		}
	}
	switch s.kind { //nolint:exhaustive // the rest is refused
	case row.Text:
		if s.chosen == nil {
			if no := checkText([]byte(text)); no != nil {
				return "", no
			}
			if limit := s.maxLength(); limit > 0 && len([]rune(text)) > limit {
				return "", &refusal{fault.ValueTooLong, fmt.Sprintf("an array element has more than the %d characters the column takes", limit)}
			}
		}
		return text, nil
	case row.Bytes:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", no
		}
		return fmt.Sprintf(`\x%x`, b), nil
	case row.Instant:
		if zoned {
			return text, nil
		}
	case row.Timestamp:
		if !zoned {
			return text, nil
		}
	case row.Date, row.Time, row.Interval, row.UUID:
		return text, nil
	case row.Float, row.Decimal:
		if text == "NaN" || s.kind == row.Float && (text == "Infinity" || text == "-Infinity" || text == "+Inf" || text == "-Inf") {
			return text, nil
		}
	}
	return "", no
}
