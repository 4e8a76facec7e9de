package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func specChecks() []check {
	return []check{
		{name: "spec: says what the connector is and what each setting means", run: specSpeaks, apart: true},
		{name: "spec: a setting that is needed and missing is named", run: neededSettings, apart: true},
		{name: "spec: opening does not connect", run: openIsQuiet, apart: true},
		{name: "spec: what is declared is implemented", run: declared},
		{name: "check: names the account", run: checkGood},
		{name: "check: a wrong credential is an auth fault", run: checkWrong, apart: true},
		{name: "check: a tool out of reach is waited for", run: checkNowhere, apart: true},
	}
}

var typeForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func specSpeaks(s *stand) {
	spec := s.h.Connector.Spec
	for _, problem := range specProblems(spec) {
		s.Error(problem)
	}
	if len(spec.Modes) == 0 || spec.Timeout <= 0 {
		s.Errorf("the spec declares %d modes and the timeout %s", len(spec.Modes), spec.Timeout)
	}
	if (s.h.Connector.Sandbox != nil) != spec.Sandbox {
		s.Error("Spec.Sandbox and Sandbox contradict each other")
	}
}

// specProblems is what is wrong with the words of a spec, also for sources.
func specProblems(spec connector.Spec) (out []string) {
	if !typeForm.MatchString(spec.Type) || spec.Title == "" || !strings.HasSuffix(spec.Summary, ".") {
		out = append(out, fmt.Sprintf("type %q, title %q, summary %q: want a lower-case name, a title and a sentence", spec.Type, spec.Title, spec.Summary))
	}
	seen := map[string]bool{}
	eachSetting(spec.Settings, "", func(name string, one connector.Setting) {
		if seen[name] {
			out = append(out, fmt.Sprintf("setting %s is declared twice", name))
		}
		seen[name] = true
		if one.Doc == "" || one.Type == "" {
			out = append(out, fmt.Sprintf("setting %s has no type or no word of documentation", name))
		}
		if one.Required && one.Default != "" || one.Secret && one.Default != "" {
			out = append(out, fmt.Sprintf("setting %s is required or secret, and has a default", name))
		}
		if one.Default != "" && one.Enum != nil && !slices.Contains(one.Enum, one.Default) {
			out = append(out, fmt.Sprintf("setting %s: the default %q is not allowed", name, one.Default))
		}
		if strings.Contains(one.Example, "secret") && one.Secret && !strings.Contains(one.Example, "${") {
			out = append(out, fmt.Sprintf("setting %s: the example of a secret must be a reference", name))
		}
	})
	return out
}

// neededSettings: the project loader names a Required setting before the connector is asked; what only the connector knows to be
// needed it must name itself.
func neededSettings(s *stand) {
	needed := slices.Clone(s.h.Needs)
	for _, one := range s.h.Connector.Spec.Settings {
		if one.Required && !slices.Contains(needed, one.Name) {
			needed = append(needed, one.Name)
		}
	}
	for _, name := range needed {
		values := s.settings(map[string]string{name: ""})
		d, err := s.openWith(values)
		if err == nil {
			_, err = d.Check(s.Context())
			s.hear(err)
			if cerr := d.Close(); cerr != nil {
				s.Errorf("closing: %v", cerr)
			}
		}
		switch f := fault.As(err); {
		case err == nil:
			s.Errorf("without %s the connection opens and checks", name)
		case f.GetClass() == fault.ClassBug, slices.Contains(s.h.Needs, name) && !strings.Contains(f.Message+f.GetFix(), name):
			s.Errorf("without %s: %v; want a fault that names the setting", name, err)
		}
	}
}

func openIsQuiet(s *stand) {
	d, err := s.open(s.nowhere())
	if err != nil {
		s.Fatalf("opening while the tool is out of reach: %v", err)
	}
	if err := d.Close(); err != nil {
		s.Errorf("closing what never connected: %v", err)
	}
}

func declared(s *stand) {
	spec := s.h.Connector.Spec
	if _, ok := s.dest.(connector.Stager); ok != spec.Stages {
		s.Errorf("Spec.Stages is %v, and the destination is a Stager: %v", spec.Stages, ok)
	}
	if _, ok := s.dest.(connector.Reader); !ok && s.object.ReadBatch > 0 {
		s.Error("ReadBatch is declared, and the destination is no Reader")
	}
	for op, o := range s.object.Ops {
		if _, ok := s.dest.(connector.JobWriter); !ok && o.JobAbove > 0 {
			s.Errorf("%s: JobAbove is declared, and the destination is no JobWriter", op)
		}
		if o.JobAbove > 0 && o.JobRows <= 0 {
			s.Errorf("%s: jobs of %d rows", op, o.JobRows)
		}
	}
	modes := map[connector.Mode]connector.Op{
		connector.ModeUpsert: connector.OpUpsert, connector.ModeUpdate: connector.OpUpdate, connector.ModeInsert: connector.OpInsert, connector.ModeAppend: connector.OpAppend,
	}
	for mode, op := range modes {
		if s.offers(op) && !slices.Contains(spec.Modes, mode) {
			s.Errorf("the object offers %s, and the mode %s is not declared", op, mode)
		}
	}
	if s.offers(connector.OpDelete) && !slices.Contains(spec.Removed, connector.RemovedDelete) {
		s.Error("the object offers delete, and removed: delete is not declared")
	}
}

func checkGood(s *stand) {
	var first connector.Account
	for i := range 2 {
		writes := s.writes()
		d, err := s.open(nil)
		if err != nil {
			s.Fatal(err)
		}
		a, err := d.Check(s.Context())
		s.hear(err)
		if cerr := d.Close(); cerr != nil {
			s.Errorf("closing: %v", cerr)
		}
		if err != nil || a.ID == "" {
			s.Fatalf("checking a good connection: %+v, %v; want an account with an id", a, err)
		}
		if s.writes() != writes {
			s.Error("checking wrote something")
		}
		for _, w := range a.Windows {
			if w.Name == "" || w.Requests <= 0 || w.Per <= 0 {
				s.Errorf("the window %+v is no limit", w)
			}
		}
		if i == 0 {
			first = a
		} else if a.ID != first.ID {
			s.Errorf("the account is %q, then %q", first.ID, a.ID)
		}
	}
	if got := s.world.Records(); len(got) > 0 {
		s.Errorf("checking left records: %v", got)
	}
}

func checkWrong(s *stand) {
	if s.h.Wrong == nil {
		s.Skip("there is no login")
	}
	d, err := s.open(s.h.Wrong)
	if err == nil {
		defer d.Close() //nolint:errcheck // nothing was opened
		_, err = d.Check(s.Context())
		s.hear(err)
	}
	if f := fault.As(err); f == nil || f.GetClass() != fault.ClassAuth || f.Landed != fault.LandedNo {
		s.Errorf("got %v; want class auth, not landed", err)
	}
}

func checkNowhere(s *stand) {
	d, err := s.open(s.nowhere())
	if err != nil {
		s.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // nothing was opened
	_, err = d.Check(s.Context())
	s.wantAway("checking", err)
	_, err = d.Objects(s.Context(), []string{s.h.Object})
	if !s.h.Connector.Spec.FreeObject {
		s.wantAway("describing", err)
	}
	field, a, _ := s.some()
	op := connector.OpUpsert
	s.object = connector.Object{Name: s.h.Object, Keys: [][]string{{s.h.Match}}, Ops: map[connector.Op]connector.Operation{op: {MaxRows: 1}}}
	to, b := s.batch(op, []Record{s.record(0, Record{field: a})})
	out := connector.NewOutcomes(1)
	err = d.Write(s.Context(), to, b, out)
	s.wantAway("writing", err)
	if out.Marked(0) && out.Result(0).Status != connector.NotAttempted && out.Result(0).Status != connector.Retry {
		s.Errorf("a row was marked %+v though nothing answered", out.Result(0))
	}
}

// nowhere is settings where nothing answers; over HTTP the kit finds a free port itself.
func (s *stand) nowhere() map[string]string {
	s.Helper()
	switch {
	case s.h.Nowhere != nil:
		return s.h.Nowhere
	case s.h.HTTP == nil:
		s.Skip("the tool cannot be out of reach")
	}
	free := httptest.NewServer(http.NotFoundHandler())
	free.Close()
	return map[string]string{s.h.HTTP.URL: free.URL, "allow_private": "true"}
}

func (s *stand) wantAway(doing string, err error) {
	s.Helper()
	s.hear(err)
	f := fault.As(err)
	if f == nil || f.GetClass() != fault.ClassTransient && f.GetClass() != fault.ClassEnvironment || f.Landed != fault.LandedNo {
		s.Errorf("%s: %v; want class transient or environment, not landed", doing, err)
	}
}

func discoveryChecks() []check {
	return []check{
		{name: "discovery: describes the object", run: describes},
		{name: "discovery: an object the tool does not have is left out", run: leavesOut},
		{name: "discovery: all objects are listed", run: listsAll},
	}
}

func describes(s *stand) {
	o := s.object
	if o.Name != s.h.Object || o.Kind == "" {
		s.Errorf("object %q of kind %q", o.Name, o.Kind)
	}
	if len(o.Ops) == 0 {
		s.Error("the object offers no operation")
	}
	for op, l := range o.Ops {
		if l.MaxRows < 1 || l.MaxBytes < 0 || l.MaxRowBytes < 0 || l.MaxBytes > 0 && l.MaxRowBytes > l.MaxBytes {
			s.Errorf("%s: limits %+v", op, l)
		}
	}
	if o.FreeField {
		return
	}
	fields := map[string]connector.Field{}
	for _, f := range o.Fields {
		if _, twice := fields[f.Name]; twice || f.Name == "" {
			s.Errorf("the field %q is described twice, or has no name", f.Name)
		}
		fields[f.Name] = f
	}
	for k, name := range s.h.Fields {
		f, ok := fields[name]
		if !ok || !f.Creatable || !f.Updatable {
			s.Errorf("the field %s is not described as writable: %+v", name, f)
		}
		if ok && f.Kind != k && !(f.Kind == row.Absent || f.Kind.Numeric() && k.Numeric()) {
			s.Errorf("the field %s is of kind %s; want %s", name, f.Kind, k)
		}
	}
	if f := fields[s.h.Match]; !f.Match || !slices.ContainsFunc(o.Keys, func(k []string) bool { return slices.Equal(k, []string{s.h.Match}) }) {
		s.Errorf("the field %s is not described as a match: %+v, keys %v", s.h.Match, f, o.Keys)
	}
}

func leavesOut(s *stand) {
	if s.h.Connector.Spec.FreeObject {
		s.Skip("any object is taken")
	}
	got, err := s.dest.Objects(s.Context(), []string{"no_such_object_here", s.h.Object})
	if err != nil || len(got) != 1 || got[0].Name != s.h.Object {
		s.Errorf("got %d objects, %v; want %s alone", len(got), err, s.h.Object)
	}
}

func listsAll(s *stand) {
	if s.h.Connector.Spec.FreeObject {
		s.Skip("any object is taken")
	}
	got, err := s.dest.Objects(s.Context(), nil)
	if err != nil || !slices.ContainsFunc(got, func(o connector.Object) bool { return o.Name == s.h.Object }) {
		s.Errorf("got %d objects, %v; want %s among them", len(got), err, s.h.Object)
	}
}

// writes counts the requests that wrote, for tools spoken to by HTTP.
func (s *stand) writes() int {
	if s.way == nil {
		return 0
	}
	return s.way.count(true)
}
