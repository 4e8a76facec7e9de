package bulkcsv_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connectors/salesforce/bulkcsv"
)

func readAll(text string) ([][]string, error) {
	r := bulkcsv.NewReader(strings.NewReader(text))
	var out [][]string
	for {
		rec, err := r.Read(nil)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, rec)
	}
}

func Test_cells_come_back_byte_for_byte(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       [][]string
	}{
		{"plain", "a,b\nc,d\n", [][]string{{"a", "b"}, {"c", "d"}}},
		{"no last line break", "a,b\nc,", [][]string{{"a", "b"}, {"c", ""}}},
		{"line ends of Windows", "a,b\r\nc,d\r\n", [][]string{{"a", "b"}, {"c", "d"}}},
		{"quoted Windows line ends", "\"a\",\"b\"\r\n\"c\",\"d\"", [][]string{{"a", "b"}, {"c", "d"}}},
		{"quotes and separators", `"a ""b"", c","d"` + "\n", [][]string{{`a "b", c`, "d"}}},
		{"a line break inside quotes keeps its carriage return", "\"a\r\nb\",c\n", [][]string{{"a\r\nb", "c"}}},
		{"blanks are not trimmed", " a , b \n", [][]string{{" a ", " b "}}},
		{"byte order mark", "\ufeffa,b\n", [][]string{{"a", "b"}}},
		{"unicode", "ä,日本\n", [][]string{{"ä", "日本"}}},
		{"one empty cell", "\n", [][]string{{""}}},
		{"nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readAll(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func Test_a_text_cut_inside_quotes_is_an_error(t *testing.T) {
	if _, err := readAll("a,\"b"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func Test_stray_quotes_and_carriage_returns_are_errors(t *testing.T) {
	for _, text := range []string{"a\"b\n", "\"a\"b\n", "\"a\" ,b\n", "a\rb\n", "a\r,b\n", "\"a\"\rb\n"} {
		if _, err := readAll(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func Test_a_cell_beyond_the_cap_ends_the_reading(t *testing.T) {
	if _, err := readAll(strings.Repeat("x", bulkcsv.MaxField+2)); err == nil {
		t.Error("an endless cell was read")
	}
	if _, err := readAll(`"` + strings.Repeat("x", bulkcsv.MaxField+2) + `"`); err == nil {
		t.Error("an endless quoted cell was read")
	}
}

func Test_what_a_writer_quotes_is_read_back(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 4).Draw(rt, "columns")
		var want [][]string
		for range rapid.IntRange(1, 5).Draw(rt, "records") {
			want = append(want, rapid.SliceOfN(rapid.StringMatching(`[a-z",\n\r é]*`), n, n).Draw(rt, "record"))
		}
		if strings.HasPrefix(want[0][0], "\ufeff") {
			rt.Skip("looks like a byte order mark")
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		if err := w.WriteAll(want); err != nil {
			rt.Fatal(err)
		}
		got, err := readAll(b.String())
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Error(d)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add("a,\"b\"\"\"\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		recs, err := readAll(text)
		if err == nil && text != "" && len(recs) == 0 {
			t.Error("text without records and without an error")
		}
	})
}
