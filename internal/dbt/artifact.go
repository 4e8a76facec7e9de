// Package dbt reads what dbt leaves in its target folder: which relation a model is, what its columns and tests are, how the last
// run of dbt went. It takes a small part of each artifact and forgives what it does not know; compiled SQL, variables of the
// environment and ids of users are passed over and never kept.
//
// The artifacts are described at https://docs.getdbt.com/reference/artifacts/dbt-artifacts.
package dbt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

// maxArtifact bounds one artifact. The largest manifests known are some hundred megabytes.
const maxArtifact = 2 << 30

// Metadata is what an artifact says of itself.
type Metadata struct {
	Schema      int    // version of the artifact's schema
	DBT         string // version of dbt
	Adapter     string // duckdb, snowflake, …: in manifests
	Project     string // name of dbt's root project: in manifests
	Invocation  string
	GeneratedAt time.Time
}

// kind is a kind of artifact, as its schema's address names it.
type kind string

const (
	isManifest kind = "manifest"
	isResults  kind = "run-results"
	isSources  kind = "sources"
	isCatalog  kind = "catalog"
)

// known are the schema versions this package was written for. dbt 1.6 writes manifest 10 and run results 4, dbt 1.7 manifest 11 and
// run results 5, dbt 1.8 and later manifest 12 and run results 6.
var known = map[kind]struct{ least, most int }{
	isManifest: {10, 12}, isResults: {4, 6}, isSources: {3, 3}, isCatalog: {1, 1},
}

var schemaAddress = regexp.MustCompile(`/dbt/([a-z-]+)/v([0-9]{1,6})(\.json)?$`)

// artifact reads one artifact of a kind from r. Entries of the top level go to take by name; take answers false for what it leaves
// to be passed over. name stands for the file in messages.
func artifact(r io.Reader, name string, k kind, newer bool, take func(dec *json.Decoder, key string) (bool, error)) (Metadata, error) {
	var meta Metadata
	described := false
	dec := json.NewDecoder(io.LimitReader(r, maxArtifact))
	err := entries(dec, func(key string) error {
		if key == "metadata" {
			var m metadata
			if err := dec.Decode(&m); err != nil {
				return err
			}
			described = true
			var err error
			meta, err = m.check(name, k, newer)
			return err
		}
		taken, err := take(dec, key)
		if err != nil || taken {
			return err
		}
		return skip(dec)
	})
	if err == nil {
		err = ended(dec)
	}
	var f *fault.Error
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &f):
		return meta, f
	case errors.As(err, &wrong):
		return meta, unreadable(name, "another value stands where an object should, before byte %d", dec.InputOffset()).WithFix("let dbt write it anew")
	case err != nil:
		return meta, unreadable(name, "it is no complete JSON document: %s", oneLine(err.Error(), maxQuote)).
			WithFix("if dbt is writing it just now, call again; otherwise let dbt write it anew: dbt parse writes the manifest, dbt build all")
	case !described:
		return meta, unreadable(name, "it has no `metadata`, so it is no artifact of dbt").WithFix("name the %s.json of dbt's target folder", fileOf(k))
	}
	return meta, nil
}

// metadata as dbt writes it, user id and environment left out.
type metadata struct {
	Schema      text `json:"dbt_schema_version"`
	DBT         text `json:"dbt_version"`
	Adapter     text `json:"adapter_type"`
	Project     text `json:"project_name"`
	Invocation  text `json:"invocation_id"`
	GeneratedAt text `json:"generated_at"`
}

func (m metadata) check(name string, k kind, newer bool) (Metadata, error) {
	out := Metadata{DBT: string(m.DBT), Adapter: string(m.Adapter), Project: string(m.Project), Invocation: string(m.Invocation)}
	out.GeneratedAt, _ = parseTime(string(m.GeneratedAt)) // some tools leave it out
	found := schemaAddress.FindStringSubmatch(string(m.Schema))
	if found == nil {
		return out, unreadable(name, "dbt_schema_version is %s, which names no schema of dbt", quoted(string(m.Schema))).
			WithFix("name the %s.json of dbt's target folder", fileOf(k))
	}
	if kind(found[1]) != k {
		return out, unreadable(name, "it is a %s artifact, not a %s", found[1], k).WithFix("name the %s.json of dbt's target folder", fileOf(k))
	}
	var err error
	if out.Schema, err = strconv.Atoi(found[2]); err != nil {
		return out, unreadable(name, "schema version %s is no number", quoted(found[2]))
	}
	v := known[k]
	switch {
	case out.Schema < v.least:
		return out, unreadable(name, "its schema is %s v%d, and this version reads v%d to v%d", k, out.Schema, v.least, v.most).
			WithFix("let dbt 1.6 or later write it")
	case out.Schema > v.most && !newer:
		return out, unreadable(name, "its schema is %s v%d, and this version knows v%d to v%d", k, out.Schema, v.least, v.most).
			WithFix("update Upwell, or set `accept_newer: true` under `dbt` to read what it can of it")
	}
	return out, nil
}

func fileOf(k kind) string { return strings.ReplaceAll(string(k), "-", "_") }

// unreadable is the fault of an artifact that cannot be used.
func unreadable(name, format string, args ...any) *fault.Error {
	return fault.New(fault.DBTArtifact, "reading dbt's %s: %s", name, fmt.Sprintf(format, args...))
}

// open opens an artifact's file. A file that is not there gives an error that is fs.ErrNotExist.
func open(path, name string) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f := unreadable(name, "there is no such file")
		f.Cause = os.ErrNotExist
		return nil, f.WithFix("run dbt (dbt parse writes the manifest, dbt build all), or say under `dbt` where its files are")
	case err != nil:
		return nil, fault.Wrap(fault.DBTArtifact, err, "reading dbt's %s", name)
	case !info.Mode().IsRegular():
		return nil, unreadable(name, "it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.DBTArtifact, err, "reading dbt's %s", name)
	}
	return f, nil
}

func buffered(f *os.File) io.Reader { return bufio.NewReaderSize(f, 1<<18) }

// entries walks the entries of the object that comes next; each must consume the entry's value.
func entries(dec *json.Decoder, each func(key string) error) error {
	if err := delimiter(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return fmt.Errorf("another value stands where a key should, before byte %d", dec.InputOffset())
		}
		if err := each(key); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// items walks the elements of the array that comes next.
func items(dec *json.Decoder, each func() error) error {
	if err := delimiter(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func delimiter(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if d, ok := t.(json.Delim); !ok || d != want {
		return fmt.Errorf("another value stands where %v should, before byte %d", want, dec.InputOffset())
	}
	return nil
}

// skip passes over the value that comes next without holding it.
func skip(dec *json.Decoder) error {
	depth := 0
	for {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if d, ok := t.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
		if depth == 0 {
			return nil
		}
	}
}

// ended wants nothing but blanks after the document.
func ended(dec *json.Decoder) error {
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// The values of an artifact, read so that a type nobody expected is no reason to refuse the whole file.
type (
	text  string
	texts []string
	truth bool
)

// UnmarshalJSON takes a text, and of numbers and truths what is written; everything else is no text.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch {
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case len(b) > 0 && b[0] != '{' && b[0] != '[' && !bytes.Equal(b, []byte("null")):
		*t = text(b)
	}
	return nil
}

// UnmarshalJSON takes a list of texts, or one.
func (t *texts) UnmarshalJSON(b []byte) error {
	*t = nil
	var list []text
	if json.Unmarshal(b, &list) != nil {
		var one text
		if err := one.UnmarshalJSON(b); err != nil {
			return err
		}
		list = []text{one}
	}
	for _, s := range list {
		if s != "" {
			*t = append(*t, string(s))
		}
	}
	return nil
}

// UnmarshalJSON takes true; everything else is not true.
func (t *truth) UnmarshalJSON(b []byte) error {
	*t = truth(bytes.Equal(b, []byte("true")))
	return nil
}

// maybe reads a value whose shape is known by and large; of another shape nothing is read.
type maybe[T any] struct{ v T }

// UnmarshalJSON never refuses.
func (m *maybe[T]) UnmarshalJSON(b []byte) error {
	var v T
	if json.Unmarshal(b, &v) == nil {
		m.v = v
	}
	return nil
}

// parseTime reads the times dbt writes: RFC 3339, or without a zone, which is UTC.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// maxQuote is how much of a foreign text a message shows.
const maxQuote = 500

// quoted shows a word of an artifact in a message.
func quoted(s string) string { return "`" + strings.ReplaceAll(oneLine(s, 100), "`", "'") + "`" }

// oneLine makes one line of at most limit characters of a text.
func oneLine(s string, limit int) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\ufffd")
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit-3]) + "..."
	}
	return s
}
