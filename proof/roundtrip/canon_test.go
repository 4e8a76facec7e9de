package roundtrip_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// meaning gives the text of a value in the one form in which equal values of the column are equal texts, whoever wrote it. It
// knows nothing of the program's own forms. A text that is no value of the column is an error.
func meaning(column, text string) (string, error) {
	switch column {
	case "bool":
		switch text {
		case "true", "t", "1":
			return "true", nil
		case "false", "f", "0":
			return "false", nil
		}
	case "int", "uint":
		if n, ok := new(big.Int).SetString(text, 10); ok {
			return n.String(), nil
		}
	case "decimal":
		if n, ok := new(big.Rat).SetString(text); ok {
			return n.RatString(), nil
		}
	case "float":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return fmt.Sprintf("%016x", math.Float64bits(f)), nil
		}
	case "text":
		return text, nil
	case "bytes":
		if b, err := hex.DecodeString(text); err == nil {
			return hex.EncodeToString(b), nil
		}
	case "date":
		return text, nil
	case "time":
		return fraction(strings.TrimSuffix(text, "Z")), nil // Salesforce marks times of day as UTC
	case "timestamp":
		return fraction(strings.Replace(text, "T", " ", 1)), nil
	case "instant":
		for _, utc := range []string{"Z", "+00", "+0000", "+00:00"} {
			if s, ok := strings.CutSuffix(text, utc); ok {
				return fraction(strings.Replace(s, "T", " ", 1)) + "Z", nil
			}
		}
	case "interval":
		return interval(text)
	case "uuid":
		return strings.ToLower(text), nil
	case "json", "ints", "texts":
		return document(text)
	}
	return "", fmt.Errorf("%q is no value of column %s", text, column)
}

// fraction drops the zeros behind a fraction of a second.
func fraction(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

var (
	isoForm  = regexp.MustCompile(`^P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?[\d.]+)S)?)?$`)
	wordForm = regexp.MustCompile(`^(?:(-?\d+) years? ?)?(?:(-?\d+) months? ?)?(?:(-?\d+) days? ?)?(-?)(?:(\d+):(\d\d):([\d.]+))?$`)
)

// parts gives an interval's months, days and microseconds from its ISO 8601 text, or from words and a clock as DuckDB prints it.
func parts(text string) (months, days, micros int64, err error) {
	iso, words := isoForm.FindStringSubmatch(text), wordForm.FindStringSubmatch(text)
	var m []string
	sign := int64(1)
	switch {
	case iso != nil && text != "P":
		m = iso[1:]
	case words != nil && text != "":
		if words[4] == "-" {
			sign = -1
		}
		m = append(words[1:4:4], words[5:]...)
	default:
		return 0, 0, 0, fmt.Errorf("%q is no interval", text)
	}
	n := make([]int64, 5)
	for i := range n {
		if m[i] != "" {
			if n[i], err = strconv.ParseInt(m[i], 10, 64); err != nil {
				return 0, 0, 0, err
			}
		}
	}
	seconds := new(big.Rat)
	if m[5] != "" {
		seconds.SetString(m[5])
	}
	seconds.Mul(seconds, big.NewRat(1_000_000, 1))
	if !seconds.IsInt() {
		return 0, 0, 0, fmt.Errorf("%q is finer than a microsecond", text)
	}
	return n[0]*12 + n[1], n[2], sign * ((n[3]*60+n[4])*60*1_000_000 + seconds.Num().Int64()), nil
}

func interval(text string) (string, error) {
	months, days, micros, err := parts(text)
	return fmt.Sprintf("%d months %d days %d microseconds", months, days, micros), err
}

// document writes a JSON text with sorted keys, exact numbers and no blanks.
func document(text string) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("%q is no JSON: %w", text, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return "", fmt.Errorf("%q is more than one JSON value", text)
	}
	var b strings.Builder
	writeDocument(&b, v)
	return b.String(), nil
}

func writeDocument(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			fmt.Fprintf(b, "{%q:", k)
			writeDocument(b, v[k])
			b.WriteByte('}')
		}
		b.WriteString("{}")
	case []any:
		b.WriteByte('[')
		for _, item := range v {
			writeDocument(b, item)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case json.Number:
		n, ok := new(big.Rat).SetString(v.String())
		if !ok {
			panic("a JSON number that is none: " + v.String())
		}
		b.WriteString(n.RatString())
	case string:
		fmt.Fprintf(b, "%q", v)
	default:
		fmt.Fprint(b, v)
	}
}

// unpacked gives a JSON value as the text the other clients give: strings without quotes, base64 as hexadecimal. null is nil.
func unpacked(column string, raw json.RawMessage) (*string, error) {
	s := string(raw)
	switch {
	case s == "null":
		return nil, nil
	case column == "json" || column == "ints" || column == "texts": // the value itself
		return &s, nil
	}
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		if column == "bool" || column == "int" || column == "float" && s != "NaN" {
			return nil, fmt.Errorf("%s is a text, not a JSON %s", raw, column)
		}
	}
	if column == "bytes" {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, err
		}
		s = hex.EncodeToString(b)
	}
	return &s, nil
}
