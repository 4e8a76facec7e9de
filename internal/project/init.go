package project

import (
	"embed"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/upwelldata/upwell/internal/fault"
)

//go:embed all:sample
var sample embed.FS

// SchemaFile is where the project file's editor hint looks for the JSON Schema, relative to the project.
const SchemaFile = ".upwell/schema.json"

// Init writes a small working project into dir, which is made when it does not exist: a model over a CSV file, read by DuckDB,
// kept in step with a JSON Lines file. It refuses a folder that is a project already and never overwrites a file.
//
// The project file's first line points editors at SchemaFile. Init does not know the connectors; the caller writes what Schema
// gives with WriteSchema.
func Init(dir string) error {
	type file struct{ from, to string }
	var files []file
	err := fs.WalkDir(sample, "sample", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel := p[len("sample/"):]
		if path.Base(rel) == "gitignore" {
			rel = path.Join(path.Dir(rel), ".gitignore")
		}
		files = append(files, file{p, filepath.Join(dir, filepath.FromSlash(rel))})
		return nil
	})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "reading the sample project")
	}
	// Look first, so that a refusal leaves nothing behind.
	if _, err := os.Lstat(filepath.Join(dir, File)); err == nil {
		return fault.New(fault.UsageUnknown, "making a project in %s: there is an %s already", dir, File).WithFix("name another folder, or work with the project that is there")
	}
	for _, f := range files {
		if _, err := os.Lstat(f.to); err == nil && filepath.Base(f.to) != ".gitignore" {
			return fault.New(fault.UsageUnknown, "making a project in %s: %s is there already and would be overwritten", dir, f.to).WithFix("name an empty folder")
		}
	}
	for _, f := range files {
		b, err := sample.ReadFile(f.from)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "reading the sample project")
		}
		if err := os.MkdirAll(filepath.Dir(f.to), 0o755); err != nil {
			return fault.Wrap(fault.UsageUnknown, err, "making a project in %s", dir)
		}
		if err := writeNew(f.to, b); err != nil {
			return fault.Wrap(fault.UsageUnknown, err, "making a project in %s", dir)
		}
	}
	return nil
}

// writeNew writes a file that does not exist; a .gitignore that does is left as it is.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) && filepath.Base(name) == ".gitignore" {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		_ = f.Close() //nolint:errcheck // the write error counts
		return err
	}
	return f.Close()
}

// WriteSchema writes the JSON Schema where the editor hint of Init looks for it. The state folder is made as the engine makes it:
// private, and ignored by Git.
func WriteSchema(dir string, reg Registry) error {
	b, err := Schema(reg)
	if err != nil {
		return err
	}
	state := filepath.Join(dir, filepath.Dir(filepath.FromSlash(SchemaFile)))
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fault.Wrap(fault.StateUnusable, err, "writing the JSON Schema")
	}
	if err := writeNew(filepath.Join(state, ".gitignore"), []byte("*\n")); err != nil {
		return fault.Wrap(fault.StateUnusable, err, "writing the JSON Schema")
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(SchemaFile)), b, 0o644); err != nil {
		return fault.Wrap(fault.StateUnusable, err, "writing the JSON Schema")
	}
	return nil
}
