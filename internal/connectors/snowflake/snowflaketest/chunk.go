package snowflaketest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// chunk is a part of an answer behind a link.
type chunk struct {
	types   []rowType
	result  *warehousetest.Result
	from, n int64
	session *session
}

// rows answers a SELECT: its first rows in the answer, the rest behind links. Rows stay with the engine until they are asked for.
func (s *Server) rows(ctx context.Context, one *session, r *warehousetest.Result, query, base string, f *Fault) (any, error) {
	s.mu.Lock()
	o := s.options
	s.mu.Unlock()
	types := rowTypes(r.Columns)
	out := result(types, query, r.Rows)
	out["rowsetBase64"] = ""
	first := min(r.Rows, int64(o.InlineRows))
	if f.JSON {
		out["queryResultFormat"] = "json"
		out["rowset"] = [][]string{}
		delete(out, "rowsetBase64")
		return out, nil
	}
	if first > 0 {
		stream, err := part(ctx, &chunk{types: types, result: r, n: first}, o, 0)
		if err != nil {
			return nil, err
		}
		out["rowsetBase64"] = inline(stream)
	}
	if first == r.Rows {
		r.Close()
		return out, nil
	}
	one.keep(r)
	var links []map[string]any
	for from := first; from < r.Rows; from += int64(o.ChunkRows) {
		c := &chunk{types: types, result: r, from: from, n: min(int64(o.ChunkRows), r.Rows-from), session: one}
		name := id()
		s.mu.Lock()
		s.chunks[name] = c
		s.mu.Unlock()
		links = append(links, map[string]any{
			"url": base + "/chunks/" + name + "?signature=" + id(), "rowCount": c.n, "uncompressedSize": 100 * c.n, "compressedSize": 100 * c.n,
		})
	}
	out["chunks"] = links
	out["chunkHeaders"] = map[string]string{"x-amz-server-side-encryption-customer-algorithm": "AES256", "x-amz-server-side-encryption-customer-key": query}
	return out, nil
}

// part encodes some rows, without the last few if so told.
func part(ctx context.Context, c *chunk, o Options, drop int64) ([]byte, error) {
	var buf bytes.Buffer
	var batches []arrow.RecordBatch
	for b, err := range c.result.Slice(ctx, c.from, max(0, c.n-drop)) {
		if err != nil {
			return nil, err
		}
		columns := make([]arrow.Array, b.NumCols())
		for i := range columns { // a batch is valid until the next one
			if columns[i], err = array.Concatenate([]arrow.Array{b.Column(i)}, memory.DefaultAllocator); err != nil {
				return nil, err
			}
		}
		batches = append(batches, array.NewRecordBatch(b.Schema(), columns, b.NumRows()))
	}
	if err := encode(&buf, c.types, batches, o.BatchRows); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// chunk serves what is behind a link. Links carry their own right: an Authorization header is refused, as object stores do.
func (s *Server) chunk(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	c, o := s.chunks[r.PathValue("id")], s.options
	s.mu.Unlock()
	f := faultOf(r)
	switch {
	case r.Header.Get("Authorization") != "":
		http.Error(w, "<Error><Code>InvalidArgument</Code></Error>", http.StatusBadRequest)
		return
	case c == nil || c.session.ctx.Err() != nil:
		http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
		return
	case r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key") == "":
		http.Error(w, "<Error><Code>InvalidRequest</Code></Error>", http.StatusBadRequest)
		return
	}
	stream, err := part(r.Context(), c, o, int64(f.Rows))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if o.Gzip {
		var z bytes.Buffer
		g := gzip.NewWriter(&z)
		_, _ = g.Write(stream) //nolint:errcheck // into memory
		_ = g.Close()          //nolint:errcheck // into memory
		stream = z.Bytes()
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(len(stream)))
	_, _ = w.Write(stream) //nolint:errcheck // the client may have gone
}
