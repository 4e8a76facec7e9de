package salesforcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// cursor is the rest of a query's answer.
type cursor struct {
	t       *table
	at      []int
	records []*record
	total   int
	served  int
}

// query answers GET /query?q=… page by page
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-query.html).
func (s *Server) query(w http.ResponseWriter, r *http.Request) *apiError {
	q, err := parseSOQL(r.URL.Query().Get("q"))
	if err != nil {
		return fail(400, "MALFORMED_QUERY", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[strings.ToLower(q.object)]
	if !ok {
		return fail(400, "INVALID_TYPE", "sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name.", q.object)
	}
	at, bad := t.columns(q.fields)
	if bad != nil {
		return bad
	}
	list := t.order
	if q.where != nil {
		if bad := t.bind(q.where); bad != nil {
			return bad
		}
		if few, ok := t.candidates(q.where); ok {
			list = few
		}
	}
	c := &cursor{t: t, at: at}
	for _, rec := range list {
		if rec.deleted || q.where != nil && !t.holds(q.where, rec) {
			continue
		}
		if q.limit >= 0 && len(c.records) == q.limit {
			break
		}
		c.records = append(c.records, rec)
	}
	c.total = len(c.records)
	return s.queryPage(w, r, "01g5g"+strconv.Itoa(len(s.cursors)+1), c)
}

func (s *Server) queryMore(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _, _ := strings.Cut(r.PathValue("cursor"), "-")
	c, ok := s.cursors[id]
	if !ok {
		return fail(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
	}
	return s.queryPage(w, r, id, c)
}

func (s *Server) queryPage(w http.ResponseWriter, r *http.Request, id string, c *cursor) *apiError {
	n := min(s.cfg.queryRows, len(c.records))
	out := struct {
		Total   int               `json:"totalSize"`
		Done    bool              `json:"done"`
		Next    string            `json:"nextRecordsUrl,omitempty"`
		Records []json.RawMessage `json:"records"`
	}{Total: c.total, Records: make([]json.RawMessage, 0, n)}
	for _, rec := range c.records[:n] {
		out.Records = append(out.Records, s.show(c.t, rec, c.at, r.PathValue("version")))
	}
	c.records, c.served = c.records[n:], c.served+n
	if out.Done = len(c.records) == 0; !out.Done {
		s.cursors[id] = c
		out.Next = fmt.Sprintf("/services/data/%s/query/%s-%d", r.PathValue("version"), id, c.served)
	}
	writeJSON(w, 200, out)
	return nil
}

// show writes a record as the REST API does: attributes, then the fields asked for.
func (s *Server) show(t *table, r *record, at []int, version string) json.RawMessage {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"attributes":{"type":%q,"url":"/services/data/%s/sobjects/%s/%s"}`, t.object.Name, version, t.object.Name, r.id)
	for _, i := range at {
		fmt.Fprintf(&b, ",%q:", t.object.Fields[i].Name)
		v, err := json.Marshal(r.vals[i])
		if err != nil {
			v = []byte("null")
		}
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// text gives a stored value as text; nothing as "".
func text(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case json.Number:
		return string(x)
	case bool:
		return strconv.FormatBool(x)
	}
	return ""
}
