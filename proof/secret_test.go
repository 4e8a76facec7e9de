package proof_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/run"
)

// Row 80. Invariant 8: a tool that repeats the login it was given, in whatever form and place, brings it into no error, no refusal, no
// excerpt and no file of state.
func Test_a_login_a_tool_repeats_is_kept_nowhere(t *testing.T) {
	const token = "canary-token-of-the-proof" // of hooked
	spellings := []string{token, url.QueryEscape("Bearer " + token), base64.StdEncoding.EncodeToString([]byte(token))}
	said := fmt.Sprintf(`your login was Bearer %s, or %s, or %s`, spellings[0], spellings[1], spellings[2])
	quoted, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]func(call int, w http.ResponseWriter, rows []hookRow) bool{
		"in the words of refused rows": func(_ int, w http.ResponseWriter, rows []hookRow) bool {
			w.Header().Set("Content-Type", "application/json")
			one := fmt.Sprintf(`{"status":"rejected","code":"NO","field":"V","message":%s},`, quoted)
			fmt.Fprintf(w, `{"results":[%s]}`, strings.TrimSuffix(strings.Repeat(one, len(rows)), ","))
			return true
		},
		"in warnings about accepted rows": func(_ int, w http.ResponseWriter, rows []hookRow) bool {
			w.Header().Set("Content-Type", "application/json")
			one := fmt.Sprintf(`{"status":"delivered","id":%s,"warnings":[%s]},`, quoted, quoted)
			fmt.Fprintf(w, `{"results":[%s]}`, strings.TrimSuffix(strings.Repeat(one, len(rows)), ","))
			return true
		},
		"in the code and the field": func(_ int, w http.ResponseWriter, rows []hookRow) bool {
			w.Header().Set("Content-Type", "application/json")
			one := fmt.Sprintf(`{"status":"rejected","code":%s,"field":%s,"message":"no"},`, quoted, quoted)
			fmt.Fprintf(w, `{"results":[%s]}`, strings.TrimSuffix(strings.Repeat(one, len(rows)), ","))
			return true
		},
		"in a refusal of the batch":  says(http.StatusUnprocessableEntity, said),
		"in a refusal of the login":  says(http.StatusUnauthorized, said),
		"in a refusal of everything": says(http.StatusForbidden, said),
		"in a page of an error":      says(http.StatusInternalServerError, "<pre>Authorization: Bearer "+token+"</pre>"),
		"in an answer that is no JSON": func(_ int, w http.ResponseWriter, _ []hookRow) bool {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, said)
			return true
		},
		"in an address to go to": func(_ int, w http.ResponseWriter, _ []hookRow) bool {
			w.Header().Set("Location", "https://example.com/?token="+token)
			w.WriteHeader(http.StatusFound)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			w := hooked(t, r.server.URL, 30, "upsert")
			r.script = script
			rec := w.run(run.RunOptions{Wait: 300 * time.Millisecond})
			shown := [][]byte{}
			show := func(v any) {
				b, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				shown = append(shown, b, fmt.Appendf(nil, "%+v", v))
			}
			show(rec)
			if rec.Error != nil {
				shown = append(shown, []byte(rec.Error.Error()), fmt.Appendf(nil, "%+v", rec.Error.Cause))
			}
			err := w.engine(func(e *run.Engine) error {
				refused, err := e.Store.Refusals(context.Background(), "s")
				show(refused)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			err = filepath.WalkDir(filepath.Join(w.dir, ".upwell"), func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				shown = append(shown, b)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range shown {
				for _, s := range spellings {
					if at := bytes.Index(b, []byte(s)); at >= 0 {
						t.Errorf("%s is in: %q", s, b[max(0, at-80):min(len(b), at+80)])
					}
				}
			}
			if len(shown) < 5 {
				t.Errorf("only %d texts and files were looked at", len(shown))
			}
		})
	}
}

// says answers every request with a status and a text.
func says(code int, text string) func(int, http.ResponseWriter, []hookRow) bool {
	return func(_ int, w http.ResponseWriter, _ []hookRow) bool {
		w.WriteHeader(code)
		fmt.Fprint(w, text)
		return true
	}
}
