package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// stand is one check's place: a world, a connection to it, and what was heard.
type stand struct {
	testing.TB
	h      *Harness
	world  World
	way    *way // between connector and stand-in; nil without HTTP
	gate   *gate
	dest   connector.Destination
	object connector.Object
	ids    map[string]string // the tool's ids by key, as outcomes told them
	mu     sync.Mutex
	heard  []string // texts that go to people: errors, excerpts, messages
}

func newStand(t testing.TB, h *Harness) *stand {
	s := &stand{TB: t, h: h, gate: &gate{}, ids: map[string]string{}}
	s.world = h.New(t)
	s.world.Settings = maps.Clone(s.world.Settings)
	if s.world.Object != "" {
		here := *h
		here.Object = s.world.Object
		s.h = &here
	}
	if h.HTTP != nil && !h.alive {
		s.way = newWay(t, s.world.Settings[h.HTTP.URL], h.HTTP.Write)
		s.world.Settings[h.HTTP.URL] = s.way.url
	}
	return s
}

// connect opens the destination and describes the object.
func (s *stand) connect() {
	s.Helper()
	d, err := s.open(nil)
	if err != nil {
		s.Fatalf("opening with good settings: %v", err)
	}
	s.dest = d
	s.Cleanup(func() {
		if err := d.Close(); err != nil {
			s.Errorf("closing: %v", err)
		}
	})
	objects, err := d.Objects(s.Context(), []string{s.h.Object})
	if err != nil || len(objects) != 1 {
		s.Fatalf("describing %s: %d objects, %v", s.h.Object, len(objects), err)
	}
	s.object = objects[0]
}

// open opens a destination; an empty value of over takes a setting away.
func (s *stand) open(over map[string]string) (connector.Destination, error) {
	return s.openWith(s.settings(over))
}

func (s *stand) settings(over map[string]string) map[string]string {
	values := maps.Clone(s.world.Settings)
	for k, v := range over {
		if values[k] = v; v == "" {
			delete(values, k)
		}
	}
	return values
}

func (s *stand) openWith(values map[string]string) (connector.Destination, error) {
	cfg := config(s.h.Connector.Spec, values, s.world.Lists)
	d, err := s.h.Connector.Open(s.Context(), cfg, connector.Env{ProjectDir: s.world.Dir, StateDir: s.TempDir(), Gate: s.gate, Name: "kit"})
	s.hear(err)
	return d, err
}

// config makes a Config as the project loader does: defaults filled in, secrets marked.
func config(spec connector.Spec, values map[string]string, lists map[string][]string) connector.Config {
	filled := maps.Clone(values)
	eachSetting(spec.Settings, "", func(name string, one connector.Setting) {
		if _, ok := filled[name]; !ok && one.Default != "" {
			filled[name] = one.Default
		}
	})
	return connector.NewConfig(filled, lists, secretSettings(spec))
}

func eachSetting(list []connector.Setting, prefix string, do func(name string, one connector.Setting)) {
	for _, one := range list {
		do(prefix+one.Name, one)
		eachSetting(one.Fields, prefix+one.Name+".", do)
	}
}

func secretSettings(spec connector.Spec) map[string]bool {
	secret := map[string]bool{}
	eachSetting(spec.Settings, "", func(name string, one connector.Setting) {
		if one.Secret {
			secret[name] = true
		}
	})
	return secret
}

// hear keeps what an error says to people.
func (s *stand) hear(errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range errs {
		if err == nil {
			continue
		}
		s.heard = append(s.heard, err.Error(), fmt.Sprintf("%+v", err))
		if b, e := json.Marshal(fault.As(err)); e == nil {
			s.heard = append(s.heard, string(b))
		}
	}
}

func (s *stand) hearOutcomes(out *connector.Outcomes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, out.Request, out.Response)
	for i := range out.Len() {
		r := out.Result(i)
		s.heard = append(s.heard, r.Message, string(r.Code), r.Field, r.RemoteID, strings.Join(r.Warnings, " "))
	}
}

// keepsSecrets fails when anything heard holds a secret.
func (s *stand) keepsSecrets() {
	s.Helper()
	secrets := slices.Clone(s.world.Secrets)
	for name := range secretSettings(s.h.Connector.Spec) {
		if s.h.Shown[name] == "" {
			secrets = append(secrets, s.world.Settings[name], s.h.Wrong[name])
		}
	}
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue
		}
		for _, text := range s.heard {
			if strings.Contains(text, secret) {
				s.Errorf("a secret is shown in: %s", strings.ReplaceAll(text, secret, "[secret]"))
			}
		}
	}
}

// key gives the i-th key, record a whole record with it.
func (s *stand) key(i int) row.Value {
	if s.h.Key != nil {
		return s.h.Key(i)
	}
	return row.TextValue(fmt.Sprintf("%skey-%03d", s.world.Prefix, i))
}

func (s *stand) record(i int, more Record) Record {
	r := Record{s.h.Match: s.key(i)}
	maps.Copy(r, s.h.Required)
	maps.Copy(r, more)
	return r
}

// named is a record's key and the fields given, for writes to records that exist.
func (s *stand) named(i int, more Record) Record {
	r := Record{s.h.Match: s.key(i)}
	if !s.partial() {
		maps.Copy(r, s.h.Required)
	}
	maps.Copy(r, more)
	return r
}

// some gives a value and another one of a kind the tool has a field for, and that field.
func (s *stand) some() (field string, a, b row.Value) {
	s.Helper()
	for _, k := range []row.Kind{row.Text, row.Int, row.Decimal, row.Float, row.Bool} {
		if f, ok := s.h.Fields[k]; ok {
			two := map[row.Kind][2]row.Value{
				row.Text: {row.TextValue("Before"), row.TextValue("After")}, row.Int: {row.IntValue(1), row.IntValue(2)},
				row.Decimal: {row.DecimalValue("1.5"), row.DecimalValue("2.5")}, row.Float: {row.FloatValue(1.5), row.FloatValue(2.5)},
				row.Bool: {row.BoolValue(false), row.BoolValue(true)},
			}[k]
			return f, two[0], two[1]
		}
	}
	s.Fatal("the harness names no field for a text or a number")
	return "", row.Value{}, row.Value{}
}

// other gives a field beside the one some gives, with a value.
func (s *stand) other() (string, row.Value) {
	s.Helper()
	first, _, _ := s.some()
	for _, k := range []row.Kind{row.Int, row.Decimal, row.Float, row.Bool, row.Date, row.Text} {
		if f, ok := s.h.Fields[k]; ok && f != first {
			return f, map[row.Kind]row.Value{
				row.Int: row.IntValue(7), row.Decimal: row.DecimalValue("7.25"), row.Float: row.FloatValue(7.25), row.Bool: row.BoolValue(true),
				row.Date: row.DateValue(20000), row.Text: row.TextValue("kept"),
			}[k]
		}
	}
	s.Skip("the harness names one field only")
	return "", row.Value{}
}

func (s *stand) offers(op connector.Op) bool { _, ok := s.object.Ops[op]; return ok }

func (s *stand) need(op connector.Op) connector.Operation {
	s.Helper()
	o, ok := s.object.Ops[op]
	if !ok {
		s.Skipf("the object does not offer %s", op)
	}
	return o
}

// creating is the operation that creates records: the first the object offers.
func (s *stand) creating() connector.Op {
	s.Helper()
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpInsert, connector.OpAppend} {
		if s.offers(op) {
			return op
		}
	}
	s.Skip("the object creates no records")
	return ""
}

func (s *stand) partial() bool { return s.object.Ops[connector.OpUpsert].Partial }

// gate counts passes.
type gate struct {
	mu      sync.Mutex
	entered int
	left    int
}

func (g *gate) Enter(ctx context.Context, _ connector.Group) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entered++
	return nil
}

func (g *gate) Leave(connector.Group, connector.Feedback) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left++
}

func (g *gate) counts() (entered, left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entered, g.left
}
