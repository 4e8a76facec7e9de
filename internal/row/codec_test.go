package row

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func same(a, b Value) bool { return bytes.Equal(a.AppendBinary(nil), b.AppendBinary(nil)) }

func Test_the_binary_form_keeps_kind_and_text(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vals := rapid.SliceOf(rapid.Custom(genAny)).Draw(t, "values")
		tail := []byte("tail")
		got, rest, err := ReadValues(append(AppendValues(nil, vals), tail...), len(vals), nil)
		if err != nil || !bytes.Equal(rest, tail) {
			t.Fatalf("reading back: %v, rest %q", err, rest)
		}
		for i, v := range vals {
			if got[i].Kind() != v.Kind() || !got[i].Equal(v) || got[i].String() != v.String() {
				t.Fatalf("value %d: %s %q came back as %s %q", i, v.Kind(), v, got[i].Kind(), got[i])
			}
		}
		if b := AppendValues(nil, vals); len(b) > 0 {
			if _, _, err := ReadValues(b[:len(b)-1], len(vals), nil); err == nil {
				t.Fatal("a cut value was read")
			}
		}
	})
}

func Test_a_key_is_read_back_to_equal_values(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vals := rapid.SliceOf(rapid.Custom(genAny)).Draw(t, "values")
		key := AppendKey(nil, vals...)
		got, err := ParseKey(key)
		if err != nil || len(got) != len(vals) {
			t.Fatalf("%d values, %v; want %d", len(got), err, len(vals))
		}
		for i, v := range vals {
			if !got[i].Equal(v) {
				t.Fatalf("value %d: %s %q came back as %s %q", i, v.Kind(), v, got[i].Kind(), got[i])
			}
		}
	})
}

func Test_neighbouring_texts_of_a_key_do_not_run_together(t *testing.T) {
	if bytes.Equal(AppendKey(nil, TextValue("a"), TextValue("bc")), AppendKey(nil, TextValue("ab"), TextValue("c"))) {
		t.Fatal(`("a","bc") and ("ab","c") are the same key`)
	}
}

// The forms are on disk: these bytes must never change under the same version.
func Test_forms_on_disk_stay_as_they_are(t *testing.T) {
	vals := []Value{{}, NullValue(), BoolValue(true), IntValue(-2), UintValue(1 << 63), FloatValue(0.5), DecimalValue("1.50"), TextValue("é"), BytesValue([]byte{1}), DateValue(3), TimeValue(4), TimestampValue(5, 6), InstantValue(-7, 8), StringKind(Interval, "P1D"), StringKind(UUID, "u"), StringKind(JSON, "{}"), StringKind(Array, "[]")}
	const canonical = "\x00\x01\x03" + "\x10\xff\xff\xff\xff\xff\xff\xff\xfe" + "\x11\x80\x00\x00\x00\x00\x00\x00\x00" + "\x13\x3f\xe0\x00\x00\x00\x00\x00\x00" + "\x12\x031.5" +
		"\x27\x02é" + "\x28\x01\x01" + "\x49\x00\x00\x00\x00\x00\x00\x00\x03" + "\x4a\x00\x00\x00\x00\x00\x00\x00\x04" + "\x4b\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x06" +
		"\x4c\xff\xff\xff\xff\xff\xff\xff\xf9\x00\x00\x00\x08" + "\x2d\x03P1D" + "\x2e\x01u" + "\x2f\x02{}" + "\x30\x02[]"
	if got := string(AppendKey(nil, vals...)); got != canonical || CanonicalVersion != 1 {
		t.Errorf("canonical form\n got %q\nwant %q", got, canonical)
	}
	const binary = "\x00\x01\x02\x01\x03\x03\x04\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x05\x00\x00\x00\x00\x00\x00\xe0\x3f\x06\x041.50\x07\x02é\x08\x01\x01\x09\x06\x0a\x08\x0b\x0a\x06\x0c\x0d\x08\x0d\x03P1D\x0e\x01u\x0f\x02{}\x10\x02[]"
	if got := string(AppendValues(nil, vals)); got != binary {
		t.Errorf("binary form\n got %q\nwant %q", got, binary)
	}
	if got, want := HashValues(42, vals), uint64(0x1d9b4c92181466d9); got != want || FingerprintVersion != 1 {
		t.Errorf("fingerprint %#x, want %#x", got, want)
	}
}

func FuzzReadBinary(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendValues(nil, []Value{{}, NullValue(), BoolValue(true), IntValue(-2), UintValue(1 << 63), FloatValue(0.5), DecimalValue("1.50"), TextValue("x"), TimestampValue(5, 6)}))
	f.Add([]byte{byte(Text), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{byte(Instant), 0x01, 0x80, 0x94, 0xeb, 0xdc, 0x03})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			v, rest, err := ReadBinary(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("reading made no progress")
			}
			w, tail, err := ReadBinary(v.AppendBinary(nil))
			if err != nil || len(tail) != 0 || !same(v, w) {
				t.Fatalf("%s %q came back as %q, %v", v.Kind(), v, w, err)
			}
			_, _ = v.AppendJSON(nil), HashValues(1, []Value{v})
			b = rest
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendKey(nil, IntValue(1), TextValue("x"), DecimalValue("1.5"), FloatValue(0.5), InstantValue(1, 2), DateValue(3), UintValue(1<<63)))
	f.Add([]byte{tagString, 1, 'x'})
	f.Add([]byte{tagDecimal, 3, '0', '0', '+'})
	f.Add([]byte{tagString + 0x1f, 1, 'x'})
	f.Add([]byte{tagString + byte(Text), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		vals, err := ParseKey(b)
		if err != nil {
			return
		}
		key := AppendKey(nil, vals...)
		again, err := ParseKey(key)
		if err != nil || len(again) != len(vals) || !bytes.Equal(AppendKey(nil, again...), key) {
			t.Fatalf("%x was read as %v and written as %x", b, vals, key)
		}
		for _, v := range vals {
			_ = v.String()
		}
	})
}
