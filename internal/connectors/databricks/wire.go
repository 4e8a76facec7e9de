package databricks

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// The API's documents, https://docs.databricks.com/api/workspace/statementexecution/executestatement.

type submission struct {
	Statement   string      `json:"statement"`
	WarehouseID string      `json:"warehouse_id"`
	Catalog     string      `json:"catalog,omitempty"`
	Schema      string      `json:"schema,omitempty"`
	Disposition string      `json:"disposition"`
	Format      string      `json:"format"`
	WaitTimeout string      `json:"wait_timeout"`
	Parameters  []parameter `json:"parameters,omitempty"`
}

// parameter is a value for :name. A nil Value is NULL.
type parameter struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Value *string `json:"value"`
}

type answer struct {
	StatementID string   `json:"statement_id"`
	Status      status   `json:"status"`
	Manifest    manifest `json:"manifest"`
	Result      part     `json:"result"`
}

type status struct {
	State string `json:"state"`
	Error struct {
		Code    word   `json:"error_code"`
		Message string `json:"message"`
	} `json:"error"`
	SQLState string `json:"sql_state"`
}

type manifest struct {
	Schema struct {
		Columns []columnInfo `json:"columns"`
	} `json:"schema"`
	Chunks     []chunkInfo `json:"chunks"`
	ChunkCount number      `json:"total_chunk_count"`
	RowCount   number      `json:"total_row_count"`
	Truncated  bool        `json:"truncated"`
}

type columnInfo struct {
	Name      string `json:"name"`
	Type      string `json:"type_name"`
	Text      string `json:"type_text"`
	Precision number `json:"type_precision"`
	Scale     number `json:"type_scale"`
}

type chunkInfo struct {
	Index number `json:"chunk_index"`
	Rows  number `json:"row_count"`
	Bytes number `json:"byte_count"`
}

// part is a chunk of a result: rows in it, or links to them. It is the "result" of a statement, and the whole answer to a question
// for one chunk.
type part struct {
	Index number      `json:"chunk_index"`
	Rows  number      `json:"row_count"`
	Data  [][]*string `json:"data_array"`
	Links []link      `json:"external_links"`
}

// link leads to a chunk in cloud storage. Address and Headers hold temporary credentials: neither is ever shown, and the
// workspace's own credentials are never sent there.
type link struct {
	Index   number            `json:"chunk_index"`
	Rows    number            `json:"row_count"`
	Address string            `json:"external_link"`
	Expires time.Time         `json:"expiration"`
	Headers map[string]string `json:"http_headers"`
}

// number is an integer that may come as a text, as 64-bit numbers of Google's JSON form do.
type number int64

// UnmarshalJSON reads 7 and "7".
func (n *number) UnmarshalJSON(b []byte) error {
	i, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if string(b) != "null" && err != nil {
		return err
	}
	*n = number(i)
	return nil
}

// word is a code that may come as a number: old gateways answer {"error_code": 403}.
type word string

// UnmarshalJSON reads "X" and 403.
func (w *word) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if b[0] != '"' {
		*w = word(b)
		return nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	*w = word(s)
	return err
}

// parameters names values p1, p2 and so on, and gives their types
// (https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameter-marker).
func parameters(values []row.Value) ([]parameter, error) {
	out := make([]parameter, len(values))
	for i, v := range values {
		p := parameter{Name: "p" + strconv.Itoa(i+1), Type: "STRING"}
		if !v.IsNull() {
			text := v.String()
			p.Value = &text
		}
		switch v.Kind() {
		case row.Null, row.Text, row.UUID, row.Time:
		case row.Bool:
			p.Type = "BOOLEAN"
		case row.Int:
			p.Type = "BIGINT"
		case row.Uint:
			p.Type = "DECIMAL(20,0)"
		case row.Decimal:
			p.Type = decimalFor(v.Str())
		case row.Float:
			p.Type = "DOUBLE"
		case row.Date:
			p.Type = "DATE"
		case row.Timestamp:
			p.Type = "TIMESTAMP_NTZ"
		case row.Instant:
			p.Type = "TIMESTAMP"
		case row.Absent, row.Bytes, row.Interval, row.JSON, row.Array:
			return nil, fault.New(fault.SourceValue, "a value of kind %s cannot be a parameter of a Databricks statement", v.Kind())
		}
		out[i] = p
	}
	return out, nil
}

// decimalFor is the narrowest type that holds the text of a decimal exactly; too many digits are for the server to refuse.
func decimalFor(s string) string {
	whole, scale, dot := 0, 0, false
	for _, c := range s {
		switch {
		case c == '.':
			dot = true
		case c < '0' || c > '9':
		case dot:
			scale++
		default:
			whole++
		}
	}
	return "DECIMAL(" + strconv.Itoa(max(1, min(38, whole+scale))) + "," + strconv.Itoa(min(38, scale)) + ")"
}
