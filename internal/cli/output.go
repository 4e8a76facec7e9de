package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/upwelldata/upwell/internal/fault"
)

// outlet is a stream that can be shut, so that a command left behind by a second interrupt writes no more.
type outlet struct {
	mu   sync.Mutex
	w    io.Writer
	used bool
	gone bool
}

func (o *outlet) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone {
		return len(b), nil
	}
	o.used = true
	return o.w.Write(b)
}

func (o *outlet) line(format string, args ...any) { fmt.Fprintf(o, format+"\n", args...) }

// shut lets nothing more through.
func (o *outlet) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
}

// last lets one thing more through, and that only where nothing was written yet.
func (o *outlet) last(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
	if o.used {
		return nil
	}
	_, err := o.w.Write(b)
	return err
}

// terminal reports whether the stream is a person's terminal.
func (o *outlet) terminal() bool { return isTerminal(o.w) }

// width is how many signs a line of the terminal holds, 0 when it does not say.
func (o *outlet) width() int {
	switch s := o.w.(type) {
	case interface{ Width() int }:
		return s.Width()
	case *os.File:
		if w, _, err := term.GetSize(int(s.Fd())); err == nil {
			return w
		}
	}
	return 0
}

// isTerminal also asks streams that know it themselves.
func isTerminal(stream any) bool {
	switch s := stream.(type) {
	case interface{ IsTerminal() bool }:
		return s.IsTerminal()
	case *os.File:
		return term.IsTerminal(int(s.Fd()))
	}
	return false
}

// colors reports whether the stream may be coloured.
func (a *app) colors(o *outlet) bool {
	_, off := os.LookupEnv("NO_COLOR")
	return !off && !a.noColor && os.Getenv("TERM") != "dumb" && o.terminal()
}

// printer gathers text for a stream.
func (a *app) printer(o *outlet) *printer {
	return &printer{color: a.colors(o), verbose: a.verbose, upwell: a.upwell()}
}

// upwell is how this project is called: what hints begin with.
func (a *app) upwell() string {
	if filepath.Clean(a.dir) == "." {
		return "upwell"
	}
	return "upwell -C " + a.dir
}

// result is what a command found out. Its JSON form is the document of the contract, without schema_version.
type result interface{ text(p *printer) }

// show writes a result to standard output in the form asked for.
func (a *app) show(r result) error {
	if a.json {
		return writeJSON(a.stdout, r)
	}
	p := a.printer(a.stdout)
	r.text(p)
	_, err := a.stdout.Write(p.b.Bytes())
	return err
}

// writeJSON writes one document, schema_version first.
func writeJSON(w io.Writer, doc any) error {
	b, err := document(doc)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func document(doc any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "writing the JSON document")
	}
	body := bytes.TrimSpace(b.Bytes())
	head := []byte(`{"schema_version":1`)
	if !bytes.Equal(body, []byte("{}")) {
		head = append(head, ',')
	}
	var out bytes.Buffer
	if err := json.Indent(&out, append(head, body[1:]...), "", "  "); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "writing the JSON document")
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// problems are the errors of a document: the first, and all where there are several. Embedded in documents that can fail in part.
type problems struct {
	Error  *fault.Error   `json:"error,omitempty"`
	Errors []*fault.Error `json:"errors,omitempty"`
}

func (p *problems) add(err error) int {
	code := fault.ExitOK
	for _, f := range faults(err) {
		if p.Error == nil {
			p.Error = f
		} else if len(p.Errors) == 0 {
			p.Errors = []*fault.Error{p.Error}
		}
		if len(p.Errors) > 0 {
			p.Errors = append(p.Errors, f)
		}
		code = worst(code, f.Exit())
	}
	return code
}

func (p *problems) all() []*fault.Error {
	if len(p.Errors) == 0 && p.Error != nil {
		return []*fault.Error{p.Error}
	}
	return p.Errors
}

func (p *problems) text(out *printer) {
	for _, f := range p.all() {
		out.fault("error", f)
	}
}

// faults flattens an error into its faults.
func faults(err error) []*fault.Error {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
	case nil:
		return nil
	case *fault.Error:
		return []*fault.Error{e}
	case fault.List:
		return e
	case interface{ Unwrap() []error }:
		var out []*fault.Error
		for _, one := range e.Unwrap() {
			for _, f := range faults(one) {
				if !slices.Contains(out, f) {
					out = append(out, f)
				}
			}
		}
		return out
	}
	return []*fault.Error{fault.As(err)}
}

// fail shows an error that ends the command and gives the exit code.
func (a *app) fail(err error) int {
	var doc problems
	code := doc.add(err)
	p := a.printer(a.stderr)
	doc.text(p)
	fmt.Fprint(a.stderr, p.b.String())
	if a.json {
		if err := writeJSON(a.stdout, doc); err != nil {
			a.stderr.line("error: %v", err)
		}
	}
	return code
}

// tell says something on standard error, beside the result.
func (a *app) tell(show func(*printer)) {
	p := a.printer(a.stderr)
	show(p)
	fmt.Fprint(a.stderr, p.b.String())
}

// plural gives "1 row", "2 rows".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, ok := strings.CutSuffix(one, "y"); ok && !strings.HasSuffix(stem, "e") {
		return number(n) + " " + stem + "ies"
	}
	return number(n) + " " + one + "s"
}

// number writes 7043 as 7,043.
func number(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}
