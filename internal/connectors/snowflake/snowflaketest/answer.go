package snowflaketest

import (
	"compress/gzip"
	"io"
	"net/http"
	"sort"

	"github.com/upwelldata/upwell/internal/standin"
)

// refusal is an answer that says no.
type refusal struct {
	code, state, message, query string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

type answer struct {
	Data    any     `json:"data"`
	Code    *string `json:"code"`
	Message *string `json:"message"`
	Success bool    `json:"success"`
}

func (s *Server) succeed(w http.ResponseWriter, data any) {
	standin.Answer(w, http.StatusOK, answer{Data: data, Success: true})
}

// refuse answers with a code. Every answer of the server has status 200.
func (s *Server) refuse(w http.ResponseWriter, r refusal) {
	data := map[string]any{"errorCode": r.code, "sqlState": r.state, "queryId": r.query, "line": -1, "pos": -1, "internalError": false}
	standin.Answer(w, http.StatusOK, answer{Data: data, Code: &r.code, Message: &r.message})
}

func plainBody(r *http.Request) (io.Reader, error) {
	if r.Header.Get("Content-Encoding") == "gzip" {
		return gzip.NewReader(r.Body)
	}
	return r.Body, nil
}

// parameters are what the server tells a client of the session, in its answer to the login and to every statement.
func parameters(set map[string]any) []map[string]any {
	all := map[string]any{
		"CLIENT_PREFETCH_THREADS": 4, "TIMESTAMP_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM", "TIME_OUTPUT_FORMAT": "HH24:MI:SS",
		"CLIENT_RESULT_CHUNK_SIZE": 160, "TIMESTAMP_TZ_OUTPUT_FORMAT": "", "CLIENT_SESSION_KEEP_ALIVE": false, "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": false,
		"CLIENT_METADATA_USE_SESSION_DATABASE": false, "QUERY_CONTEXT_CACHE_SIZE": 5, "ENABLE_STAGE_S3_PRIVATELINK_FOR_US_EAST_1": false,
		"CLIENT_RESULT_PREFETCH_THREADS": 1, "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3", "CLIENT_METADATA_REQUEST_USE_CONNECTION_CTX": false,
		"CLIENT_HONOR_CLIENT_TZ_FOR_TIMESTAMP_NTZ": true, "CLIENT_MEMORY_LIMIT": 1536, "CLIENT_TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_LTZ",
		"TIMEZONE": "America/Los_Angeles", "SERVICE_NAME": "", "CLIENT_RESULT_PREFETCH_SLOTS": 2, "CLIENT_TELEMETRY_ENABLED": true,
		"CLIENT_DISABLE_INCIDENTS": true, "CLIENT_USE_V1_QUERY_API": true, "CLIENT_RESULT_COLUMN_CASE_INSENSITIVE": false, "CSV_TIMESTAMP_FORMAT": "",
		"BINARY_OUTPUT_FORMAT": "HEX", "CLIENT_ENABLE_LOG_INFO_STATEMENT_PARAMETERS": false, "CLIENT_TELEMETRY_SESSIONLESS_ENABLED": true,
		"JS_TREAT_INTEGER_AS_BIGINT": false, "DATE_OUTPUT_FORMAT": "YYYY-MM-DD", "CLIENT_FORCE_PROTECT_ID_TOKEN": true,
		"CLIENT_CONSENT_CACHE_ID_TOKEN": false, "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": 65280, "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY": 3600,
		"CLIENT_SESSION_CLONE": false, "AUTOCOMMIT": true, "TIMESTAMP_LTZ_OUTPUT_FORMAT": "", "GO_QUERY_RESULT_FORMAT": "arrow",
		"ENABLE_FIX_1247059": true, "ENABLE_STRUCTURED_TYPES_IN_CLIENT_RESPONSE": false, "ENABLE_STRUCTURED_TYPES_NATIVE_ARROW_FORMAT": false,
		"TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ", "TIMESTAMP_DAY_IS_ALWAYS_24H": false, "WEEK_OF_YEAR_POLICY": 0, "WEEK_START": 0,
		"TWO_DIGIT_CENTURY_START": 1970, "UNSUPPORTED_DDL_ACTION": "ignore", "USE_CACHED_RESULT": true, "TRANSACTION_ABORT_ON_ERROR": false,
		"TRANSACTION_DEFAULT_ISOLATION_LEVEL": "READ COMMITTED", "STRICT_JSON_OUTPUT": false, "ROWS_PER_RESULTSET": 0, "QUOTED_IDENTIFIERS_IGNORE_CASE": false,
		"LOCK_TIMEOUT": 43200, "JSON_INDENT": 2, "GEOGRAPHY_OUTPUT_FORMAT": "GeoJSON", "GEOMETRY_OUTPUT_FORMAT": "GeoJSON", "ERROR_ON_NONDETERMINISTIC_MERGE": true,
		"ERROR_ON_NONDETERMINISTIC_UPDATE": false, "BINARY_INPUT_FORMAT": "HEX", "ABORT_DETACHED_QUERY": false, "CLIENT_ALLOW_UNSECURE_CONNECTION": false,
		"CLIENT_ENABLE_CONSERVATIVE_MEMORY_USAGE": true, "CLIENT_ENABLE_DEFAULT_OVERWRITE_IN_PUT": false, "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "arrow",
		"JDBC_QUERY_RESULT_FORMAT": "arrow", "ODBC_QUERY_RESULT_FORMAT": "arrow", "STATEMENT_TIMEOUT_IN_SECONDS": 172800, "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": 0,
		"MULTI_STATEMENT_COUNT": 1, "QUERY_TAG": "", "SEARCH_PATH": "$current, $public", "TIME_INPUT_FORMAT": "AUTO", "DATE_INPUT_FORMAT": "AUTO",
		"TIMESTAMP_INPUT_FORMAT": "AUTO", "SIMULATED_DATA_SHARING_CONSUMER": "", "LOG_LEVEL": "OFF", "TRACE_LEVEL": "OFF", "METRIC_LEVEL": "NONE",
	}
	for name, v := range set {
		if _, known := all[name]; known {
			all[name] = v
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	out := make([]map[string]any, len(names))
	for i, name := range names {
		out[i] = map[string]any{"name": name, "value": all[name]}
	}
	return out
}
