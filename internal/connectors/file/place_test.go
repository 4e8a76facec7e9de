package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_path_says_where_files_are(t *testing.T) {
	for _, c := range []struct{ path, format, want string }{
		{"out", "", "out/customers.jsonl"},
		{"out", "csv", "out/customers.csv"},
		{"out/all.csv", "", "out/all.csv"},
		{"out/all.jsonl", "", "out/all.jsonl"},
		{"out/data.txt", "csv", "out/data.txt"},
		{"folder.csv/", "", "folder.csv/customers.jsonl"},
		{"v1.2", "", "v1.2/customers.jsonl"},
		{"out/{object}/latest.csv", "", "out/customers/latest.csv"},
		{"out/pre_{object}.ndjson", "", "out/pre_customers.ndjson"},
		{"{object}.csv", "", "customers.csv"},
	} {
		dir := t.TempDir()
		write(t, connect(t, dir, "path", c.path, "format", c.format), to(connector.OpUpsert), batch(nil, []any{1, "a", 1}))
		wantOnly(t, dir, c.want)
	}
	abs := t.TempDir()
	write(t, connect(t, t.TempDir(), "path", abs), to(connector.OpUpsert), batch(nil, []any{1, "a", 1}))
	wantOnly(t, abs, "customers.jsonl")
}

func Test_an_object_is_no_way_out_of_the_folder(t *testing.T) {
	dir := t.TempDir()
	d := connect(t, dir)
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "/etc/passwd", ".hidden", "a\x00b", "a\nb", "x.", "x ", "-x", "a:b", "a*", strings.Repeat("x", 300)} {
		target := to(connector.OpUpsert)
		target.Object.Name = name
		err := d.Write(t.Context(), target, batch(nil, []any{1, "a", 1}), connector.NewOutcomes(1))
		if !fault.Is(err, fault.DestObjectMissing) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := d.Objects(t.Context(), []string{name}); !fault.Is(err, fault.DestObjectMissing) {
			t.Errorf("%q: %v", name, err)
		}
	}
	wantOnly(t, dir)
	// A link out of the folder is not followed.
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.jsonl"), []byte("{\"id\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "secret.jsonl"), filepath.Join(dir, "out/customers.jsonl")); err != nil {
		t.Fatal(err)
	}
	err := d.Write(t.Context(), to(connector.OpDelete), batch(nil, []any{1, nil, nil}), connector.NewOutcomes(1))
	if f := fault.As(err); f == nil || f.Landed != fault.LandedNo {
		t.Errorf("%v", err)
	}
	wantContent(t, "{\"id\":1}\n", outside, "secret.jsonl")
}

func Test_check_changes_nothing_and_sees_what_is_wrong(t *testing.T) {
	dir := t.TempDir()
	if _, err := connect(t, dir, "path", "not/there/yet").Check(t.Context()); err != nil {
		t.Error(err)
	}
	wantOnly(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"file", "file/below"} {
		if _, err := connect(t, dir, "path", path+"/").Check(t.Context()); err == nil || fault.As(err).GetClass() != fault.ClassConfig {
			t.Errorf("%s: %v", path, err)
		}
		err := connect(t, dir, "path", path+"/").Write(t.Context(), to(connector.OpUpsert), batch(nil, []any{1, "a", 1}), connector.NewOutcomes(1))
		if f := fault.As(err); f == nil || f.Landed != fault.LandedNo {
			t.Errorf("%s: %v", path, err)
		}
	}
	d := connect(t, dir)
	write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "a", 1}))
	objects, err := d.Objects(t.Context(), nil)
	if err != nil || len(objects) != 1 || objects[0].Name != "customers" || !objects[0].FreeField || objects[0].ReadBatch == 0 {
		t.Errorf("%+v %v", objects, err)
	}
	if o := objects[0].Ops; !o[connector.OpUpsert].Idempotent || !o[connector.OpAppend].Idempotent || o[connector.OpInsert].Idempotent {
		t.Errorf("%+v", o)
	}
}
