package redshifttest

import (
	"strconv"
	"strings"
)

// refusal is an error the server answers with.
type refusal struct{ state, words, detail string }

// sql gives a statement that yields nothing and fails with the refusal, so that a transaction fails as it would.
func (r *refusal) sql() string {
	quote := func(s string) string { return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(s) + "'" }
	return "DO " + quote("BEGIN PERFORM public.redshift_refuse("+quote(r.state)+", "+quote(r.words)+", "+quote(r.detail)+"); END")
}

func syntax(near string) *refusal {
	return &refusal{"42601", `syntax error at or near "` + near + `"`, ""}
}

func unsupported(what string) *refusal { return &refusal{"0A000", what, ""} }

// Most rules are of https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-features.html,
// .../c_unsupported-postgresql-datatypes.html and .../c_unsupported-postgresql-functions.html.
const maxVarchar = 65535 // https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html

// Session parameters: https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_ConfigurationRef.html. Those that PostgreSQL has too.
var shared = map[string]bool{
	"datestyle": true, "extra_float_digits": true, "search_path": true, "statement_timeout": true, "timezone": true, "client_encoding": true, "application_name": true,
}

// Those of Redshift's own.
var own = map[string]bool{
	"cast_super_null_on_error": true, "describe_field_name_in_uppercase": true, "enable_case_sensitive_identifier": true,
	"enable_result_cache_for_session": true, "json_parse_truncate_strings": true, "navigate_super_null_on_error": true,
	"parse_super_null_on_error": true, "query_group": true, "wlm_query_slot_count": true,
}

// refuse says why Redshift would not take a statement; nil where nothing is known against it.
func (s *Server) refuse(list []piece, weather func(kind string) *refusal) *refusal {
	l := bare(list)
	if len(l) == 0 {
		return nil
	}
	kind := strings.ToUpper(l[0].text)
	if r := weather(kind); r != nil {
		return r
	}
	switch kind {
	case "COPY": // https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html: from S3 and others, never to or from the client
		return syntax("STDOUT")
	case "SAVEPOINT", "RELEASE", "LISTEN", "NOTIFY", "MOVE":
		return unsupported(kind + " is not supported")
	case "SET":
		return refuseSet(l)
	case "FETCH":
		return s.refuseFetch(l)
	case "DELETE": // https://docs.aws.amazon.com/redshift/latest/dg/r_DELETE.html
		if r := refuseDelete(l); r != nil {
			return r
		}
	case "MERGE": // https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html
		for i := range l {
			if follows(l, i, "MATCHED", "AND") {
				return syntax("AND")
			}
		}
	}
	for i, p := range l {
		if r := refusePiece(l, i, p); r != nil {
			return r
		}
	}
	return nil
}

func refuseSet(l []piece) *refusal {
	i := 1
	if follows(l, i, "LOCAL") || follows(l, i, "SESSION") {
		i++
	}
	if i >= len(l) || follows(l, i, "AUTHORIZATION") || follows(l, 1, "SESSION", "AUTHORIZATION") {
		return nil
	}
	name := strings.ToLower(l[i].text)
	if !shared[name] && !own[name] {
		return &refusal{"42704", `unrecognized configuration parameter "` + name + `"`, ""}
	}
	if name == "extra_float_digits" { // https://docs.aws.amazon.com/redshift/latest/dg/r_extra_float_digits.html
		if n, err := strconv.Atoi(l[len(l)-1].text); err != nil || n > 2 {
			return &refusal{"22023", l[len(l)-1].text + ` is outside the valid range for parameter "extra_float_digits" (-15 .. 2)`, ""}
		}
	}
	return nil
}

// refuseFetch: https://docs.aws.amazon.com/redshift/latest/dg/fetch.html; the words are those users report.
func (s *Server) refuseFetch(l []piece) *refusal {
	if !s.o.Single {
		return nil
	}
	for _, p := range l {
		n, err := strconv.Atoi(p.text)
		if p.is("ALL") || p.kind == 'n' && err == nil && n > 1000 {
			return &refusal{"XX000", "Fetch size " + p.text + " exceeds the limit of 1000 for a single node configuration. " +
				"Reduce the client fetch/cache size or upgrade to a multi node installation.", ""}
		}
	}
	return nil
}

// refuseDelete: DELETE [FROM] table [USING table, …] [WHERE …], without aliases.
func refuseDelete(l []piece) *refusal {
	i := 1
	if follows(l, i, "FROM") {
		i++
	}
	for i++; i+1 < len(l) && l[i].is("."); {
		i += 2
	}
	if i < len(l) && !l[i].is("WHERE") && !l[i].is("USING") {
		return syntax(l[i].text)
	}
	return nil
}

// absent are functions of PostgreSQL that Redshift lacks, by how they begin.
var absent = []string{"jsonb_", "json_build_", "json_agg", "json_array_elements", "json_each", "array_agg", "unnest", "to_json", "row_to_json", "string_agg", "gen_random_uuid", "sha256", "convert_to", "convert_from"}

func refusePiece(l []piece, i int, p piece) *refusal {
	call := i+1 < len(l) && l[i+1].is("(")
	switch {
	case p.kind == 's' && len(p.text) > maxVarchar+2+strings.Count(p.text, "''"):
		return &refusal{"22001", "value too long for type character varying(65535)", ""}
	case p.kind == 's' && i > 0 && l[i-1].is("E"): // https://github.com/npgsql/npgsql/issues/515
		return &refusal{"42704", `type "e" does not exist`, ""}
	case p.kind == 'p' && (p.text == "->" || p.text == "->>"):
		return &refusal{"42883", "operator does not exist: super " + p.text + " unknown", ""}
	case p.kind != 'w':
		return nil
	case follows(l, i, "ON", "CONFLICT"):
		return syntax("CONFLICT")
	case follows(l, i, "IS", "DISTINCT", "FROM"), follows(l, i, "IS", "NOT", "DISTINCT"):
		return syntax("DISTINCT")
	case p.is("UNLOGGED"), p.is("LATERAL"), p.is("RETURNING"), follows(l, i, "AS", "MATERIALIZED"), follows(l, i, "NOT", "MATERIALIZED"):
		return syntax(p.text)
	case follows(l, i, "ARRAY", "["):
		return syntax("[")
	case p.is("VALUES") && i > 0 && l[i-1].is("(") && i > 1 && l[i-2].is("FROM"):
		return syntax("VALUES")
	case follows(l, i, "CREATE", "INDEX"), follows(l, i, "CREATE", "UNIQUE", "INDEX"):
		return unsupported("CREATE INDEX is not supported")
	case p.is("BYTEA"), p.is("JSONB"), p.is("UUID"), p.is("MONEY"), p.is("XML"), p.is("HSTORE"):
		return unsupported(`type "` + strings.ToLower(p.text) + `" is not supported`)
	}
	if call {
		for _, begin := range absent {
			if strings.HasPrefix(strings.ToLower(p.text), begin) {
				return &refusal{"42883", "function " + strings.ToLower(p.text) + "(unknown) does not exist", ""}
			}
		}
		if p.is("VARCHAR") && i+2 < len(l) {
			if n, err := strconv.Atoi(l[i+2].text); err == nil && n > maxVarchar {
				return &refusal{"22023", "length for type character varying cannot exceed 65535", ""}
			}
		}
	}
	return nil
}
