package project

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// source builds one source.
func (l *loader) source(name string, p pair) {
	types, _ := l.reg.Types()
	what := "source `" + name + "`"
	c, spec, ok := l.connection(p, what, types, l.reg.SourceSpec)
	c.Name = name
	l.p.Sources[name] = c
	if !ok {
		return
	}
	c.Diff = choose(l, p.value.find("diff"), of("diff", what), "local", "local", "warehouse")
	if n := p.value.find("state_schema"); n != nil {
		c.StateSchema, _ = l.text(n, of("state_schema", what))
	}
	if c.Diff == "warehouse" && !spec.Ledger {
		l.fail(fault.ProjectValue, p.value.find("diff").at, "reading %s: a source of type %s cannot hold the ledger", what, c.Type).WithFix("use `diff: local`")
	}
	l.configure(c, p, what, spec, sourceKeys)
}

// destination builds one destination.
func (l *loader) destination(name string, p pair) {
	_, types := l.reg.Types()
	what := "destination `" + name + "`"
	c, spec, ok := l.connection(p, what, types, l.reg.DestinationSpec)
	c.Name = name
	l.p.Destinations[name] = c
	if !ok {
		return
	}
	c.Limits = l.limits(p.value.find("limits"), of("limits", what))
	l.configure(c, p, what, spec, destinationKeys)
}

// configure reads a connection's settings. Where one cannot be resolved and that is only a warning, the connection remembers it.
func (l *loader) configure(c *Connection, p pair, what string, spec connector.Spec, keys shape) {
	before := len(l.warnings)
	c.Config = l.config(p, what, spec, keys)
	for _, w := range l.warnings[before:] {
		if w.Code == fault.ProjectVariable {
			c.Unresolved = append(c.Unresolved, w)
		}
	}
}

// connection reads what every connection has.
func (l *loader) connection(p pair, what string, types []string, find func(string) (connector.Spec, bool)) (*Connection, connector.Spec, bool) {
	c := &Connection{Where: p.keyAt}
	if !l.mapping(p.value, what) {
		return c, connector.Spec{}, false
	}
	c.Tags = l.texts(p.value.find("tags"), of("tags", what))
	n := p.value.find("type")
	if n == nil {
		l.fail(fault.ProjectMissing, p.keyAt, "reading %s: key `type` is missing", what).WithFix("add `type`: one of %s", words(types))
		return c, connector.Spec{}, false
	}
	typ, ok := l.text(n, of("type", what))
	if !ok {
		return c, connector.Spec{}, false
	}
	c.Type = typ
	spec, ok := find(typ)
	if !ok {
		l.fail(fault.ProjectValue, n.at, "reading %s: there is no connector %s for it", what, n.show()).
			WithFix("%s", didYouMean(typ, types, "use one of %s", words(types)))
	}
	return c, spec, ok
}

func (l *loader) limits(n *node, what string) Limits {
	var out Limits
	if n == nil || !l.object(n, n.at, what, limitKeys) {
		return out
	}
	out.Where = n.at
	if m := n.find("requests_per_second"); m != nil {
		at := of("requests_per_second", what)
		if s, ok := l.number(m, at, "a number"); ok {
			f, err := strconv.ParseFloat(s, 64)
			switch {
			case err != nil:
				l.wrong(m, at, "a number")
			case !(f > 0 && f <= 1e9):
				l.fail(fault.ProjectValue, m.at, "reading %s: %s is not a rate above 0", at, m.show()).WithFix("leave the key out for no limit of your own")
			default:
				out.RequestsPerSecond = f
			}
		}
	}
	if i, ok := l.whole(n.find("concurrency"), of("concurrency", what), 1); ok {
		out.Concurrency = int(min(i, 1<<20))
	}
	if m := n.find("daily_share"); m != nil {
		at := of("daily_share", what)
		if s, ok := l.text(m, at); ok {
			if f, ok := parseShare(s); ok && f > 0 {
				out.DailyShare = f
			} else {
				l.wrong(m, at, "a percentage above 0% and up to 100%")
			}
		}
	}
	return out
}

// settingsOf gives the settings a connection may have in a project file, beside the common keys.
func settingsOf(spec connector.Spec) []connector.Setting {
	out := slices.Clone(spec.Settings)
	if spec.HTTP && !slices.ContainsFunc(out, func(s connector.Setting) bool { return s.Name == allowPrivate.Name }) {
		out = append(out, allowPrivate)
	}
	return out
}

// configBuild collects checked settings.
type configBuild struct {
	values  map[string]string
	lists   map[string][]string
	secrets map[string]bool
}

func (l *loader) config(p pair, what string, spec connector.Spec, common shape) connector.Config {
	b := configBuild{map[string]string{}, map[string][]string{}, map[string]bool{}}
	l.settings(p.value, p.keyAt, what, "", settingsOf(spec), common.names(), b)
	return connector.NewConfig(b.values, b.lists, b.secrets)
}

// settings checks one level of settings; n is nil for a group that is not written, which only gets its defaults.
func (l *loader) settings(n *node, at fault.Where, what, prefix string, specs []connector.Setting, common []string, b configBuild) {
	names := slices.Clone(common)
	for _, s := range specs {
		names = append(names, s.Name)
	}
	meant := map[string]bool{}
	if n != nil {
		meant = l.unknownKeys(n, what, names)
	}
	for _, s := range specs {
		if slices.Contains(common, s.Name) {
			continue
		}
		v := n.find(s.Name)
		if v == nil || v.kind == isNull {
			if n != nil && s.Required && !meant[s.Name] {
				l.fail(fault.ProjectMissing, at, "reading %s: key `%s` is missing", what, s.Name).WithFix("%s", addKey(s.Name, s.Doc))
			}
			if s.Default != "" {
				b.fill(prefix+s.Name, s)
			}
			if s.Type == connector.TypeGroup {
				l.settings(nil, at, what, prefix+s.Name+".", s.Fields, nil, b)
			}
			continue
		}
		l.setting(v, of(s.Name, what), prefix+s.Name, s, b)
	}
}

// fill sets a default.
func (b configBuild) fill(name string, s connector.Setting) {
	if s.Type == connector.TypeList {
		b.lists[name] = strings.Split(s.Default, ",")
		return
	}
	b.values[name] = s.Default
	if s.Type == connector.TypeDuration {
		if d, ok := parseDuration(s.Default); ok {
			b.values[name] = d.String()
		}
	}
}

func (l *loader) setting(n *node, what, name string, s connector.Setting, b configBuild) {
	if s.Secret {
		b.secrets[name] = true
		if s.Type == connector.TypeString || s.Type == connector.TypeMap || s.Type == connector.TypeGroup {
			n = hide(n)
		}
	}
	switch s.Type {
	case connector.TypeGroup:
		if l.mapping(n, what) {
			l.settings(n, n.at, what, name+".", s.Fields, nil, b)
		}
	case connector.TypeMap:
		l.settingMap(n, what, name, s, b)
	case connector.TypeList:
		b.lists[name] = l.texts(n, what)
	case connector.TypeBool:
		b.values[name] = strconv.FormatBool(l.bool(n, what))
	case connector.TypeInt:
		if i, ok := l.whole(n, what, -1<<62); ok {
			b.values[name] = strconv.FormatInt(i, 10)
		}
	case connector.TypeDuration:
		if d := l.interval(n, what, 0); d > 0 {
			b.values[name] = d.String()
		}
	case connector.TypeSize:
		if text, ok := l.text(n, what); ok {
			if _, ok := connector.ParseSize(text); ok {
				b.values[name] = text
			} else {
				l.wrong(n, what, "a size such as 500kB, 1MiB")
			}
		}
	case connector.TypeCEL:
		if text, ok := l.raw(n, what); ok {
			l.compile(n, what, text, settingEnv(s.Vars))
			b.values[name] = text
		}
	case connector.TypeString:
		l.settingText(n, what, name, s, b)
	}
}

func (l *loader) settingText(n *node, what, name string, s connector.Setting, b configBuild) {
	if !n.scalar() {
		l.wrong(n, what, "text")
		return
	}
	hidden := n
	if n.secret != nil {
		n = n.secret
	}
	r := l.resolve(n, what)
	if r.missing {
		return
	}
	if strings.TrimSpace(r.text) == "" {
		if s.Required || s.Secret {
			l.fail(fault.ProjectValue, n.at, "reading %s: the text is empty", what).WithFix("write a value, or leave the key out")
		}
		return
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, r.text) {
		l.fail(fault.ProjectValue, n.at, "reading %s: %s is not one of %s", what, hidden.show(), words(s.Enum)).
			WithFix("%s", didYouMean(r.literal, s.Enum, "use one of %s", words(s.Enum)))
		return
	}
	b.values[name] = r.text
	if pw := dsnPassword(r.text); pw != "" {
		b.secrets[name] = true
		b.secrets[name+"#password"] = true
		b.values[name+"#password"] = pw
	}
	dsn := strings.HasSuffix(name, "dsn") || strings.Contains(r.literal, "://")
	if dsnPassword(r.literal) != "" || s.Secret && (!r.refs || r.defaults) && !dsn {
		l.secretLiteral(n.at, what)
	}
}

func (l *loader) secretLiteral(at fault.Where, what string) {
	l.warn(fault.ProjectSecret, at, "reading %s: a secret stands in the file in clear text", what)
}

var sensitive = regexp.MustCompile(`(?i)authorization|cookie|token|secret|password|passwd|api[-_]?key|credential|signature`)

// settingMap reads a map of texts. An entry is a secret when the setting is one, when its name says so, or when it comes from
// a reference: a header that is worth a reference is worth hiding.
func (l *loader) settingMap(n *node, what, name string, s connector.Setting, b configBuild) {
	if !l.mapping(n, what) {
		return
	}
	for _, p := range n.pairs {
		at := "`" + p.key + "` in " + what
		if !p.value.scalar() || p.value.kind == isNull {
			l.wrong(p.value, at, "text")
			continue
		}
		r := l.resolve(p.value, at)
		if r.missing {
			continue
		}
		b.values[name+"."+p.key] = r.text
		named := sensitive.MatchString(p.key)
		if s.Secret || named || r.refs {
			b.secrets[name+"."+p.key] = true
		}
		if named && !r.refs && r.text != "" {
			l.secretLiteral(p.value.at, at)
		}
	}
}

// hide gives a copy of a scalar that messages cannot show; secret is what it hides.
func hide(n *node) *node {
	if !n.scalar() {
		return n
	}
	h := *n
	h.text, h.secret = "[secret]", n
	return &h
}

var (
	urlPassword   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]*?:([^/?#]*)@`)
	fieldPassword = regexp.MustCompile(`(?i)(?:^|[\s;&?])(?:password|pwd)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s;&']+))`)
	mysqlPassword = regexp.MustCompile(`^[^:@/]*:(.*)@(?:[a-zA-Z]+\(|[a-zA-Z]*/|\()`)
)

// dsnPassword gives the password inside a connection string: of a URL, of key=value pairs, of user:password@tcp(host)/db; ""
// when there is none.
func dsnPassword(s string) string {
	for _, form := range []*regexp.Regexp{urlPassword, fieldPassword, mysqlPassword} {
		if m := form.FindStringSubmatch(s); m != nil {
			for _, pw := range m[1:] {
				if pw != "" {
					return pw
				}
			}
		}
	}
	return ""
}
