package redshifttest

import "strings"

// calm is weather without faults.
func calm(string) *refusal { return nil }

// translate writes statements of Redshift in PostgreSQL's words; what Redshift would refuse becomes a statement that fails. weather says
// what faults demand of a kind of statement.
func (s *Server) translate(sql string, weather func(kind string) *refusal) string {
	list := split(sql)
	parts := statements(list)
	out := make([]string, len(parts))
	for i, p := range parts {
		if r := s.refuse(p, weather); r != nil {
			out[i] = r.sql()
			continue
		}
		out[i] = join(rewrite(p))
	}
	return strings.Join(out, ";")
}

// rewrite turns what Redshift has and PostgreSQL lacks into its like.
func rewrite(list []piece) []piece {
	var out []piece
	for i := 0; i < len(list); i++ {
		p := list[i]
		next := after(list, i)
		switch {
		// A VARCHAR without a length has 256 bytes: https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
		case p.is("VARCHAR") && (next < 0 || !list[next].is("(")):
			out = append(out, piece{"VARCHAR(256)", 'w'})
		// https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html: a length that is not kept here
		case p.is("VARBYTE"):
			out = append(out, piece{"varbyte", 'w'})
			if next >= 0 && list[next].is("(") {
				i = closing(list, next)
			}
		// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_AS.html
		case (p.is("DISTKEY") || p.is("SORTKEY")) && next >= 0 && list[next].is("("):
			i = closing(list, next)
		case (p.is("DISTSTYLE") || p.is("ENCODE") || p.is("BACKUP")) && next >= 0 && list[next].kind == 'w':
			i = next
		// SET LOCAL of a parameter PostgreSQL does not know
		case own[strings.ToLower(p.text)]:
			out = append(out, piece{"redshift." + p.text, 'w'})
		// PartiQL iterates over a list in FROM: https://docs.aws.amazon.com/redshift/latest/dg/query-super.html#unnest
		case p.is(",") && unnests(list, i):
			k := skip(list, i+1)
			out = append(out, piece{", jsonb_array_elements(" + list[k].text + "." + list[k+2].text + ")", 'w'})
			i = k + 2
		default:
			out = append(out, p)
		}
	}
	return out
}

// unnests reports whether ", alias.column AS name" follows a relation made by JSON_PARSE under that alias.
func unnests(list []piece, comma int) bool {
	k := skip(list, comma+1)
	if k+2 >= len(list) || list[k].kind != 'w' || !list[k+1].is(".") {
		return false
	}
	alias := comma - 1
	for alias >= 0 && list[alias].kind == ' ' {
		alias--
	}
	if alias < 0 || !strings.EqualFold(list[alias].text, list[k].text) {
		return false
	}
	for as := alias - 1; as >= 0; as-- {
		if list[as].kind != ' ' {
			return list[as].is("AS") && strings.Contains(strings.ToUpper(join(list[:as])), "JSON_PARSE")
		}
	}
	return false
}

// after is the place of the next piece that is not blank; -1 = none.
func after(list []piece, i int) int {
	if k := skip(list, i+1); k < len(list) {
		return k
	}
	return -1
}

func skip(list []piece, i int) int {
	for i < len(list) && list[i].kind == ' ' {
		i++
	}
	return i
}

// closing is the place of the parenthesis that closes the one at open.
func closing(list []piece, open int) int {
	depth := 0
	for i := open; i < len(list); i++ {
		switch {
		case list[i].is("("):
			depth++
		case list[i].is(")"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(list) - 1
}
