package project

import (
	"slices"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// The guards of a sync that says nothing.
const (
	defaultRemoved = "10%"
	defaultChanged = "100%"
)

// sync builds one sync.
func (l *loader) sync(name string, p pair) {
	what := "sync `" + name + "`"
	s := &Sync{Name: name, Where: p.keyAt}
	l.p.Syncs[name] = s
	n := p.value
	if !l.object(n, p.keyAt, what, syncKeys) {
		return
	}
	s.Description, _ = l.text(n.find("description"), of("description", what))
	s.Owner, _ = l.text(n.find("owner"), of("owner", what))
	if m, ok := l.text(n.find("model"), of("model", what)); ok {
		s.Model = m
		l.refer("models", m, n.find("model"), what)
	}
	spec, known := l.syncDestination(s, n, what)
	if o, ok := l.text(n.find("object"), of("object", what)); ok {
		s.Object = o
	} else if n.find("object") == nil && spec.FreeObject {
		s.Object = name
	} else if n.find("object") == nil && known {
		l.fail(fault.ProjectMissing, p.keyAt, "reading %s: key `object` is missing", what).WithFix("add `object`: what to write in %s", spec.Title)
	}
	l.mode(s, n, spec, known, what)
	s.Match = l.matchFields(n.find("match"), of("match", what))
	l.fields(s, n.find("fields"), what)
	l.checkMatch(s, n, p.keyAt, spec, known, what)
	s.Schedule = l.schedule(n.find("schedule"), what)
	s.AtMostOnce = l.bool(n.find("at_most_once"), of("at_most_once", what))
	s.ReadBefore = l.bool(n.find("read_before"), of("read_before", what))
	s.Baseline = choose(l, n.find("first_run"), of("first_run", what), "send", "send", "baseline") == "baseline"
	s.IgnoreRemapping = choose(l, n.find("on_mapping_change"), of("on_mapping_change", what), "resend", "resend", "ignore") == "ignore"
	s.CreateOnMove = choose(l, n.find("on_match_change"), of("on_match_change", what), "reject", "reject", "create") == "create"
	s.Guards = l.guards(n.find("guards"), of("guards", what))
	if w := n.find("where"); w != nil {
		source := ""
		if m := l.p.Models[s.Model]; m != nil {
			source = l.sourceType(m.Source)
		}
		s.Filter, s.FilterWhere = l.condition(w, of("where", what), source), w.at
	}
}

func (l *loader) syncDestination(s *Sync, n *node, what string) (connector.Spec, bool) {
	d, ok := l.text(n.find("destination"), of("destination", what))
	if !ok {
		return connector.Spec{}, false
	}
	s.Destination = d
	if !l.refer("destinations", d, n.find("destination"), what) || l.p.Destinations[d] == nil {
		return connector.Spec{}, false
	}
	return l.reg.DestinationSpec(l.p.Destinations[d].Type)
}

// mode reads mode, removed and on_exists, which depend on each other and on what the connector offers.
func (l *loader) mode(s *Sync, n *node, spec connector.Spec, known bool, what string) {
	s.Mode = choose(l, n.find("mode"), of("mode", what), connector.ModeUpsert, modes...)
	fallback := connector.RemovedKeep
	if s.Mode == connector.ModeMirror {
		fallback = connector.RemovedDelete
	}
	removed := n.find("removed")
	s.Removed = choose(l, removed, of("removed", what), fallback, removals...)
	switch {
	case removed == nil:
	case s.Mode == connector.ModeMirror && s.Removed != connector.RemovedDelete:
		l.fail(fault.ProjectValue, removed.at, "reading %s: mode mirror deletes, `removed: %s` says otherwise", what, s.Removed).
			WithFix("use mode upsert with removed: %s, or leave `removed` out", s.Removed)
	case (s.Mode == connector.ModeInsert || s.Mode == connector.ModeAppend) && s.Removed != connector.RemovedKeep:
		l.fail(fault.ProjectValue, removed.at, "reading %s: mode %s never removes, `removed: %s` says otherwise", what, s.Mode, s.Removed).
			WithFix("leave `removed` out, or use mode upsert")
	}
	if x := n.find("on_exists"); x != nil {
		s.SkipExists = choose(l, x, of("on_exists", what), "reject", "reject", "skip") == "skip"
		if s.Mode != connector.ModeInsert {
			l.fail(fault.ProjectValue, x.at, "reading %s: `on_exists` has a meaning in mode insert only, not in %s", what, s.Mode).WithFix("leave `on_exists` out, or use mode insert")
		}
	}
	if known {
		l.offered(s, n, spec, what)
	}
}

// offered checks mode and removal against the connector. Mirror is upsert with deletion, whoever lists it by name or not.
func (l *loader) offered(s *Sync, n *node, spec connector.Spec, what string) {
	place := func(key string) fault.Where {
		if v := n.find(key); v != nil {
			return v.at
		}
		return s.Where
	}
	can := slices.Contains(spec.Modes, s.Mode) || s.Mode == connector.ModeMirror &&
		slices.Contains(spec.Modes, connector.ModeUpsert) && slices.Contains(spec.Removed, connector.RemovedDelete)
	if len(spec.Modes) > 0 && !can {
		l.fail(fault.ProjectMode, place("mode"), "reading %s: %s does not support mode `%s`", what, title(spec), s.Mode).
			WithFix("use one of %s", joined(spec.Modes))
		return
	}
	if s.Removed != connector.RemovedKeep && s.Mode != connector.ModeMirror && !slices.Contains(spec.Removed, s.Removed) {
		l.fail(fault.ProjectMode, place("removed"), "reading %s: %s does not support `removed: %s`", what, title(spec), s.Removed).
			WithFix("use one of %s", joined(append([]connector.Removal{connector.RemovedKeep}, without(spec.Removed, connector.RemovedKeep)...)))
	}
}

func title(spec connector.Spec) string {
	if spec.Title != "" {
		return spec.Title
	}
	return spec.Type
}

func without[T comparable](list []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return x == v })
}

func joined[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return words(out)
}

// checkMatch checks that records can be identified and that no field is written twice.
func (l *loader) checkMatch(s *Sync, n *node, at fault.Where, spec connector.Spec, known bool, what string) {
	if known && n.find("match") == nil && !spec.NoMatch && s.Mode != connector.ModeAppend {
		fix := "add `match`: {destination field: model column}"
		if m := l.p.Models[s.Model]; m != nil && len(m.Key) > 0 {
			fix = "add `match`: {destination field: " + m.Key[0] + "}"
		}
		l.fail(fault.ProjectMissing, at, "reading %s: key `match` is missing", what).WithFix("%s", fix)
	}
	if s.Mode == connector.ModeAppend && n.find("match") == nil && n.find("fields") == nil {
		l.fail(fault.ProjectMissing, at, "reading %s: key `fields` is missing; an event without fields says nothing", what).WithFix("add `fields`")
	}
	for _, f := range s.Fields {
		for _, m := range s.Match {
			if f.Field == m.Field {
				l.fail(fault.ProjectDuplicate, f.Where, "reading %s: field %s stands in `match` (line %d) and in `fields`", what, tick(f.Field), m.Where.Line).
					WithFix("remove it from `fields`; match fields are written anyway")
			}
		}
	}
}

func (l *loader) guards(n *node, what string) Guards {
	g := Guards{MaxRemoved: percent(defaultRemoved), MaxChanged: percent(defaultChanged)}
	if n == nil || !l.object(n, n.at, what, guardKeys) {
		return g
	}
	l.threshold(&g.MaxRemoved, n.find("max_removed"), of("max_removed", what))
	l.threshold(&g.MaxChanged, n.find("max_changed"), of("max_changed", what))
	g.AllowEmpty = l.bool(n.find("allow_empty"), of("allow_empty", what))
	return g
}

func percent(s string) Threshold {
	f, _ := parseShare(s)
	return Threshold{Share: f, String: s}
}

// threshold reads a percentage in text or a number of rows.
func (l *loader) threshold(to *Threshold, n *node, what string) {
	if n == nil {
		return
	}
	s, ok := l.text(n, what)
	if !ok {
		return
	}
	s = strings.TrimSpace(s)
	if f, ok := parseShare(s); ok {
		*to = Threshold{Share: f, String: s}
		return
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil && i >= 0 {
		*to = Threshold{Rows: &i, String: s}
		return
	}
	f := l.wrong(n, what, "a percentage from 0% to 100%, or a number of rows")
	if x, err := strconv.ParseFloat(s, 64); err == nil && x > 0 && x < 1 {
		f.WithFix("did you mean `%s%%`?", strconv.FormatFloat(x*100, 'f', -1, 32))
	}
}
