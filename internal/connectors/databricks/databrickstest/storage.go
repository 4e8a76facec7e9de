package databrickstest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/upwelldata/upwell/internal/row"
)

// keyHeader is what a link's http_headers hold: a key without which the storage gives nothing.
const keyHeader = "X-Amz-Server-Side-Encryption-Customer-Key"

// messageRows is how many rows an Arrow message has: a chunk is made of several.
const messageRows = 4096

// linked is one link that was given out.
type linked struct {
	chunk int
	until time.Time
	key   string
}

// part is a chunk as the API tells of it: rows, or a link to them
// (https://docs.databricks.com/api/workspace/statementexecution/getstatementresultchunkn).
func (s *Server) part(r *http.Request, st *statement, n int) (map[string]any, error) {
	if n >= len(st.chunks) {
		return map[string]any{}, nil
	}
	c := st.chunks[n]
	out := map[string]any{"chunk_index": n, "row_offset": c.Offset, "row_count": c.Rows}
	if n+1 < len(st.chunks) {
		out["next_chunk_index"] = n + 1
		out["next_chunk_internal_link"] = "/api/2.0/sql/statements/" + st.id + "/result/chunks/" + strconv.Itoa(n+1)
	}
	if st.inline {
		rows, err := st.texts(r.Context(), c)
		out["data_array"] = rows
		return out, err
	}
	l := &linked{chunk: n, until: time.Now().Add(s.LinkLife), key: random(16)}
	signature := random(24)
	s.mu.Lock()
	st.links[signature] = l
	lost := s.faults.unlinked[n]
	s.mu.Unlock()
	if lost {
		return map[string]any{"external_links": []any{}}, nil
	}
	out["external_link"] = fmt.Sprintf("http://%s/storage/%s/%d?X-Amz-Expires=%d&X-Amz-Signature=%s", r.Host, st.id, n, int(s.LinkLife/time.Second), signature)
	out["expiration"] = l.until.UTC().Format(time.RFC3339Nano)
	out["byte_count"] = c.Bytes
	out["http_headers"] = map[string]string{keyHeader: l.key}
	return map[string]any{"external_links": []any{out}}, nil
}

// storage is the cloud storage that links lead to. It takes no credentials beside the link: "the Authorization header must not be
// sent" (https://docs.databricks.com/aws/en/dev-tools/sql-execution-tutorial#large-results).
func (s *Server) storage(w http.ResponseWriter, r *http.Request) {
	no := func(status int, code, message string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message><Resource>%s</Resource></Error>", code, message, r.URL.RequestURI())
	}
	s.mu.Lock()
	st := s.statements[r.PathValue("id")]
	var l *linked
	if st != nil {
		l = st.links[r.URL.Query().Get("X-Amz-Signature")]
	}
	expired, lost := s.faults.expire > 0, l != nil && s.faults.lost[l.chunk]
	if expired {
		s.faults.expire--
	}
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "":
		no(http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
	case l == nil || r.PathValue("n") != strconv.Itoa(l.chunk):
		no(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	case expired || !time.Now().Before(l.until):
		no(http.StatusForbidden, "AccessDenied", "Request has expired")
	case r.Header.Get(keyHeader) != l.key:
		no(http.StatusBadRequest, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	case lost:
		no(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	default:
		c := st.chunks[l.chunk]
		b, err := st.encode(r.Context(), c.Offset, c.Rows, s.cutBetween)
		if err != nil {
			no(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
			return
		}
		s.send(w, b)
	}
}

// encode gives rows of a result as one Arrow IPC stream. cut may say that it ends between two messages.
func (st *statement) encode(ctx context.Context, from, n int64, cut func() bool) ([]byte, error) {
	var out bytes.Buffer
	schema := arrowSchema(st.columns)
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	last := 0 // where the last message begins
	for b, err := range st.result.Slice(ctx, from, n) {
		if err != nil {
			return nil, err
		}
		arrays := make([]arrow.Array, len(st.columns))
		for i := range arrays {
			arrays[i] = st.columns[i].relabel(b.Column(i), schema.Field(i).Type)
		}
		v := array.NewRecordBatch(schema, arrays, b.NumRows())
		var err error
		for at := int64(0); at < v.NumRows() && err == nil; at += messageRows {
			last = out.Len()
			some := v.NewSlice(at, min(at+messageRows, v.NumRows()))
			err = w.Write(some)
			some.Release()
		}
		v.Release()
		for _, a := range arrays {
			a.Release()
		}
		if err != nil {
			return nil, err
		}
	}
	if cut != nil && cut() {
		return out.Bytes()[:last], nil
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// texts gives rows of a result as the texts of JSON_ARRAY.
func (st *statement) texts(ctx context.Context, c chunkInfo) ([][]*string, error) {
	if st.result == nil {
		return st.told, nil
	}
	out := make([][]*string, 0, c.Rows)
	for b, err := range st.result.Slice(ctx, c.Offset, c.Rows) {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			cells := make([]*string, len(st.columns))
			for j := range cells {
				k, err := row.KindOf(b.Schema().Field(j))
				if err != nil {
					return nil, err
				}
				if v := row.At(b.Column(j), k, i); !v.IsNull() {
					text := st.columns[j].text(v)
					cells[j] = &text
				}
			}
			out = append(out, cells)
		}
	}
	return out, nil
}
