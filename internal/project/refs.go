package project

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
)

// References, ${env:NAME}, ${env:NAME:-default} and ${file:path}, are resolved in every text value of a project except the
// bodies of other languages: SQL (sql, where, test queries) and CEL (cel, when, CEL settings), where ${ may mean something else
// and a value pasted in would be code. Keys and names are never resolved. $${ writes a literal ${.

// maxSecretFile bounds what ${file:} reads.
const maxSecretFile = 1 << 20

// resolved is a text with its references replaced.
type resolved struct {
	text     string
	refs     bool   // it held a reference
	literal  string // the text with references left empty but for their defaults: what stands in the file in clear
	defaults bool   // a reference has a default
	missing  bool   // a reference could not be resolved; the fault is reported
}

// resolve replaces the references of a text value.
func (l *loader) resolve(n *node, what string) resolved {
	var out resolved
	var text, literal strings.Builder
	rest := n.text
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		if i > 0 && rest[i-1] == '$' {
			text.WriteString(rest[:i-1] + "${")
			literal.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		text.WriteString(rest[:i])
		literal.WriteString(rest[:i])
		at := n.within(lineColumn(n.text, len(n.text)-len(rest)+i))
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			l.fail(fault.ProjectVariable, at, "resolving %s: `${` is not closed", what).WithFix("close it with }, or write $${ for a literal ${")
			out.missing = true
			return out
		}
		ref := rest[i+2 : i+end]
		value, ok := l.reference(at, ref, what)
		if scheme, arg, _ := strings.Cut(ref, ":"); scheme == "env" { // a default stands in the file, too
			_, def, _ := strings.Cut(arg, ":-")
			literal.WriteString(def)
			out.defaults = out.defaults || def != ""
		}
		out.refs = true
		out.missing = out.missing || !ok
		text.WriteString(value)
		rest = rest[i+end+1:]
	}
	out.text = text.String() + rest
	out.literal = literal.String() + rest
	return out
}

func (l *loader) reference(at fault.Where, ref, what string) (string, bool) {
	scheme, arg, _ := strings.Cut(ref, ":")
	switch scheme {
	case "env":
		name, def, hasDefault := strings.Cut(arg, ":-")
		if !envName(name) {
			l.fail(fault.ProjectVariable, at, "resolving %s: %s names no variable", what, tick("${"+ref+"}")).WithFix("write ${env:NAME} or ${env:NAME:-default}")
			return "", false
		}
		if v, ok := l.opts.env(name); ok && (v != "" || !hasDefault) {
			if !utf8.ValidString(v) {
				l.unresolved(at, "resolving %s: environment variable %s is not UTF-8", what, name)
				return "", false
			}
			return v, true
		}
		if hasDefault {
			return def, true
		}
		l.unresolved(at, "resolving %s: environment variable %s is not set", what, name).
			WithFix("set %s, or write ${env:%s:-default}", name, name)
		return "", false
	case "file":
		v, problem := l.secretFile(arg)
		if problem != "" {
			l.unresolved(at, "resolving %s: file %s %s", what, tick(arg), problem)
			return "", false
		}
		return v, true
	}
	l.fail(fault.ProjectVariable, at, "resolving %s: unknown reference %s", what, tick("${"+scheme+":...}")).
		WithFix("%s", didYouMean(scheme, []string{"env", "file"}, "write ${env:NAME} or ${file:path}; $${ is a literal ${"))
	return "", false
}

// unresolved reports a value that is not there: a fault, or with WithoutSecrets a warning.
func (l *loader) unresolved(at fault.Where, format string, args ...any) *fault.Error {
	if l.opts.withoutSecrets {
		return l.warn(fault.ProjectVariable, at, format, args...)
	}
	return l.fail(fault.ProjectVariable, at, format, args...)
}

// secretFile reads a file a reference names, without the line end at its end. What it holds never gets into a message.
func (l *loader) secretFile(path string) (text, problem string) {
	if path == "" {
		return "", "has no name"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.dir, filepath.FromSlash(path))
	}
	b, problem := readRegular(path, maxSecretFile)
	if problem != "" {
		return "", problem
	}
	if !utf8.Valid(b) || strings.IndexByte(string(b), 0) >= 0 {
		return "", "is not UTF-8 text"
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), ""
}

// readRegular reads a regular file of at most limit bytes; anything else (a pipe, a device) could block for ever. problem says
// in words why it cannot; of a file that is too large the beginning is there.
func readRegular(path string, limit int64) (b []byte, problem string) {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return nil, "does not exist"
	case err != nil:
		return nil, "cannot be read"
	case info.IsDir():
		return nil, "is a folder"
	case !info.Mode().IsRegular():
		return nil, "is not a regular file"
	}
	f, err := os.Open(path)
	if err != nil {
		if os.IsPermission(err) {
			return nil, "may not be read by this user"
		}
		return nil, "cannot be opened"
	}
	defer f.Close() //nolint:errcheck // only read
	b, err = io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, "cannot be read"
	case int64(len(b)) > limit:
		return b[:limit], "is too large"
	}
	return b, ""
}

func envName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// lineColumn gives line (from 1) and column (from 0, in characters) of a byte offset.
func lineColumn(s string, offset int) (line, column int) {
	before := s[:min(offset, len(s))]
	line = 1 + strings.Count(before, "\n")
	return line, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
