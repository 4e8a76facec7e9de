// Package roundtrip_test proves that values arrive as they are: every kind of value from every source in every destination, by a
// real sync, compared with the source's own text of the value by clients that know nothing of the program.
package roundtrip_test

import (
	"encoding/hex"
	"strings"
)

// The columns of the model, one per kind a source can offer; lists in two element types.
var columns = []string{
	"bool", "int", "uint", "float", "decimal", "text", "bytes", "date", "time", "timestamp", "instant", "interval", "uuid", "json", "ints", "texts",
}

// example is one value: a row of the model in which one column is set.
type example struct{ column, name, text string }

func (e example) id() string { return e.column + ":" + e.name }

// The first example of a column fits everywhere: the row "all:columns" is made of them.
var examples = func() []example {
	var out []example
	add := func(column string, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, example{column, pairs[i], pairs[i+1]})
		}
	}
	add("bool", "true", "true", "false", "false")
	add("int", "42", "42", "zero", "0", "minus", "-1", "2^53+1", "9007199254740993", "-2^53-1", "-9007199254740993",
		"max", "9223372036854775807", "min", "-9223372036854775808")
	add("uint", "42", "42", "zero", "0", "2^53+1", "9007199254740993", "2^63", "9223372036854775808", "max", "18446744073709551615")
	add("float", "half", "0.5", "tenth", "0.1", "sum", "0.30000000000000004", "third", "0.3333333333333333", "zero", "0", "minus zero", "-0",
		"1e300", "1e300", "max", "1.7976931348623157e308", "smallest", "5e-324", "smallest normal", "2.2250738585072014e-308",
		"2^53", "9007199254740992", "1e21", "1e21", "1e22", "1e22", "1e-7", "1e-7", "nan", "NaN", "inf", "Infinity", "-inf", "-Infinity")
	add("decimal", "1.5", "1.500000000000000000", "zero", "0", "tenth", "0.1", "max", "99999999999999999999.999999999999999999",
		"min", "-99999999999999999999.999999999999999999", "smallest", "0.000000000000000001", "2^53+1", "9007199254740993.000000000000000001",
		"2^64", "18446744073709551616", "minus", "-0.5", "hundred", "100")
	add("text", texts()...)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	add("bytes", "word", hex.EncodeToString([]byte("word")), "empty", "", "nul", "00", "nuls", "00ff0000", "every", hex.EncodeToString(every),
		"no utf-8", "c328", "quotes", hex.EncodeToString([]byte(`'"\x`)), "ten thousand", strings.Repeat("00fe", 5_000))
	add("date", "leap", "2024-02-29", "first", "0001-01-01", "gap", "1582-10-10", "before epoch", "1969-12-31", "epoch", "1970-01-01",
		"dst", "2026-03-29", "last", "9999-12-31")
	add("time", "noon", "12:00:00", "midnight", "00:00:00", "microsecond", "00:00:00.000001", "milliseconds", "12:34:56.789",
		"microseconds", "12:34:56.789012", "last", "23:59:59.999999")
	add("timestamp", "plain", "2026-01-31 10:30:00", "first", "0001-01-01 00:00:00", "before epoch", "1969-12-31 23:59:59.999999", "epoch", "1970-01-01 00:00:00",
		"skipped by dst", "2026-03-29 02:30:00", "twice by dst", "2026-10-25 02:30:00.000001", "last", "9999-12-31 23:59:59.999999")
	add("instant", "plain", "2026-01-31 10:30:00Z", "before spring", "2026-03-29 00:59:59.999Z", "spring", "2026-03-29 01:00:00Z", "after spring", "2026-03-29 01:30:00Z",
		"before autumn", "2026-10-25 00:30:00Z", "after autumn", "2026-10-25 01:30:00Z", "us spring", "2026-03-08 07:00:00.000001Z",
		"just after epoch", "1970-01-01 00:00:01Z", "epoch", "1970-01-01 00:00:00Z", "before epoch", "1969-12-31 23:59:59.999999Z",
		"2038", "2038-01-19 03:14:07.999999Z", "past 2038", "2038-01-19 03:14:08Z", "first", "0001-01-01 00:00:00Z", "last", "9999-12-31 23:59:59.999999Z")
	add("interval", "mixed", "P1Y2M3DT4H5M6S", "zero", "PT0S", "month", "P1M", "thirty days", "P30D", "day", "P1D", "24 hours", "PT24H", "minus a month", "P-1M",
		"minus a microsecond", "PT-0.000001S", "microseconds", "P1DT1.000001S", "mixed signs", "P1M-2DT3H")
	add("uuid", "plain", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "nil", "00000000-0000-0000-0000-000000000000", "max", "ffffffff-ffff-ffff-ffff-ffffffffffff")
	add("json", "nested", `{"a": {"b": [1, 2.50, null, true, "é🧑‍💻 it's \"so\" \\ \n"]}}`, "2^53+1", `{"n":9007199254740993,"m":[-9007199254740993]}`,
		"2^64", `18446744073709551616`, "decimal", `{"d":12345678901234567890.123456789012345678}`, "null", `null`, "true", `true`, "text", `"it's"`,
		"empty object", `{}`, "empty list", `[]`, "list", `[1, [2, [3]]]`, "empty key", `{"":""}`, "rtl", `{"שלום":"مرحبا"}`,
		"escapes", `{"a":"\u00e9\ud83d\ude00\u2028"}`, "nul", `{"a":"\u0000"}`, "lines", "{\n  \"a\": 1\n}")
	add("ints", "some", `[1,2,3]`, "empty", `[]`, "null", `[null]`, "extremes", `[9007199254740993,-9223372036854775808,9223372036854775807]`)
	add("texts", "some", `["a","b"]`, "empty", `[]`, "null", `[null]`, "odd", `["it's","c\"d","\\","🧑‍💻",null,"","NULL","null"," ","a,b","{x}","line\nbreak"]`)
	return out
}()

func texts() []string {
	return []string{
		"word", "word", "empty", "", "blank", " ", "blanks around", "  both  ", "tab around", "\tboth\t", "apostrophe", "O'Brien", "two apostrophes", "''",
		"quotes", `say "hi"`, "only a quote", `"`, "backslash", `C:\new\table`, "backslash quote", `\'`, "last backslash", `end\`, "copy end", `\.`, "copy null", `\N`,
		"newline", "two\nlines", "crlf", "two\r\nlines", "cr", "two\rlines", "last newline", "line\n", "tab", "a\tb", "controls", "\x01\x1b\x7f\u0085",
		"nul", "a\x00b", "emoji", "🦆", "zwj", "👩‍👩‍👧‍👦🧑🏽‍💻🏳️‍🌈", "composed", "é", "decomposed", "e\u0301", "combining", "z̶̢̛͚a̴̛͎l̵̛͈g̵͚̀o̸̢͗", "rtl", "שלום, مرحبا \u202eabc\u202c", "cjk", "漢字かな",
		"surrogates only", "𝒳𝕐", "bom", "\ufeffbom", "separators", "a\u2028b\u2029c\u00a0d\u200be", "replacement", "\ufffd", "not a character", "\uffff", "last character", "\U0010ffff",
		"NULL", "NULL", "null", "null", "nil", "nil", "None", "None", "NaN", "NaN", "inf", "inf", "#N/A", "#N/A", "true", "true", "integer", "42", "leading zeros", "007",
		"exponent", "1e5", "long number", "12345678901234567890", "decimal", "1.50", "plus", "+1", "minus", "-", "hex", "0x1F", "formula", "=1+1", "at", "@SUM(1,2)",
		"formula quote", "='a'!A1", "date", "2024-02-30", "json", `{"a":1}`, "array", "{1,2}", "comma", "a,b;c|d", "percent", "100% %s %d", "template", "{{ x }} ${env:HOME} $1 ?",
		"sql", "'); DROP TABLE t; --", "html", "<b>&amp;</b>", "path", "../../etc/passwd", "ten thousand", strings.Repeat("0123456789", 1_000),
		"ten thousand wide", strings.Repeat("🦆", 10_000),
	}
}
