package salesforcetest

import (
	"encoding/json"
	"net/http"
	"strings"
)

const maxCollection = 200

// collection is the body of a collections request.
type collection struct {
	AllOrNone bool                         `json:"allOrNone"`
	Records   []map[string]json.RawMessage `json:"records"`
}

func readCollection(r *http.Request) (*collection, *apiError) {
	var c collection
	if bad := readJSON(r, &c); bad != nil {
		return nil, bad
	}
	switch {
	case len(c.Records) == 0:
		return nil, fail(400, "INVALID_INPUT", "The list of records is empty")
	case len(c.Records) > maxCollection:
		return nil, fail(400, "LIMIT_EXCEEDED", "The request has %d records; the limit is %d", len(c.Records), maxCollection)
	}
	return &c, nil
}

// typeOf gives the object a record says it is; without attributes.type a request is malformed.
func typeOf(raw map[string]json.RawMessage) (string, *apiError) {
	var a struct {
		Type string `json:"type"`
	}
	if v, ok := raw["attributes"]; !ok || json.Unmarshal(v, &a) != nil || a.Type == "" {
		return "", fail(400, "INVALID_TYPE", "Each record needs attributes with a type")
	}
	return a.Type, nil
}

// drafts reads the records; each must be of a known object. inPath, when set, is the only object allowed.
func (s *Server) drafts(c *collection, inPath string) ([]*table, []*draft, *apiError) {
	tables, drafts := make([]*table, len(c.Records)), make([]*draft, len(c.Records))
	for n, raw := range c.Records {
		name, bad := typeOf(raw)
		if bad != nil {
			return nil, nil, bad
		}
		if inPath != "" && !strings.EqualFold(name, inPath) {
			return nil, nil, fail(400, "INVALID_TYPE", "The record is of type %s, the address says %s", name, inPath)
		}
		t, bad := s.table(name)
		if bad != nil {
			return nil, nil, fail(400, "INVALID_TYPE", "sObject type '%s' is not supported.", name)
		}
		tables[n] = t
		if drafts[n], bad = s.readRecord(t, raw); bad != nil {
			return nil, nil, bad
		}
	}
	return tables, drafts, nil
}

// finish writes the results: 200 whatever happened to the records; with allOrNone one failure takes all back.
func (s *Server) finish(w http.ResponseWriter, object string, allOrNone bool, results []outcome) *apiError {
	failed := false
	for _, r := range results {
		failed = failed || !r.Success
	}
	if failed && allOrNone {
		for n := len(results) - 1; n >= 0; n-- {
			if r := results[n]; r.Success {
				r.undo()
				results[n] = refused(refuse("ALL_OR_NONE_OPERATION_ROLLED_BACK", nil, "Record rolled back because not all records were valid and the request was using AllOrNone header"))
			}
		}
	}
	for _, r := range results {
		if r.Success {
			s.stats.Rows[object]++
		}
	}
	s.stats.MaxRows = max(s.stats.MaxRows, len(results))
	writeJSON(w, 200, results)
	return nil
}

// collectionUpsert answers PATCH /composite/sobjects/X/Field
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-upsert.html).
func (s *Server) collectionUpsert(w http.ResponseWriter, r *http.Request) *apiError {
	c, bad := readCollection(r)
	if bad != nil {
		return bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, bad := s.table(r.PathValue("object"))
	if bad != nil {
		return bad
	}
	key, f, ok := t.field(r.PathValue("ext"))
	if !ok || !f.usableAsKey() || f.Type == "id" {
		return fail(400, "INVALID_FIELD", "Provided external ID field does not exist or is not accessible: %s", r.PathValue("ext"))
	}
	_, drafts, bad := s.drafts(c, t.object.Name)
	if bad != nil {
		return bad
	}
	for _, d := range drafts {
		if d.id != "" {
			return fail(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
		}
	}
	return s.finish(w, t.object.Name, c.AllOrNone, s.upsertAll(t, drafts, key))
}

// upsertAll refuses all records that name one external id twice
// (https://salesforce.stackexchange.com/questions/296121), and writes the others in order.
func (s *Server) upsertAll(t *table, drafts []*draft, key int) []outcome {
	f := &t.object.Fields[key]
	seen := make(map[string]int, len(drafts))
	name := func(d *draft) string {
		if f.Type == "id" {
			return d.id
		}
		v, _ := d.value(key)
		return fold(f, v)
	}
	for _, d := range drafts {
		seen[name(d)]++
	}
	results := make([]outcome, len(drafts))
	for n, d := range drafts {
		if k := name(d); k != "" && seen[k] > 1 {
			created := false
			v, _ := d.value(key)
			results[n] = refused(refuse("DUPLICATE_VALUE", f, "Duplicate external id specified: %v", text(v)))
			results[n].Created = &created
			continue
		}
		results[n] = s.upsert(t, d, key)
	}
	return results
}

// collectionInsert answers POST /composite/sobjects
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-create.html).
func (s *Server) collectionInsert(w http.ResponseWriter, r *http.Request) *apiError {
	return s.collectionEach(w, r, func(t *table, d *draft) outcome {
		if d.id != "" {
			return refused(refuse("INVALID_FIELD_FOR_INSERT_UPDATE", &Field{Name: "Id"}, "cannot specify Id in an insert call"))
		}
		return s.insert(t, d)
	})
}

// collectionUpdate answers PATCH /composite/sobjects
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-update.html).
func (s *Server) collectionUpdate(w http.ResponseWriter, r *http.Request) *apiError {
	return s.collectionEach(w, r, func(t *table, d *draft) outcome {
		if d.id == "" {
			return refused(refuse("MISSING_ARGUMENT", nil, "Id not specified in an update call"))
		}
		return s.update(t, d)
	})
}

func (s *Server) collectionEach(w http.ResponseWriter, r *http.Request, do func(*table, *draft) outcome) *apiError {
	c, bad := readCollection(r)
	if bad != nil {
		return bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tables, drafts, bad := s.drafts(c, "")
	if bad != nil {
		return bad
	}
	results := make([]outcome, len(drafts))
	for n, d := range drafts {
		results[n] = do(tables[n], d)
	}
	return s.finish(w, tables[0].object.Name, c.AllOrNone, results)
}

// collectionDelete answers DELETE /composite/sobjects?ids=a,b
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-delete.html).
func (s *Server) collectionDelete(w http.ResponseWriter, r *http.Request) *apiError {
	ids := strings.Split(r.URL.Query().Get("ids"), ",")
	switch {
	case ids[0] == "":
		return fail(400, "MISSING_ARGUMENT", "The ids parameter is empty")
	case len(ids) > maxCollection:
		return fail(400, "LIMIT_EXCEEDED", "The request has %d ids; the limit is %d", len(ids), maxCollection)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]outcome, len(ids))
	object := "deleted"
	for n, id := range ids {
		t := s.tableOf(id)
		if t == nil {
			results[n] = refused(refuse("MALFORMED_ID", nil, "malformed id %s", id))
			continue
		}
		object = t.object.Name
		results[n] = s.erase(t, id)
	}
	return s.finish(w, object, r.URL.Query().Get("allOrNone") == "true", results)
}

// tableOf finds an id's object by its first three characters.
func (s *Server) tableOf(id string) *table {
	if _, ok := fullID(id); !ok {
		return nil
	}
	for _, t := range s.tables {
		if t.object.KeyPrefix == id[:3] {
			return t
		}
	}
	return nil
}

// collectionRetrieve answers POST /composite/sobjects/X with ids and fields: null stands for a record that is not there
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-retrieve-post.html).
func (s *Server) collectionRetrieve(w http.ResponseWriter, r *http.Request) *apiError {
	var q struct {
		IDs    []string `json:"ids"`
		Fields []string `json:"fields"`
	}
	if bad := readJSON(r, &q); bad != nil {
		return bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, bad := s.table(r.PathValue("object"))
	if bad != nil {
		return bad
	}
	at, bad := t.columns(q.Fields)
	if bad != nil {
		return bad
	}
	out := make([]any, len(q.IDs))
	for n, id := range q.IDs {
		if rec, e := t.lookup(id); e == nil {
			out[n] = s.show(t, rec, at, r.PathValue("version"))
		}
	}
	writeJSON(w, 200, out)
	return nil
}

func (t *table) columns(names []string) ([]int, *apiError) {
	at := make([]int, len(names))
	for n, name := range names {
		i, _, ok := t.field(name)
		if !ok {
			return nil, noSuchColumn(t, name)
		}
		at[n] = i
	}
	return at, nil
}

// byExternalID finds the one record an address names; several are a 300 with their addresses.
func (s *Server) byExternalID(w http.ResponseWriter, r *http.Request) (*table, *record, *apiError) {
	t, bad := s.table(r.PathValue("object"))
	if bad != nil {
		return nil, nil, bad
	}
	i, f, ok := t.field(r.PathValue("ext"))
	if !ok || !f.usableAsKey() {
		return nil, nil, fail(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: %s", r.PathValue("ext"))
	}
	var v any = r.PathValue("value")
	if f.numeric() {
		v = json.Number(r.PathValue("value"))
	}
	found := t.find(i, v)
	switch len(found) {
	case 0:
		return nil, nil, fail(404, "NOT_FOUND", "The requested resource does not exist")
	case 1:
		return t, found[0], nil
	}
	list := make([]string, len(found))
	for n, x := range found {
		list[n] = "/services/data/" + r.PathValue("version") + "/sobjects/" + t.object.Name + "/" + x.id
	}
	writeJSON(w, 300, list)
	return nil, nil, nil
}

func (s *Server) getByExternalID(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, rec, bad := s.byExternalID(w, r)
	if rec == nil {
		return bad
	}
	at := make([]int, len(t.object.Fields))
	for i := range at {
		at[i] = i
	}
	writeJSON(w, 200, s.show(t, rec, at, r.PathValue("version")))
	return nil
}

func (s *Server) deleteByExternalID(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, rec, bad := s.byExternalID(w, r)
	if rec == nil {
		return bad
	}
	if o := s.erase(t, rec.id); !o.Success {
		return fail(400, o.Errors[0].StatusCode, "%s", o.Errors[0].Message)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
