package webhooktest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// incoming is the standard body of a request.
type incoming struct {
	Sync      string        `json:"sync"`
	RunID     string        `json:"run_id"`
	Object    string        `json:"object"`
	Operation string        `json:"operation"`
	Rows      []incomingRow `json:"rows"`
}

type incomingRow struct {
	Key            map[string]any `json:"key"`
	Fields         map[string]any `json:"fields"`
	ID             string         `json:"id"`
	IdempotencyKey string         `json:"idempotency_key"`
}

type result struct {
	Status  string `json:"status"`
	Code    string `json:"code,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message,omitempty"`
	ID      string `json:"id,omitempty"`
	Created *bool  `json:"created,omitempty"`
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.hook)
	s.control(mux)
	return mux
}

// hook is the endpoint.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client left
	}
	f := s.begin(r, int64(len(body)))
	defer s.end()
	if !f.before(r) {
		cut(w)
		return
	}
	for k, v := range f.Headers {
		w.Header().Set(k, v)
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.replace(w) {
		return
	}
	if status, why := s.admit(r, body); status != 0 {
		answer(w, status, map[string]string{"error": why})
		return
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	var in incoming
	if err := decode(body, &in); err != nil || in.Object == "" || len(in.Rows) == 0 {
		answer(w, http.StatusBadRequest, map[string]string{"error": fmt.Sprintf("not a batch of rows: %v", err)})
		return
	}
	list, style, refuse := s.apply(&in)
	if refuse != nil {
		status, _ := strconv.Atoi(refuse.Status) //nolint:errcheck // apply has read it
		answer(w, status, map[string]string{"code": refuse.Code, "error": refuse.Message})
		return
	}
	s.reply(w, f, f.reshape(list), style)
}

func (s *Server) reply(w http.ResponseWriter, f *Fault, list []result, style Style) {
	b, err := json.Marshal(map[string]any{"results": list})
	if err != nil {
		panic(err) // texts and booleans
	}
	if f.distort(w, b) {
		return
	}
	switch style {
	case StyleOK:
		answer(w, http.StatusOK, map[string]bool{"ok": true})
	case StyleText:
		w.Header().Set("Content-Type", "text/plain")
		write(w, []byte("ok\n"))
	case StyleEmpty:
		w.WriteHeader(http.StatusNoContent)
	case StyleResults:
		w.Header().Set("Content-Type", "application/json")
		write(w, b)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errcheck // a client that left is its own affair
}

func (s *Server) begin(r *http.Request, size int64) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying++
	s.stats.Requests++
	s.stats.Bytes += size
	s.stats.MaxBytes = max(s.stats.MaxBytes, size)
	s.stats.MaxInFlight = max(s.stats.MaxInFlight, s.flying)
	if r.Method != http.MethodHead && len(s.stats.Keys) < 10_000 {
		s.stats.Keys = append(s.stats.Keys, r.Header.Get("Idempotency-Key"))
	}
	return s.nextFault()
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
}

// admit checks token and signature. A request without a signature is let in: not every project signs.
func (s *Server) admit(r *http.Request, body []byte) (int, string) {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	if !open && r.Header.Get("Authorization") != "Bearer "+Token {
		return http.StatusUnauthorized, "unknown token"
	}
	if sig := r.Header.Get("Webhook-Signature"); sig != "" {
		if err := Verify(SigningSecret, r.Header, body, time.Now()); err != nil {
			return http.StatusUnauthorized, err.Error()
		}
	}
	return 0, ""
}

// Verify checks a request as the Standard Webhooks specification asks of receivers: one of the signatures must be right, and
// the timestamp within five minutes of now.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func Verify(secret string, h http.Header, body []byte, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	id, stamp := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	sec, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" {
		return fmt.Errorf("webhook-id or webhook-timestamp is missing")
	}
	if d := now.Sub(time.Unix(sec, 0)); d.Abs() > 5*time.Minute {
		return fmt.Errorf("the timestamp is %v off", d)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for sig := range strings.FieldsSeq(h.Get("Webhook-Signature")) {
		if hmac.Equal([]byte(sig), []byte(want)) {
			return nil
		}
	}
	return fmt.Errorf("no signature is right")
}

// apply writes the rows; a row fault with an HTTP status refuses them all.
func (s *Server) apply(in *incoming) ([]result, Style, *RowFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.MaxRows = max(s.stats.MaxRows, len(in.Rows))
	s.stats.Rows[in.Operation] += len(in.Rows)
	faults := make([]*RowFault, len(in.Rows))
	for i := range in.Rows {
		faults[i] = s.rowFault(&in.Rows[i])
		if faults[i] != nil {
			if n, err := strconv.Atoi(faults[i].Status); err == nil && n >= 400 {
				return nil, s.style, faults[i]
			}
		}
	}
	s.stats.Applied++
	out := make([]result, len(in.Rows))
	for i := range in.Rows {
		if f := faults[i]; f != nil {
			out[i] = result{Status: f.Status, Code: f.Code, Message: f.Message, Field: f.At}
			continue
		}
		out[i] = s.applyRow(in.Object, in.Operation, &in.Rows[i])
	}
	return out, s.style, nil
}

func (s *Server) applyRow(object, operation string, r *incomingRow) result {
	t := s.tables[object]
	if t == nil {
		t = &table{byKey: map[string]*Record{}}
		s.tables[object] = t
	}
	raw, err := json.Marshal(r.Key) // keys sorted
	if err != nil {
		panic(err) // it was JSON
	}
	key := string(raw)
	old := t.byKey[key]
	repeated := r.IdempotencyKey != "" && s.seen[r.IdempotencyKey]
	switch operation {
	case "append":
		if !repeated {
			t.order = append(t.order, s.create(r))
		}
	case "insert":
		if old != nil && !repeated {
			return result{Status: "rejected", Code: "ALREADY_EXISTS", Message: "the record exists"}
		}
		if old == nil {
			old = t.add(key, s.create(r))
		}
		s.seen[r.IdempotencyKey] = true
		return result{Status: "delivered", ID: old.ID, Created: ptr(true)}
	case "delete":
		t.remove(key)
		return result{Status: "delivered"}
	case "upsert", "update", "clear":
		created := old == nil
		if created && operation != "upsert" {
			return result{Status: "skipped", Code: "NOT_FOUND", Message: "there is no such record"}
		}
		if created {
			old = t.add(key, s.create(r))
		} else {
			for k, v := range r.Fields {
				old.Fields[k] = v
			}
			old.Writes++
		}
		return result{Status: "delivered", ID: old.ID, Created: ptr(created)}
	default:
		return result{Status: "rejected", Code: "UNKNOWN_OPERATION", Message: "the operation " + operation + " is not known"}
	}
	s.seen[r.IdempotencyKey] = true
	return result{Status: "delivered"}
}

func (s *Server) create(r *incomingRow) *Record {
	s.nextID++
	fields := map[string]any{}
	for k, v := range r.Fields {
		fields[k] = v
	}
	return &Record{ID: fmt.Sprintf("rec_%d", s.nextID), Key: r.Key, Fields: fields, Writes: 1}
}

func (t *table) add(key string, r *Record) *Record {
	t.byKey[key] = r
	t.order = append(t.order, r)
	return r
}

func (t *table) remove(key string) {
	old := t.byKey[key]
	if old == nil {
		return
	}
	delete(t.byKey, key)
	kept := t.order[:0]
	for _, r := range t.order {
		if r != old {
			kept = append(kept, r)
		}
	}
	t.order = kept
}

func ptr(b bool) *bool { return &b }
