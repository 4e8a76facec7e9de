package deliver

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// Pauses between looks at a job.
const (
	firstPoll = time.Second
	maxPoll   = 30 * time.Second
)

// SavedJob is an asynchronous job as the journal keeps it.
type SavedJob struct {
	ID     int64
	Intent int64
	Op     connector.Op
	Job    connector.Job
	Rows   []byte // as given to Journal.SaveJob
}

// runJob submits a work as an asynchronous job and settles it when the tool is done.
func (d *Delivery) runJob(ctx context.Context, w *work) error {
	jw := d.Dest.(connector.JobWriter) //nolint:forcetypeassert // jobs() has looked
	rows, err := encodeWork(w)
	if err != nil {
		return err
	}
	saved := SavedJob{Intent: w.intent, Op: w.kind.op, Rows: rows}
	save := func(j connector.Job) error {
		saved.Job = j
		saved.ID, err = d.Journal.SaveJob(ctx, w.intent, w.kind.op, j, rows)
		return err
	}
	for n := 1; ; n++ {
		if d.halted() {
			d.Tally.Pending.Add(int64(w.batch.Len()))
			return d.Journal.Settle(ctx, w.intent)
		}
		err := jw.Submit(ctx, w.target, w.batch, save)
		if err == nil || saved.ID != 0 { // once saved, only polling tells what became of it
			return d.pollJob(ctx, jw, w, saved)
		}
		f := fault.As(err).NotLanded()
		passing := f.GetClass() == fault.ClassTransient || f.GetClass() == fault.ClassThrottled
		if passing && n < maxAttempts {
			if terr := d.circuit.trip(ctx, err); terr == nil {
				d.Tally.Retries.Add(1)
				continue
			}
		}
		d.leave(ctx, w, remains{unknown: all(w.batch.Len())}, f)
		if serr := d.Journal.Settle(ctx, w.intent); serr != nil {
			return serr
		}
		return f
	}
}

// pollJob looks at a job until it is done, then records its rows. A run that stops leaves the job to the next one.
func (d *Delivery) pollJob(ctx context.Context, jw connector.JobWriter, w *work, saved SavedJob) error {
	delay := firstPoll
	begun := time.Now()
	for {
		out := connector.NewOutcomes(w.batch.Len())
		done, err := jw.Poll(ctx, saved.Job, w.target, w.batch, out)
		switch {
		case err == nil && done:
			return d.settleJob(ctx, w, saved, out, nil)
		case fault.Is(err, fault.DestJobLost):
			return d.settleJob(ctx, w, saved, out, fault.As(err))
		case err != nil:
			f := fault.As(err)
			if c := f.GetClass(); c != fault.ClassTransient && c != fault.ClassThrottled {
				d.Tally.Unknown.Add(int64(w.batch.Len()))
				return err
			}
			if terr := d.circuit.trip(ctx, err); terr != nil {
				d.Tally.Unknown.Add(int64(w.batch.Len()))
				return terr
			}
		}
		if d.Wait > 0 && time.Since(begun) > max(d.Wait, 10*time.Minute) {
			d.Tally.Unknown.Add(int64(w.batch.Len()))
			return fault.New(fault.DestTimeout, "the job %s has not ended in time; the next run looks at it again", saved.Job.ID)
		}
		pauseFor := delay
		if saved.Job.PollAfter > 0 {
			pauseFor = saved.Job.PollAfter
		}
		if serr := d.sleep(ctx, pauseFor); serr != nil {
			d.Tally.Unknown.Add(int64(w.batch.Len()))
			return serr
		}
		delay = min(delay*3/2, maxPoll)
	}
}

// settleJob records a finished job's rows. Rows the tool did not process are sent again; rows without a word stay open.
func (d *Delivery) settleJob(ctx context.Context, w *work, saved SavedJob, out *connector.Outcomes, f *fault.Error) error {
	rest, err := d.settleMarked(ctx, w, out)
	if err != nil {
		d.Tally.Unknown.Add(int64(len(rest.retry) + len(rest.unknown)))
		return err
	}
	if err := d.Journal.CloseJob(ctx, saved.ID); err != nil {
		return err
	}
	if f == nil {
		f = fault.New(fault.DestUnknownOutcome, "the job's results say nothing about this row")
	}
	next, open, err := d.again(ctx, w, rest, f, true)
	if err != nil {
		return err
	}
	if len(rest.absent) > 0 {
		next = append(next, d.atNewPlace(w, rest.absent))
	}
	for _, part := range next {
		o, aerr := d.attempt(ctx, part)
		open = open || o
		if aerr != nil {
			return aerr
		}
	}
	if open {
		return nil
	}
	return d.Journal.Settle(ctx, saved.Intent)
}

// Resume settles jobs an earlier run left behind. It polls, it never submits.
func (d *Delivery) Resume(ctx context.Context, jobs []SavedJob) error {
	if len(jobs) == 0 {
		return nil
	}
	jw, ok := d.Dest.(connector.JobWriter)
	if !ok {
		return fault.New(fault.Internal, "%s has jobs on record and no bulk interface", d.Spec.Title)
	}
	for _, j := range jobs {
		w, err := d.decodeWork(j)
		if err != nil {
			return fault.Wrap(fault.StateCorrupt, err, "reading the rows of job %s", j.Job.ID)
		}
		if err := d.pollJob(ctx, jw, w, j); err != nil {
			return err
		}
	}
	return nil
}

// savedRow is one row of a job on disk.
type savedRow struct {
	Meta          row.Meta
	Match, Values []row.Value
	Ack           ledger.Ack
	Beside        []ledger.Ack
	Fingerprint   uint64
	Dirty         bool
}

type savedWork struct {
	Move   bool
	Match  []string
	Fields []string
	Rows   []savedRow
}

func encodeWork(w *work) ([]byte, error) {
	s := savedWork{Move: w.kind.move, Match: w.target.Match, Fields: w.target.Fields}
	for i, p := range w.rows {
		s.Rows = append(s.Rows, savedRow{
			Meta: *w.batch.Meta(i), Match: w.batch.Match(i), Values: w.batch.Values(i), Ack: p.ack, Beside: p.beside, Fingerprint: p.fingerprint, Dirty: p.dirty,
		})
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return nil, fmt.Errorf("encoding a job's rows: %w", err)
	}
	return b.Bytes(), nil
}

func (d *Delivery) decodeWork(j SavedJob) (*work, error) {
	var s savedWork
	if err := gob.NewDecoder(bytes.NewReader(j.Rows)).Decode(&s); err != nil {
		return nil, err
	}
	w := d.newWork(batchKind{op: j.Op, move: s.Move})
	w.target.Match, w.target.Fields = s.Match, s.Fields
	w.batch, w.intent = row.NewBatch(s.Match, s.Fields, len(s.Rows)), j.Intent
	for _, r := range s.Rows {
		w.batch.Add(r.Meta, r.Match, r.Values)
		r.Ack.Entry.Run = d.RunID
		w.rows = append(w.rows, pending{ack: r.Ack, beside: r.Beside, fingerprint: r.Fingerprint, dirty: r.Dirty})
	}
	return w, nil
}
