package conformance

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func jobChecks() []check {
	return []check{
		{name: "jobs: nothing starts before the handle is saved", run: jobSavedFirst},
		{name: "jobs: another process finishes them", run: jobFinishedElsewhere},
		{name: "jobs: a refused row does not sink the rest", run: jobRefuses},
		{name: "jobs: a job the tool forgot is never a success", run: jobForgotten},
		{name: "jobs: an abandoned job is no error", run: jobAbandoned},
	}
}

func (s *stand) jobs() (connector.JobWriter, connector.Op) {
	s.Helper()
	w, ok := s.dest.(connector.JobWriter)
	if ok {
		for _, op := range []connector.Op{connector.OpUpsert, connector.OpInsert, connector.OpAppend} {
			if s.object.Ops[op].JobAbove > 0 {
				return w, op
			}
		}
	}
	s.Skip("the object takes no asynchronous jobs")
	return nil, ""
}

// submit hands a job in and gives the handle as it was saved: as JSON, which is how it survives.
func (s *stand) submit(records []Record) (connector.Job, connector.Target, *row.Batch) {
	s.Helper()
	w, op := s.jobs()
	to, b := s.batch(op, records)
	var saved []byte
	times := 0
	err := w.Submit(s.Context(), to, b, func(j connector.Job) (err error) {
		times++
		if got := s.world.Records(); len(got) != 0 {
			s.Errorf("the job had effects before its handle was saved: %v", got)
		}
		saved, err = json.Marshal(j)
		return err
	})
	s.hear(err)
	if err != nil || times != 1 {
		s.Fatalf("submitting: saved %d times, %v", times, err)
	}
	for name := range secretSettings(s.h.Connector.Spec) {
		if v := s.world.Settings[name]; len(v) >= 4 && json.Valid(saved) {
			s.heard = append(s.heard, string(saved))
		}
	}
	var job connector.Job
	if err := json.Unmarshal(saved, &job); err != nil {
		s.Fatal(err)
	}
	return job, to, b
}

// betweenLooks is how long the kit waits between two looks at a job of a real account.
const betweenLooks = 3 * time.Second

// poll looks until the job is done.
func (s *stand) poll(d connector.Destination, job connector.Job, to connector.Target, b *row.Batch) (*connector.Outcomes, error) {
	s.Helper()
	for range 100 {
		out := connector.NewOutcomes(b.Len())
		done, err := d.(connector.JobWriter).Poll(s.Context(), job, to, b, out) //nolint:forcetypeassert // jobs has seen that it is one
		s.hear(err)
		s.hearOutcomes(out)
		if done || err != nil {
			return out, err
		}
		for i := range out.Len() {
			if out.Marked(i) {
				s.Fatalf("row %d was marked before the job was done", i)
			}
		}
		if s.h.alive { // a stand-in's job moves on at each look, a tool's in its own time
			select {
			case <-s.Context().Done():
				s.Fatal(s.Context().Err())
			case <-time.After(betweenLooks):
			}
		}
	}
	s.Fatal("the job was not done after 100 looks")
	return nil, nil
}

func jobSavedFirst(s *stand) {
	w, op := s.jobs()
	to, b := s.batch(op, s.three())
	full := errors.New("the disk is full")
	var job connector.Job
	err := w.Submit(s.Context(), to, b, func(j connector.Job) error { job = j; return full })
	if err == nil {
		s.Error("the handle could not be saved, and Submit reports no error")
	}
	s.holds()
	out := connector.NewOutcomes(b.Len())
	if _, err := w.Poll(s.Context(), job, to, b, out); err == nil {
		for i := range out.Len() {
			if out.Result(i).Status == connector.Delivered {
				s.Errorf("row %d of a job that was thrown away is delivered", i)
			}
		}
	}
	s.holds()
}

func jobFinishedElsewhere(s *stand) {
	records := s.three()
	job, to, b := s.submit(records)
	if err := s.dest.Close(); err != nil {
		s.Error(err)
	}
	other, err := s.open(nil)
	if err != nil {
		s.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // the check is over
	out, err := s.poll(other, job, to, b)
	if err != nil {
		s.Fatal(err)
	}
	for i := range out.Len() {
		if r := out.Result(i); r.Status != connector.Delivered || r.Created == connector.No {
			s.Errorf("row %d: %+v; want delivered as new", i, r)
		}
	}
	s.holds(records...)
}

func jobRefuses(s *stand) {
	s.jobs()
	bad := func(i, _ int) bool { return i == 2 }
	records, good := s.withBad(5, bad)
	job, to, b := s.submit(records)
	out, err := s.poll(s.dest, job, to, b)
	if err != nil {
		s.Fatal(err)
	}
	results := make([]connector.Result, b.Len())
	for i := range results {
		results[i] = out.Result(i)
	}
	s.judgeBad(records, good, results, bad)
}

func jobForgotten(s *stand) {
	s.jobs()
	if s.world.Forget == nil && s.h.alive {
		s.Skip(onlyWithStandIn)
	}
	if s.world.Forget == nil {
		s.Skip("the stand-in cannot forget jobs")
	}
	job, to, b := s.submit(s.three())
	s.world.Forget()
	out, err := s.poll(s.dest, job, to, b)
	if err != nil && !fault.Is(err, fault.DestJobLost) {
		s.Errorf("got %v; want JOB_LOST, or rows without a word", err)
	}
	for i := range out.Len() {
		if out.Marked(i) {
			s.Errorf("row %d of a job nobody knows is %+v", i, out.Result(i))
		}
	}
}

func jobAbandoned(s *stand) {
	w, _ := s.jobs()
	job, _, _ := s.submit(s.three())
	for range 2 {
		if err := w.Abandon(s.Context(), job); err != nil {
			s.Errorf("abandoning: %v", err)
		}
	}
	if s.world.Forget != nil {
		s.world.Forget()
		if err := w.Abandon(s.Context(), job); err != nil {
			s.Errorf("abandoning a job the tool does not know: %v", err)
		}
	}
}
