package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// PlanResult is what a run of a sync would do.
type PlanResult struct {
	Sync       *project.Sync
	Model      *project.Model
	Summary    *plan.Summary
	Estimate   plan.Estimate
	Definition string
	Version    uint64
	MadeAt     time.Time
	Warnings   []string
	Items      []SavedItem // only when asked for
}

// SavedPlan is a plan kept in a file. It names every planned operation by a digest, so that a later run can say what differs.
type SavedPlan struct {
	Sync       string      `json:"sync"`
	Hash       string      `json:"plan_hash"`
	Definition string      `json:"definition"`
	Version    uint64      `json:"ledger_version"`
	MadeAt     time.Time   `json:"made_at"`
	Full       bool        `json:"full,omitempty"`
	Items      []SavedItem `json:"items"`
}

// SavedItem is one planned operation: key, action and a digest of what is sent.
type SavedItem struct {
	Key    []byte `json:"k"`
	Action string `json:"a"`
	Digest uint64 `json:"d"`
}

// planLife is how long a saved plan may be applied.
const planLife = 24 * time.Hour

// Plan computes what a run would do. Invariant 9: it sends nothing and changes nothing.
func (e *Engine) Plan(ctx context.Context, s *project.Sync, full, withItems bool, allow plan.Allow, tally *deliver.Tally) (res *PlanResult, err error) {
	snap, err := e.Ledger(s.Name).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	p, err := e.prepare(ctx, s, snap)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := snap.Verify(ctx); err != nil {
		return nil, err
	}
	if tally == nil {
		tally = &deliver.Tally{}
	}
	res = &PlanResult{Sync: s, Model: p.model, Definition: e.Project.DefinitionHash(s.Name), MadeAt: e.now().UTC()}
	if res.Warnings, err = p.tests(ctx); err != nil {
		return nil, err
	}
	res.Warnings = append(res.Warnings, p.otherAccount()...)
	if p.newGeneration() {
		res.Warnings = append(res.Warnings, p.generationWarning())
		next, err := p.nextGeneration(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, next.Close()) }()
	}
	p.estimates = true
	delta, cmp, err := p.read(ctx, full, nil, nil, tally)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cmp.Close()) }()
	res.Version = p.meta.Version
	planner := plan.New(p.definition(full))
	var buf []byte
	res.Summary, err = planner.Summarise(ctx, delta, allow, func(it *plan.Item) error {
		if withItems && it.Action.Sent() {
			sum, b := plan.ItemSum(it, buf)
			buf = b
			res.Items = append(res.Items, SavedItem{Key: append([]byte(nil), it.Key...), Action: it.Action.String(), Digest: sum.Lo})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res.Estimate = res.Summary.Estimate(p.dest.object, p.dest.account.Windows, e.Project.Destinations[s.Destination].Limits, p.asked(res.Summary))
	res.Estimate.SourceBytes = p.scanned
	res.Warnings = append(res.Warnings, messages(p.loose())...)
	res.Warnings = append(res.Warnings, p.doubts...)
	res.Warnings = append(res.Warnings, res.Summary.Warnings...)
	if d := p.mapping.KeyDrift(); d != "" {
		res.Warnings = append(res.Warnings, d)
	}
	res.Warnings = append(res.Warnings, pace(s, res.Estimate)...)
	return res, nil
}

// asked is how many records delivery looks up before it writes, at most: whether they exist, what they hold, what they refer to.
func (p *prepared) asked(s *plan.Summary) (n int64) {
	if p.sync.ReadBefore {
		n += s.Sent()
	}
	create, lookups := false, int64(0)
	for i := range p.mapping.Fields() {
		create = create || p.mapping.CreateOnly(i)
		if p.mapping.Lookup(i) != nil {
			lookups++
		}
	}
	if create {
		n += s.MayCreate
	}
	return n + lookups*(s.Counts.Add+s.Counts.Change)
}

const newGenerationWarning = "the match or the key changed: a new generation of the ledger starts, and nothing known under the old one is removed"

// nextGeneration makes the plan look at an empty ledger, as the run that starts the generation will.
func (p *prepared) nextGeneration(ctx context.Context) (ledger.Snapshot, error) {
	next, err := p.e.Ledger(p.sync.Name + ".next").Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	p.forgetTool()
	return next, p.restart(next)
}

// restart compiles the mapping against an empty ledger.
func (p *prepared) restart(snap ledger.Snapshot) error {
	p.snap, p.meta, p.renewed = snap, snap.Meta(), true
	p.spec.Seed, p.spec.KeyKinds = p.meta.Seed, nil
	m, faults := mapping.Compile(p.spec)
	if len(faults) > 0 {
		return faults
	}
	p.mapping = m
	return nil
}

// pace warns when a plan cannot be delivered within the sync's interval.
func pace(s *project.Sync, e plan.Estimate) []string {
	every := s.Schedule.Every.Seconds()
	if every == 0 || e.Seconds <= every/2 {
		return nil
	}
	return []string{fmt.Sprintf("delivering takes about %.0f s of the interval of %.0f s", e.Seconds, every)}
}

// Save gives the plan in the form a file keeps.
func (r *PlanResult) Save(full bool) SavedPlan {
	return SavedPlan{
		Sync: r.Sync.Name, Hash: r.Summary.Hash, Definition: r.Definition, Version: r.Version, MadeAt: r.MadeAt, Full: full, Items: r.Items,
	}
}

// planCheck compares a saved plan with the one just made.
type planCheck struct {
	saved *SavedPlan
	known map[string]SavedItem
	diffs []string
	buf   []byte
}

const namedDiffs = 10

func newPlanCheck(s *SavedPlan) *planCheck {
	c := &planCheck{saved: s}
	if s != nil {
		c.known = make(map[string]SavedItem, len(s.Items))
		for _, it := range s.Items {
			c.known[string(it.Key)] = it
		}
	}
	return c
}

func (c *planCheck) see(it *plan.Item) {
	if c.saved == nil || !it.Action.Sent() {
		return
	}
	sum, b := plan.ItemSum(it, c.buf)
	c.buf = b
	was, ok := c.known[string(it.Key)]
	delete(c.known, string(it.Key))
	switch {
	case !ok:
		c.differ(it.Key, "is now planned as "+it.Action.String())
	case was.Action != it.Action.String():
		c.differ(it.Key, "was "+was.Action+" and is now "+it.Action.String())
	case was.Digest != sum.Lo:
		c.differ(it.Key, "has other values now")
	}
}

func (c *planCheck) differ(key []byte, what string) {
	c.diffs = append(c.diffs, KeyText(key)+" "+what)
}

// verdict refuses a plan that no longer describes what would happen.
func (c *planCheck) verdict(sync, hash, definition string, version uint64, now time.Time) error {
	s := c.saved
	switch {
	case s == nil:
		return nil
	case s.Sync != sync:
		return fault.New(fault.PlanStale, "the plan is for %s, not for %s", s.Sync, sync)
	case now.Sub(s.MadeAt) > planLife:
		return fault.New(fault.PlanStale, "the plan was made %s ago; plans are good for 24 h", now.Sub(s.MadeAt).Round(time.Minute))
	case s.Definition != definition:
		return fault.New(fault.PlanStale, "the definitions of %s have changed since the plan was made", sync)
	case s.Version != version:
		return fault.New(fault.PlanStale, "another run of %s has completed since the plan was made", sync)
	case s.Hash == hash:
		return nil
	}
	for k, was := range c.known {
		c.differ([]byte(k), "was planned as "+was.Action+" and is no longer")
	}
	more := ""
	if n := len(c.diffs); n > namedDiffs {
		more = fmt.Sprintf(" and %d more", n-namedDiffs)
		c.diffs = c.diffs[:namedDiffs]
	}
	return fault.New(fault.PlanStale, "the source has changed since the plan was made: %s%s", strings.Join(c.diffs, "; "), more)
}

// KeyText gives a canonical key as people write it: the value, or values separated by commas.
func KeyText(key []byte) string {
	vals, err := row.ParseKey(key)
	if err != nil {
		return fmt.Sprintf("%x", key)
	}
	parts := make([]string, len(vals))
	for i, v := range vals {
		parts[i] = v.String()
	}
	return strings.Join(parts, ",")
}

func keyBytes(vals []row.Value) []byte { return row.AppendKey(nil, vals...) }

// ParsePlans reads a plan file.
func ParsePlans(b []byte) (map[string]*SavedPlan, error) {
	var doc struct {
		SchemaVersion int         `json:"schema_version"`
		Saved         []SavedPlan `json:"saved_plans"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fault.Wrap(fault.UsageUnknown, err, "reading the plan file").WithFix("make it with `upwell plan --out FILE`")
	}
	if doc.SchemaVersion != 1 || len(doc.Saved) == 0 {
		return nil, fault.New(fault.UsageUnknown, "the file holds no plan").WithFix("make it with `upwell plan --out FILE`")
	}
	out := map[string]*SavedPlan{}
	for i := range doc.Saved {
		out[doc.Saved[i].Sync] = &doc.Saved[i]
	}
	return out, nil
}
