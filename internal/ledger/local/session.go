package local

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
)

// session is a run's write access. After the first failed write it is dead: what a failed sync left behind is not known, and
// trying again would hide it.
type session struct {
	h    *home
	run  string
	snap *snapshot
	base *manifest

	mu     sync.Mutex
	done   sync.Cond // a group has been committed, a segment written, or the session died
	dead   error
	over   bool // published or closed
	lists  lists
	shape  []string // fields of the last entry
	fields []string // of all entries
	table  *builder
	idle   *builder      // an empty table whose memory is used again
	next   atomic.Uint64 // number of the next file
	merged int           // segments at the start of segs that are merged ones
	segs   []segmentRef
	hist   []fileRef
	frozen bool // a full table is being written
	// gathers: entries come from another home, so the first load may hold several with one match
	gathers bool

	log     *logFile
	logFrom uint64 // first log that is not covered by segments
	queue   []byte // records of the group that gathers
	spare   []byte
	group   uint64 // number of the group that gathers
	stored  uint64 // groups below this are durable
	leading bool   // a caller is committing
	workers sync.WaitGroup
}

func (h *home) session(run string) (*session, error) {
	snap, err := h.snapshot()
	if err != nil {
		return nil, err
	}
	s := &session{h: h, run: run, snap: snap, base: snap.s.m, table: &builder{}}
	s.next.Store(snap.s.m.Next)
	s.done.L = &s.mu
	// The first log is made at once: a folder that cannot be written stops the run before a request is sent.
	if err := s.openLog(); err != nil {
		discard(snap)
		return nil, err
	}
	s.logFrom = s.log.number
	return s, nil
}

func (s *session) Snapshot() ledger.Snapshot { return s.snap }

func (s *session) openLog() error {
	l, err := createLog(s.h.opts.disk, s.h.dir, s.base.Meta.Version, s.take(), s.run)
	if err != nil {
		return err
	}
	s.log = l
	return nil
}

func (s *session) Ack(_ context.Context, acks []ledger.Ack, durable bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range acks {
		if err := s.makeRoom(); err != nil {
			return err
		}
		s.add(&acks[i], durable)
	}
	if !durable || len(acks) == 0 {
		return nil
	}
	return s.commit(s.group)
}

// makeRoom hands a full table to a writer; it waits while another one is being written.
func (s *session) makeRoom() error {
	for {
		switch {
		case s.dead != nil:
			return s.dead
		case s.over:
			return fault.New(fault.Internal, "acknowledging rows after the ledger was published")
		case s.table.bytes() < s.h.opts.TableBytes:
			return nil
		case s.frozen || s.leading:
			s.done.Wait()
		case len(s.queue) > 0:
			// What gathers is written first: a log is closed between groups.
			if err := s.commit(s.group); err != nil {
				return err
			}
		default:
			return s.freeze()
		}
	}
}

// freeze starts a new table and a new log, and writes the old table beside.
func (s *session) freeze() error {
	full, old := s.table, s.log
	job := s.job(full)
	if old.frames > 0 {
		if err := s.openLog(); err != nil {
			return s.die(err)
		}
		if err := old.to.Close(); err != nil {
			return s.die(unusable(err, "closing ledger file %s", old.name))
		}
	}
	live := s.log.number
	s.table, s.idle = s.idle, nil
	if s.table == nil {
		s.table = &builder{}
	}
	s.frozen = true
	s.workers.Go(func() {
		err := job.write()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			err = s.adopt(job, live)
		}
		if err == nil && len(s.segs)-s.merged >= sessionSegments {
			err = s.tidy()
		}
		if err != nil && s.die(err) != nil {
			full = nil // the session is dead, nothing is put into a table any more
		} else {
			full.reset()
		}
		s.frozen, s.idle = false, full
		s.done.Broadcast()
	})
	return nil
}

// die ends the session's writing for good.
func (s *session) die(err error) error {
	if s.dead == nil {
		s.dead = err
	}
	s.done.Broadcast()
	return s.dead
}

// add puts an acknowledgement into the table, and into the group that gathers.
func (s *session) add(a *ledger.Ack, durable bool) {
	key := a.Entry.Key
	hash, flags := keyHash(s.base.Meta.Seed, key), byte(0)
	t := s.table
	if !a.HistOnly {
		flags |= ackHead
		t.entries.put(hash, key, func(b []byte) []byte {
			if a.Delete {
				var head [entryHead]byte
				head[entryHead-1] = tombstone
				return append(b, head[:]...)
			}
			return appendEntry(appendEntryHead(b, &a.Entry), &a.Entry, &s.lists)
		})
		if f := a.Entry.Fields; !a.Delete && !slices.Equal(f, s.shape) {
			s.shape, s.fields = f, union(s.fields, f)
		}
		t.matches = t.matches || a.Entry.MatchID != nil
	}
	h, told, recorded := historyOf(a, s.run)
	if recorded {
		flags |= ackHistory
		t.history.put(hash, key, func(b []byte) []byte { return appendHistory(b, &h, told, &s.lists) })
	}
	if !durable {
		return
	}
	for ; s.log.lists < len(s.lists.all); s.log.lists++ {
		s.queue = binary.AppendUvarint(append(s.queue, recordList), uint64(s.log.lists))
		s.queue = packed.AppendStrings(s.queue, s.lists.all[s.log.lists])
	}
	s.queue = packed.AppendBytes(append(s.queue, recordAck, flags), key)
	if !a.HistOnly {
		s.queue = packed.AppendBytes(s.queue, t.entries.body(t.entries.refs[len(t.entries.refs)-1]))
	}
	if recorded {
		s.queue = packed.AppendBytes(s.queue, t.history.body(t.history.refs[len(t.history.refs)-1]))
	}
}

// commit returns when the group is durable. The first caller to find nobody committing writes for all that wait.
func (s *session) commit(group uint64) error {
	for s.stored <= group && s.dead == nil {
		if s.leading {
			s.done.Wait()
			continue
		}
		s.leading = true
		records, l, now := s.queue, s.log, s.group
		s.queue, s.spare = s.spare[:0], nil
		s.group++
		s.mu.Unlock()
		failpoint.Hit(failpoint.AckBuffered)
		err := l.append(s.h.opts.disk, s.h.dir, records)
		s.mu.Lock()
		s.leading, s.spare = false, records[:0]
		if err != nil {
			return s.die(err)
		}
		failpoint.Hit(failpoint.AckDurable)
		s.stored = now + 1
		s.done.Broadcast()
	}
	if s.stored > group {
		return nil
	}
	return s.dead
}

// take gives the number of the next file.
func (s *session) take() uint64 {
	return s.next.Add(1) - 1
}

// job writes one table as files.
type job struct {
	s     *session
	from  *builder
	tail  []byte
	stem  string
	match bool
	seg   *segmentRef
	hist  *fileRef
}

func (s *session) job(from *builder) *job {
	j := &job{s: s, from: from, tail: s.lists.encode(nil, 0), match: from.matches}
	j.stem = fmt.Sprintf("%016x", s.take())
	return j
}

func (j *job) write() error {
	d, dir := j.s.h.opts.disk, j.s.h.dir
	scratch := j.from.entries.sort(nil)
	if len(j.from.entries.refs) > 0 {
		ref, err := writeArena(d, filepath.Join(dir, j.stem+".seg"), kindEntries, &j.from.entries, j.tail, true)
		if err != nil {
			return err
		}
		j.seg = &segmentRef{fileRef: ref, Matches: j.match}
	}
	j.from.history.sort(scratch)
	if len(j.from.history.refs) > 0 {
		ref, err := writeArena(d, filepath.Join(dir, j.stem+".hist"), kindHistory, &j.from.history, j.tail, false)
		if err != nil {
			return err
		}
		j.hist = &ref
	}
	return nil
}

// writeArena writes sorted rows; with last only the last of equal keys.
func writeArena(d disk, path string, kind tableKind, a *arena, tail []byte, last bool) (fileRef, error) {
	w, err := createTable(d, path, kind)
	if err != nil {
		return fileRef{}, err
	}
	n := kind.headLen()
	for i, r := range a.refs {
		if last && i+1 < len(a.refs) && a.refs[i+1].hash == r.hash && string(a.key(a.refs[i+1])) == string(a.key(r)) {
			continue
		}
		body := a.body(r)
		w.add(r.hash, a.key(r), body[:n], body[n:])
	}
	return w.finish(tail)
}

// adopt counts a written table as the session's. When a log is involved the files must be known before the log goes.
func (s *session) adopt(j *job, live uint64) error {
	if j.seg != nil {
		s.segs = append(s.segs, *j.seg)
	}
	if j.hist != nil {
		s.hist = append(s.hist, *j.hist)
	}
	if live == s.logFrom {
		return nil
	}
	d, dir := s.h.opts.disk, s.h.dir
	if err := d.syncDir(dir); err != nil {
		return unusable(err, "syncing the ledger folder")
	}
	p := &pending{Format: Format, Base: s.base.Meta.Version, Run: s.run, Next: s.next.Load(), Log: live, Segments: s.segs, History: s.hist}
	if err := replaceSealed(d, filepath.Join(dir, pendingName), p); err != nil {
		return err
	}
	for ; s.logFrom < live; s.logFrom++ {
		if err := d.remove(filepath.Join(dir, logName(s.logFrom))); err != nil {
			return unusable(err, "removing a log that is not needed any more")
		}
	}
	return nil
}

// sessionSegments is how many segments a session makes before it merges them: a first sync of any size ends with few.
const sessionSegments = 24

// tidy merges the session's newest segments. The files merged stay until the next sweep, as PENDING may name them.
func (s *session) tidy() error {
	refs := slices.Clone(s.segs[s.merged:])
	s.mu.Unlock()
	merged, err := s.compact(context.Background(), refs, nil, false)
	s.mu.Lock()
	if err != nil {
		return err
	}
	s.segs = append(s.segs[:s.merged:s.merged], merged)
	s.merged++
	return nil
}

// Close leaves durable acknowledgements to the next Begin.
func (s *session) Close() error {
	s.mu.Lock()
	for s.leading || s.frozen {
		s.done.Wait()
	}
	s.over = true
	log := s.log
	s.log = nil
	s.mu.Unlock()
	s.workers.Wait()
	var err error
	if log != nil {
		err = unusable(log.to.Close(), "closing ledger file %s", log.name)
		if err == nil && log.frames == 0 {
			err = unusable(s.h.opts.disk.remove(filepath.Join(s.h.dir, log.name)), "removing an empty log")
		}
	}
	if cerr := s.snap.Close(); err == nil {
		err = cerr
	}
	return err
}
