package mysql

import (
	"slices"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/row"
)

// slot is one column of a target.
type slot struct {
	name       string
	data       string // DATA_TYPE: varchar
	column     string // COLUMN_TYPE: varchar(40)
	charset    string
	collation  string
	maxChars   int64
	maxOctets  int64
	precision  int64
	scale      int64 // -1 = none
	fraction   int   // digits of the second
	nullable   bool
	hasDefault bool
	auto       bool // auto_increment
	generated  bool
	creatable  bool
	updatable  bool
	unsigned   bool
	choices    []string
	kind       row.Kind
}

// prepare derives what information_schema tells in words.
func (s *slot) prepare(extra, rights string, generated bool) {
	s.auto = strings.Contains(extra, "auto_increment")
	s.generated = generated || strings.Contains(extra, " generated") && !strings.Contains(extra, "default_generated")
	s.unsigned = strings.Contains(strings.ToLower(s.column), "unsigned")
	if s.data == "enum" || s.data == "set" {
		s.choices = choices(s.column)
	}
	var writable bool
	s.kind, writable = s.kindOf()
	s.creatable = writable && !s.generated && strings.Contains(rights, "insert")
	s.updatable = writable && !s.generated && strings.Contains(rights, "update")
}

func (s *slot) kindOf() (kind row.Kind, writable bool) {
	switch s.data {
	case "tinyint", "smallint", "mediumint", "int", "year":
		return row.Int, true
	case "bigint":
		if s.unsigned {
			return row.Uint, true
		}
		return row.Int, true
	case "decimal":
		return row.Decimal, true
	case "float", "double":
		return row.Float, true
	case "bit":
		if s.precision == 1 {
			return row.Bool, true
		}
		return row.Uint, true
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "inet4", "inet6":
		return row.Text, true
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return row.Bytes, true
	case "date":
		return row.Date, true
	case "time":
		return row.Time, true
	case "datetime":
		return row.Timestamp, true
	case "timestamp":
		return row.Instant, true
	case "json":
		return row.JSON, true
	case "uuid":
		return row.UUID, true
	}
	return row.Bytes, false // spatial types, vectors
}

// required: a record cannot be created without it.
func (s *slot) required() bool { return !s.nullable && !s.hasDefault && !s.auto && !s.generated }

// width is the bits of whole numbers (https://dev.mysql.com/doc/refman/8.4/en/integer-types.html).
func (s *slot) width() int {
	return map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32}[s.data]
}

// step is the finest part of a second the column keeps (https://dev.mysql.com/doc/refman/8.4/en/fractional-seconds.html).
func (s *slot) step() time.Duration {
	if s.data != "time" && s.data != "datetime" && s.data != "timestamp" {
		return 0
	}
	d := time.Second
	for range s.fraction {
		d /= 10
	}
	return d
}

// text reports whether the column compares by a collation.
func (s *slot) text() bool { return s.collation != "" }

// foldCase: collations say in their names whether case counts
// (https://dev.mysql.com/doc/refman/8.4/en/charset-collation-names.html).
func (s *slot) foldCase() bool {
	return strings.HasSuffix(s.collation, "_ci") || strings.Contains(s.collation, "_ci_") || s.data == "uuid"
}

// padSpace: trailing blanks do not count, except in collations of UCA 9.0.0 and those named nopad
// (https://dev.mysql.com/doc/refman/8.4/en/charset-binary-collations.html).
func (s *slot) padSpace() bool {
	return s.text() && !strings.Contains(s.collation, "_0900_") && !strings.Contains(s.collation, "nopad")
}

// staged is the column's definition in the staging table: the same type, so that the server checks a value there as it would in
// the target, and nullable.
func (s *slot) staged(as string) string {
	def := ident(as) + " " + s.column
	if s.charset != "" && s.data != "json" {
		def += " CHARACTER SET " + s.charset + " COLLATE " + s.collation
	}
	return def + " NULL"
}

// choices reads enum('a','it”s').
func choices(column string) []string {
	var out []string
	_, list, _ := strings.Cut(column, "(")
	for {
		_, rest, ok := strings.Cut(list, "'")
		if !ok {
			return out
		}
		var b strings.Builder
		i := 0
		for ; i < len(rest); i++ {
			if rest[i] == '\'' {
				if i+1 < len(rest) && rest[i+1] == '\'' {
					i++
				} else {
					break
				}
			}
			b.WriteByte(rest[i])
		}
		out = append(out, b.String())
		list = rest[min(i+1, len(rest)):]
	}
}

// offers reports whether a text is one of an enum's choices, or a list of a set's. A number in a text would be taken for the
// choice's position by the server, so it is never left to it (https://dev.mysql.com/doc/refman/8.4/en/enum.html).
func (s *slot) offers(text string) bool {
	one := func(t string) bool {
		return slices.ContainsFunc(s.choices, func(c string) bool { return c == t || s.foldCase() && strings.EqualFold(c, t) })
	}
	if s.data == "enum" {
		return one(text)
	}
	return text == "" || !slices.ContainsFunc(strings.Split(text, ","), func(t string) bool { return !one(t) })
}
