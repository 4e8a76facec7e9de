package postgres

import (
	"encoding/binary"
)

// appendArray writes a binary array as a JSON array, nested as its dimensions are. Lower bounds are not carried.
// https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/arrayfuncs.c (array_send)
func (t *typ) appendArray(dst, b []byte) ([]byte, error) {
	if len(b) < 12 {
		return dst, errShape
	}
	dims := int(int32(binary.BigEndian.Uint32(b)))
	b = b[12:]
	if dims == 0 {
		return append(dst, "[]"...), nil
	}
	if dims < 0 || dims > 6 || len(b) < 8*dims {
		return dst, errShape
	}
	lens := make([]int, dims)
	for i := range lens {
		if lens[i] = int(int32(binary.BigEndian.Uint32(b[8*i:]))); lens[i] < 0 {
			return dst, errShape
		}
	}
	dst, rest, err := t.appendDimension(dst, b[8*dims:], lens)
	if err == nil && len(rest) != 0 {
		err = errShape
	}
	return dst, err
}

func (t *typ) appendDimension(dst, b []byte, lens []int) ([]byte, []byte, error) {
	var err error
	dst = append(dst, '[')
	for i := range lens[0] {
		if i > 0 {
			dst = append(dst, ',')
		}
		if len(lens) > 1 {
			if dst, b, err = t.appendDimension(dst, b, lens[1:]); err != nil {
				return dst, b, err
			}
			continue
		}
		if len(b) < 4 {
			return dst, b, errShape
		}
		n := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if n < 0 {
			dst = append(dst, "null"...)
			continue
		}
		if n > len(b) {
			return dst, b, errShape
		}
		if dst, err = t.elem.appendJSON(dst, b[:n]); err != nil {
			return dst, b, err
		}
		b = b[n:]
	}
	return append(dst, ']'), b, nil
}

// appendLiteral writes an array's text form ({a,"b c",NULL}) as a JSON array of texts.
// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
func (t *typ) appendLiteral(dst, b []byte) ([]byte, error) {
	i := 0
	if len(b) > 0 && b[0] == '[' { // explicit bounds: [0:2]={…}
		for i < len(b) && b[i] != '=' {
			i++
		}
		i++
	}
	depth := 0
	var word []byte
	for i < len(b) {
		switch c := b[i]; c {
		case '{':
			depth++
			dst = append(dst, '[')
			i++
		case '}':
			depth--
			dst = append(dst, ']')
			i++
		case t.comma:
			dst = append(dst, ',')
			i++
		case '"':
			word = word[:0]
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' && i+1 < len(b) {
					i++
				}
				word = append(word, b[i])
			}
			i++
			dst = appendJSONString(dst, word)
		default:
			start := i
			for i < len(b) && b[i] != t.comma && b[i] != '}' {
				i++
			}
			if string(b[start:i]) == "NULL" {
				dst = append(dst, "null"...)
			} else {
				dst = appendJSONString(dst, b[start:i])
			}
		}
	}
	if depth != 0 {
		return dst, errShape
	}
	return dst, nil
}

// appendJSONString quotes a text and leaves bytes that are not UTF-8 as they are, so that they are found and refused later
// instead of being replaced here.
func appendJSONString(dst, s []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
