package plan

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Counts are the rows of a plan. read = invalid + unchanged + waiting + add + change (Invariant 6, first half).
type Counts struct {
	Read      int64 `json:"read"`
	Invalid   int64 `json:"invalid"`
	Unchanged int64 `json:"unchanged"`
	Waiting   int64 `json:"waiting"`
	Add       int64 `json:"add"`
	Change    int64 `json:"change"`
	Remove    int64 `json:"remove"`
}

// Balanced reports whether every row read is accounted for.
func (c Counts) Balanced() bool {
	return c.Read == c.Invalid+c.Unchanged+c.Waiting+c.Add+c.Change
}

// Sample is one planned operation with old and new values.
type Sample struct {
	Action  Action
	Key     []row.Value
	Names   []string
	Old     []row.Value
	New     []row.Value
	Invalid *ledger.Invalid
}

// Estimate is what a plan costs.
type Estimate struct {
	// SourceBytes is what the warehouse says reading the model scans; 0 where it does not say.
	SourceBytes     int64   `json:"source_bytes,omitempty"`
	Requests        int64   `json:"requests"`
	Seconds         float64 `json:"seconds"`
	DailyQuotaShare float64 `json:"daily_quota_share"`
}

// Summary is a computed plan.
type Summary struct {
	Counts    Counts
	InvalidBy map[fault.Code]int64
	NullKeys  int64
	ByOp      map[connector.Op]int64
	Bytes     map[connector.Op]int64 // estimated encoded bytes
	Records   int64                  // ledger keys the guards measure against
	Guards    []Guard
	Samples   []Sample
	Refusals  []Sample // invalid rows, a sample per code
	Hash      string
	Remapped  bool
	Moves     int64
	MayCreate int64 // sent rows whose record may be new to the tool
	Creates   int64 // changed matches that leave the old record behind
	Facts     Facts
	DirtyRows int64
	Warnings  []string

	parts []partCount // while counting
}

// Part is a set of planned rows that delivery sends together.
type Part struct {
	Op    connector.Op
	Move  bool // the record's identity changes
	Dirty bool // an earlier outcome is open, of this key or of another one at the same record
}

// Facts spare delivery walks over the plan: which parts it has, how many items need recording without a request, and how many
// rows of the read are not sent.
type Facts struct {
	Parts  map[Part]int64
	Unsent int64
	Others int64
	Vacate int64 // records that another key takes over, and those noted
	Left   int64 // records left behind that are removed when their keys were delivered elsewhere
	Moved  int64 // records that are removed where an open request may have moved them
	Held   bool  // a guard holds something back
}

// PartOf gives the part a sent item belongs to.
func PartOf(it *Item) Part { return Part{Op: it.Op, Move: it.Move != nil, Dirty: it.Dirty || it.Late} }

const (
	samplesPerAction = 20
	samplesPerCode   = 100
)

// Allow lifts guards: removed, changed, empty.
type Allow map[string]bool

// Summarise walks the delta once: counts, samples, hash, guards. each may be nil; it sees every item.
func (p *Planner) Summarise(ctx context.Context, delta ledger.Delta, allow Allow, each func(*Item) error) (*Summary, error) {
	g := p.gathering(each)
	if err := g.all(p.Walk(ctx, delta)); err != nil {
		return nil, err
	}
	return g.summary(delta.Counts(), allow)
}

// SummariseItems is Summarise for operations that do not come from a read (undo): each of them stands for a row read.
func (p *Planner) SummariseItems(items iter.Seq2[*Item, error], allow Allow) (*Summary, error) {
	g := p.gathering(nil)
	if err := g.all(items); err != nil {
		return nil, err
	}
	s := g.total()
	s.Counts.Read = s.Counts.Add + s.Counts.Change
	s.NullKeys = p.d.Meta.NullKeys
	for _, g := range p.guards(s, allow) {
		if g.Guard != "allow_empty" { // nothing was read, so an empty read proves nothing
			s.Guards = append(s.Guards, g)
		}
	}
	s.Facts.Held = len(s.Held()) > 0
	return s, nil
}

// gathering counts, samples and hashes items.
type gathering struct {
	p     *Planner
	s     *Summary
	hash  *hasher
	taken taken
	each  func(*Item) error
}

func (p *Planner) gathering(each func(*Item) error) *gathering {
	return &gathering{p: p, each: each, hash: newHasher(p.d.Hash, p.d.Meta.Version), s: &Summary{
		InvalidBy: map[fault.Code]int64{}, ByOp: map[connector.Op]int64{}, Bytes: map[connector.Op]int64{},
		Records: p.d.Meta.Rows,
	}}
}

func (g *gathering) all(items iter.Seq2[*Item, error]) error {
	for it, err := range items {
		if err != nil {
			return err
		}
		g.s.sample(g.p, it, &g.taken)
		if err := g.add(it); err != nil {
			return err
		}
	}
	return nil
}

// add takes an item, but for the samples.
func (g *gathering) add(it *Item) error {
	g.s.count(it)
	if it.Action.Sent() {
		g.hash.add(it)
	}
	if g.each == nil {
		return nil
	}
	return g.each(it)
}

func (g *gathering) total() *Summary {
	g.s.Hash = g.hash.sum()
	g.s.total()
	return g.s
}

// summary judges what was gathered of a read.
func (g *gathering) summary(read ledger.ReadCounts, allow Allow) (*Summary, error) {
	s := g.total()
	s.Counts.Read, s.NullKeys, s.Remapped = read.Read, read.NullKeys, g.p.remapped
	s.Counts.Unchanged += read.Unchanged
	for code, n := range read.Invalid {
		s.InvalidBy[code] += n
		s.Counts.Invalid += n
	}
	s.Guards = g.p.guards(s, allow)
	s.Facts.Held = len(s.Held()) > 0
	s.Warnings = g.p.warnings(s)
	if !s.Counts.Balanced() { // Invariant 6: every row read is accounted for
		return nil, fault.New(fault.AccountingBroken, "planning: read %d != invalid %d + unchanged %d + waiting %d + add %d + change %d",
			s.Counts.Read, s.Counts.Invalid, s.Counts.Unchanged, s.Counts.Waiting, s.Counts.Add, s.Counts.Change)
	}
	return s, nil
}

// partCount is what is counted of a part. A plan has few, and looking one up in a map for every row costs more than the row.
type partCount struct {
	part        Part
	rows, bytes int64
}

func (s *Summary) part(it *Item) *partCount {
	p := PartOf(it)
	for i := range s.parts {
		if s.parts[i].part == p {
			return &s.parts[i]
		}
	}
	s.parts = append(s.parts, partCount{part: p})
	return &s.parts[len(s.parts)-1]
}

// total fills the maps from the parts.
func (s *Summary) total() {
	for _, p := range s.parts {
		if s.Facts.Parts == nil {
			s.Facts.Parts = map[Part]int64{}
		}
		s.Facts.Parts[p.part] += p.rows
		s.ByOp[p.part.Op] += p.rows
		s.Bytes[p.part.Op] += p.bytes
	}
	s.parts = nil
}

func (s *Summary) count(it *Item) {
	c := &s.Counts
	if it.Vacates || it.Action == Note {
		s.Facts.Vacate++
	}
	if it.AwaitsOwner() {
		s.Facts.Left++
		s.Creates--
	}
	if it.MayHaveMoved() {
		s.Facts.Moved++
	}
	switch it.Action {
	case Add:
		c.Add++
	case Change:
		c.Change++
	case Remove:
		c.Remove++
	case Waiting:
		c.Waiting++
	case Unchanged, Adopt:
		if it.New != nil || it.Old != nil {
			c.Unchanged++
		}
	case Invalid:
		if it.New != nil && it.New.Invalid == nil { // refused by the planner, not counted by the delta
			c.Invalid++
			s.InvalidBy[it.Invalid.Code]++
		}
	case None, Leave, Forget, Note:
	}
	if !it.Action.Sent() {
		s.Facts.Unsent++
		if it.New != nil {
			s.Facts.Others++
		}
		return
	}
	part := s.part(it)
	part.rows++
	for i := range it.Values {
		if v := &it.Values[i]; !v.IsAbsent() {
			part.bytes += int64(len(v.Str())) + 24
		}
	}
	if it.Move != nil {
		s.Moves++
	}
	if it.MayCreate {
		s.MayCreate++
	}
	if it.Dirty {
		s.DirtyRows++
	}
	if it.Action == Change && it.Anew() && it.Old.State != ledger.Missed && !it.Vacates {
		s.Creates++
	}
}

// taken counts the samples there are.
type taken struct {
	byAction [Adopt + 1]int
	byCode   map[fault.Code]int
}

func (s *Summary) sample(p *Planner, it *Item, taken *taken) {
	switch {
	case it.Action == Invalid:
		if taken.byCode == nil {
			taken.byCode = map[fault.Code]int{}
		}
		if taken.byCode[it.Invalid.Code]++; taken.byCode[it.Invalid.Code] <= samplesPerCode {
			key, _ := row.ParseKey(it.Key) //nolint:errcheck // a sample shows what can be shown
			s.Refusals = append(s.Refusals, Sample{Action: Invalid, Key: key, Invalid: it.Invalid})
		}
	case it.Action.Sent():
		if taken.byAction[it.Action]++; taken.byAction[it.Action] <= samplesPerAction {
			s.Samples = append(s.Samples, p.Sample(it))
		}
	}
}

// Sample copies an item into a sample with old and new value per field sent.
func (p *Planner) Sample(it *Item) Sample {
	key, _ := row.ParseKey(it.Key) //nolint:errcheck // keys were made by AppendKey
	out := Sample{Action: it.Action, Key: key}
	old := func(i int) row.Value {
		if it.Old == nil {
			return row.NullValue()
		}
		p.align(it.Old.Fields)
		if j := p.positions[i]; j >= 0 && !it.Old.Values[j].IsAbsent() {
			return it.Old.Values[j]
		}
		return row.NullValue()
	}
	for i, m := range it.Move {
		out.Names = append(out.Names, p.d.MatchFields[i])
		out.Old = append(out.Old, it.Match[i])
		out.New = append(out.New, m)
	}
	for i, f := range p.d.Fields {
		var v row.Value
		if it.Action == Remove {
			if v = old(i); v.IsNull() {
				continue
			}
			out.Names, out.Old, out.New = append(out.Names, f), append(out.Old, v), append(out.New, row.NullValue())
			continue
		}
		if v = it.Values[i]; v.IsAbsent() {
			continue
		}
		if o := old(i); it.Old == nil || !o.Equal(v) || it.Dirty || p.d.Full {
			out.Names, out.Old, out.New = append(out.Names, f), append(out.Old, o), append(out.New, v)
		}
	}
	return out
}

func (p *Planner) warnings(s *Summary) []string {
	var w []string
	if p.d.NoRemovals != "" && (p.d.Sync.Removed != connector.RemovedKeep) {
		w = append(w, "removals are off: "+p.d.NoRemovals)
	}
	if s.Creates > 0 {
		w = append(w, fmt.Sprintf("%d records changed their identity: new records are created and the old ones are left in the tool", s.Creates))
	}
	if s.DirtyRows > 0 {
		w = append(w, fmt.Sprintf("%d records have an open outcome from an earlier run and are sent in full", s.DirtyRows))
	}
	return w
}

// Sent is the number of rows the plan sends.
func (s *Summary) Sent() int64 { return s.Counts.Add + s.Counts.Change + s.Counts.Remove }

// Estimate says what delivering the counts costs within the declared limits. asked is how many records the tool is asked for
// before rows are written.
func (s *Summary) Estimate(obj connector.Object, windows []connector.Window, lim project.Limits, asked int64) Estimate {
	var e Estimate
	if asked > 0 && obj.ReadBatch > 0 {
		e.Requests = int64(math.Ceil(float64(asked) / float64(obj.ReadBatch)))
		e.Seconds = float64(e.Requests) * 0.1
	}
	for op, n := range s.ByOp {
		o := obj.Ops[op]
		size := max(1, o.MaxRows)
		if o.JobAbove > 0 && n >= int64(o.JobAbove) {
			jobs := int64(math.Ceil(float64(n) / float64(max(1, o.JobRows))))
			e.Requests += jobs * 6 // create, upload, close, poll, two result files
			e.Seconds += float64(jobs) * 10
			continue
		}
		requests := int64(math.Ceil(float64(n) / float64(size)))
		if o.MaxBytes > 0 {
			requests = max(requests, int64(math.Ceil(float64(s.Bytes[op])/float64(o.MaxBytes))))
		}
		workers := max(1, o.Concurrency)
		if lim.Concurrency > 0 {
			workers = min(workers, lim.Concurrency)
		}
		e.Requests += requests
		e.Seconds += math.Ceil(float64(requests)/float64(workers)) * 0.2
	}
	for _, w := range windows {
		if w.Requests <= 0 {
			continue
		}
		if w.Per >= 24*time.Hour {
			e.DailyQuotaShare = max(e.DailyQuotaShare, float64(e.Requests)/float64(w.Requests))
			continue
		}
		e.Seconds = max(e.Seconds, float64(e.Requests)*w.Per.Seconds()/float64(w.Requests))
	}
	if lim.RequestsPerSecond > 0 {
		e.Seconds = max(e.Seconds, float64(e.Requests)/lim.RequestsPerSecond)
	}
	return e
}
