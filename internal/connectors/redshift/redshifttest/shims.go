package redshifttest

// Numbers of types: PostgreSQL's, and those by which Redshift's drivers know its own
// (https://github.com/aws/amazon-redshift-python-driver/blob/master/redshift_connector/utils/oids.py).
const (
	oidBytea     = 17
	oidText      = 25
	oidJSON      = 114
	oidVarchar   = 1043
	oidJSONB     = 3802
	oidSketch    = 2935
	oidGeometry  = 3000
	oidGeography = 3001
	oidSuper     = 4000
	oidVarbyte   = 6551
)

// shims are functions, casts and views of Redshift, in PostgreSQL's words. SUPER is jsonb here and VARBYTE is bytea; a JSON null, cast,
// is null, and so is an object or a list (https://docs.aws.amazon.com/redshift/latest/dg/limitations-super.html).
//
// VARCHAR compares without trailing blanks (https://docs.aws.amazon.com/redshift/latest/dg/r_Examples_with_character_types.html):
// operators for exactly that pair of types stand before PostgreSQL's own.
const shims = `
CREATE DOMAIN super AS jsonb;
CREATE DOMAIN varbyte AS bytea;
CREATE TYPE geometry AS (wkt text);
CREATE TYPE geography AS (wkt text);
CREATE TYPE hllsketch AS (sketch text);

CREATE FUNCTION redshift_refuse(state text, words text, details text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF details <> '' THEN RAISE EXCEPTION '%', words USING ERRCODE = state, DETAIL = details; END IF;
  RAISE EXCEPTION '%', words USING ERRCODE = state;
END $$;

CREATE FUNCTION redshift_bytes(varchar) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT convert_to($1::text, 'UTF8') $$;
CREATE FUNCTION redshift_text(bytea) RETURNS varchar LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT convert_from($1, 'UTF8')::varchar $$;
CREATE FUNCTION redshift_scalar(jsonb) RETURNS varchar LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT CASE WHEN jsonb_typeof($1) IN ('object', 'array') THEN NULL ELSE ($1 #>> '{}')::varchar END $$;
CREATE CAST (varchar AS bytea) WITH FUNCTION redshift_bytes(varchar);
CREATE CAST (bytea AS varchar) WITH FUNCTION redshift_text(bytea);
CREATE CAST (jsonb AS varchar) WITH FUNCTION redshift_scalar(jsonb);

CREATE FUNCTION from_hex(text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT decode($1, 'hex') $$;
CREATE FUNCTION to_varbyte(text, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT CASE lower($2) WHEN 'hex' THEN decode($1, 'hex') ELSE convert_to($1, 'UTF8') END $$;
CREATE FUNCTION from_varbyte(bytea, text) RETURNS varchar LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT CASE lower($2) WHEN 'hex' THEN encode($1, 'hex') ELSE convert_from($1, 'UTF8') END $$;
CREATE FUNCTION json_parse(text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF octet_length($1) > 65535 THEN RAISE EXCEPTION 'value too long for type character varying(65535)' USING ERRCODE = '22001'; END IF;
  RETURN $1::jsonb;
END $$;
CREATE FUNCTION json_serialize(jsonb) RETURNS varchar LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF octet_length($1::text) > 65535 THEN RAISE EXCEPTION 'Result size exceeds JSON_SERIALIZE limit' USING ERRCODE = 'XX000'; END IF;
  RETURN $1::text;
END $$;
CREATE FUNCTION len(text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT length($1) $$;
CREATE FUNCTION sha2(text, integer) RETURNS varchar LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT encode(CASE $2 WHEN 224 THEN sha224(convert_to($1, 'UTF8')) WHEN 384 THEN sha384(convert_to($1, 'UTF8'))
       WHEN 512 THEN sha512(convert_to($1, 'UTF8')) ELSE sha256(convert_to($1, 'UTF8')) END, 'hex')::varchar $$;
CREATE FUNCTION st_asewkt(geometry) RETURNS varchar LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ($1).wkt::varchar $$;
CREATE FUNCTION st_geomfromtext(text) RETURNS geometry LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ROW($1)::geometry $$;

CREATE FUNCTION redshift_eq(varchar, varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rtrim($1::text, ' ') = rtrim($2::text, ' ') $$;
CREATE FUNCTION redshift_ne(varchar, varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rtrim($1::text, ' ') <> rtrim($2::text, ' ') $$;
CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = redshift_eq, COMMUTATOR = =);
CREATE OPERATOR <> (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = redshift_ne, COMMUTATOR = <>);

CREATE VIEW svv_tables AS SELECT table_catalog::varchar, table_schema::varchar, table_name::varchar, table_type::varchar FROM information_schema.tables;
GRANT SELECT ON svv_tables TO PUBLIC;
`
