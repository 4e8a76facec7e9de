package project

import (
	"strings"
	"time"
	_ "time/tzdata" // time zones also where the system has none

	"github.com/robfig/cron/v3"

	"github.com/upwelldata/upwell/internal/fault"
)

// cronParser reads five fields and the descriptors @hourly to @yearly.
var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// schedule reads when a sync runs: exactly one kind.
func (l *loader) schedule(n *node, sync string) Schedule {
	var s Schedule
	what := of("schedule", sync)
	if n == nil || n.kind == isNull {
		return s
	}
	if n.kind == isText {
		l.wrong(n, what, "a mapping").WithFix("write {every: 1h} or {cron: \"0 6 * * *\"}")
		return s
	}
	if !l.object(n, n.at, what, scheduleKeys) {
		return s
	}
	var found []string
	for _, k := range []string{"every", "cron", "continuous", "after"} {
		if n.find(k) != nil {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		l.fail(fault.ProjectMissing, n.at, "reading %s: one of every, cron, continuous, after is missing", what).WithFix("leave `schedule` out for a manual sync")
		return s
	}
	if len(found) > 1 {
		l.fail(fault.ProjectValue, n.find(found[1]).at, "reading %s: %s exclude each other", what, words(found)).WithFix("keep exactly one of them")
		return s
	}
	l.beside(n, "timezone", "cron", found[0], what)
	l.beside(n, "min_interval", "continuous", found[0], what)
	v, at := n.find(found[0]), of(found[0], what)
	switch found[0] {
	case "every":
		s.Every = l.interval(v, at, time.Second)
	case "cron":
		s.Cron, s.Timezone = l.cron(v, at), l.timezone(n.find("timezone"), of("timezone", what))
	case "continuous":
		s.Continuous = l.bool(v, at)
		if v.kind == isBool && !s.Continuous {
			l.fail(fault.ProjectValue, v.at, "reading %s: false says nothing", at).WithFix("leave `schedule` out for a manual sync")
		}
		s.MinInterval = l.interval(n.find("min_interval"), of("min_interval", what), time.Second)
	case "after":
		l.after(&s, v, at)
	}
	return s
}

// beside reports a key that belongs to another kind of schedule.
func (l *loader) beside(n *node, key, owner, found, what string) {
	if v := n.find(key); v != nil && found != owner {
		l.fail(fault.ProjectValue, v.at, "reading %s: `%s` goes with `%s`, not with `%s`", what, key, owner, found).WithFix("remove `%s`", key)
	}
}

func (l *loader) cron(n *node, what string) string {
	text, ok := l.text(n, what)
	if !ok {
		return ""
	}
	text = strings.TrimSpace(text)
	switch {
	case strings.Contains(strings.ToUpper(text), "TZ="):
		l.fail(fault.ProjectValue, n.at, "reading %s: a time zone cannot stand in the expression", what).WithFix("use the key `timezone`")
		return ""
	case strings.HasPrefix(text, "@every"):
		l.fail(fault.ProjectValue, n.at, "reading %s: %s is an interval", what, n.show()).WithFix("write `every: %s`", strings.TrimSpace(strings.TrimPrefix(n.text, "@every")))
		return ""
	}
	parsed, err := cronParser.Parse(text)
	if err != nil {
		why := ": " + err.Error()
		if text != strings.TrimSpace(n.text) {
			why = "" // the parser quotes what a reference gave
		}
		f := l.fail(fault.ProjectValue, n.at, "reading %s: %s is no cron expression%s", what, n.show(), why).
			WithFix("write five fields: minute, hour, day of month, month, day of week")
		if len(strings.Fields(text)) == 6 {
			f.WithFix("leave out the seconds: five fields, from minute to day of week")
		}
		return ""
	}
	if parsed.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		l.fail(fault.ProjectValue, n.at, "reading %s: %s never comes", what, n.show()).WithFix("check day of month and month")
	}
	return text
}

func (l *loader) timezone(n *node, what string) string {
	name, ok := l.text(n, what)
	if !ok {
		return ""
	}
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		l.fail(fault.ProjectValue, n.at, "reading %s: %s is no time zone", what, n.show()).
			WithFix("%s", didYouMean(name, commonZones, "use a name such as UTC or Europe/Berlin"))
	}
	return name
}

// commonZones are offered as suggestions; any zone of the IANA database is accepted.
var commonZones = []string{
	"UTC", "Europe/London", "Europe/Berlin", "Europe/Paris", "Europe/Madrid", "Europe/Zurich", "America/New_York", "America/Chicago",
	"America/Denver", "America/Los_Angeles", "America/Sao_Paulo", "Asia/Tokyo", "Asia/Kolkata", "Asia/Singapore", "Asia/Shanghai", "Australia/Sydney",
}

func (l *loader) after(s *Schedule, n *node, what string) {
	if n.kind == isMap {
		if l.object(n, n.at, what, afterKeys) {
			s.AfterDBT = l.afterDBT(n.find("dbt"), of("dbt", what))
			if s.AfterDBT != "" {
				l.warn(fault.ProjectUnused, n.find("dbt").at, "reading %s: it acts under `upwell serve` only, which this version does not have", of("dbt", what)).
					WithFix("call `upwell run` after dbt, in CI or from an orchestrator")
			}
		}
		return
	}
	s.After = l.texts(n, what)
	items := []*node{n}
	if n.kind == isList {
		items = n.items
	}
	for _, item := range items {
		if item.scalar() && item.kind != isNull && item.text != "" {
			if r := l.resolve(item, what); !r.missing {
				l.refer("syncs", r.text, item, what)
			}
		}
	}
}

// afterDBT reads which run_results.json tells that dbt is done. It need not be there yet.
func (l *loader) afterDBT(n *node, what string) string {
	switch {
	case n == nil:
		return ""
	case n.kind == isBool && n.text == "true":
		return l.dbt(n.at).RunResults.Name
	case n.kind == isBool:
		l.fail(fault.ProjectValue, n.at, "reading %s: false says nothing", what).WithFix("leave `schedule` out for a manual sync")
		return ""
	}
	path, ok := l.text(n, what)
	if ok && !strings.HasSuffix(path, ".json") {
		l.fail(fault.ProjectValue, n.at, "reading %s: %s is no path of a run_results.json", what, n.show()).
			WithFix("write target/run_results.json, or true for the file that `dbt` names")
		return ""
	}
	return path
}
