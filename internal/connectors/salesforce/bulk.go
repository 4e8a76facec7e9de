package salesforce

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	// uploadTimeout is for the upload alone: nothing runs before the job is closed, so a slow one delays nobody.
	uploadTimeout = 10 * time.Minute
	resultTimeout = 10 * time.Minute
	pollAfter     = 2 * time.Second
	// nothingToDo is the id of a job that was never made because no row could be written.
	nothingToDo = "none"
)

// ingestJob is what GET /jobs/ingest/ID tells
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-info.html).
type ingestJob struct {
	ID           string `json:"id"`
	State        string `json:"state"`
	Processed    int    `json:"numberRecordsProcessed"`
	Failed       int    `json:"numberRecordsFailed"`
	ErrorMessage string `json:"errorMessage"`
}

// Submit makes an ingest job in the four steps of Bulk API 2.0: create, save the handle, upload, close. Nothing runs before the
// last (https://developer.salesforce.com/docs/platform/api-asynch/guide/create-job.html). An open job takes a slot of the org,
// so one that comes to nothing is aborted.
func (d *Destination) Submit(ctx context.Context, to connector.Target, rows *row.Batch, save func(connector.Job) error) error {
	if rows.Len() == 0 {
		return nil
	}
	if err := usable(&to); err != nil {
		return err
	}
	l := plan(&to, rows)
	body, lines := l.table(rows)
	data := map[string]string{"rows": strconv.Itoa(rows.Len()), "lines": strconv.Itoa(lines), "op": string(to.Op)}
	if lines == 0 {
		return save(connector.Job{ID: nothingToDo, Data: data})
	}
	if len(body) > maxJobBytes {
		return fault.New(fault.DestRefused, "a job of %d bytes is larger than Salesforce takes", len(body)).NotLanded()
	}
	job, err := d.create(ctx, &to)
	if err != nil {
		return notLanded(err)
	}
	handle := connector.Job{ID: job.ID, Data: data, PollAfter: pollAfter}
	if err := save(handle); err != nil {
		d.discard(ctx, handle)
		return err
	}
	_, err = d.do(ctx, httpkit.Request{
		Method: http.MethodPut, Path: d.jobPath(job.ID) + "/batches", Body: body, ContentType: "text/csv", Timeout: uploadTimeout,
	})
	if err != nil {
		d.discard(ctx, handle)
		return notLanded(err)
	}
	_, err = d.do(ctx, d.change(job.ID, "UploadComplete"))
	if f := fault.As(err); f != nil && f.Landed == fault.LandedNo {
		d.discard(ctx, handle)
	}
	return err
}

// notLanded says of an error before the job was closed that no record was touched.
func notLanded(err error) error {
	f := *fault.As(err)
	return f.NotLanded()
}

func (d *Destination) jobPath(id string) string { return d.data + "/jobs/ingest/" + id }

func (d *Destination) change(id, state string) httpkit.Request {
	return httpkit.Request{Method: http.MethodPatch, Path: d.jobPath(id), ContentType: "application/json", Body: []byte(`{"state":"` + state + `"}`)}
}

func (d *Destination) create(ctx context.Context, to *connector.Target) (ingestJob, error) {
	want := struct {
		Object      string `json:"object"`
		Operation   string `json:"operation"`
		ExternalID  string `json:"externalIdFieldName,omitempty"`
		ContentType string `json:"contentType"`
		LineEnding  string `json:"lineEnding"`
		Delimiter   string `json:"columnDelimiter"`
	}{Object: to.Object.Name, Operation: string(to.Op), ContentType: "CSV", LineEnding: "LF", Delimiter: "COMMA"}
	switch to.Op {
	case connector.OpUpsert:
		want.ExternalID = to.Match[0]
	case connector.OpClear:
		want.Operation = "update"
	case connector.OpInsert, connector.OpUpdate, connector.OpDelete:
	default:
		return ingestJob{}, fault.New(fault.Internal, "salesforce does not offer %s", to.Op).NotLanded()
	}
	body, err := json.Marshal(want)
	if err != nil {
		return ingestJob{}, fault.Wrap(fault.Internal, err, "describing a job").NotLanded()
	}
	resp, err := d.do(ctx, httpkit.Request{Method: http.MethodPost, Path: d.data + "/jobs/ingest", Body: body, ContentType: "application/json"})
	if err != nil {
		return ingestJob{}, err
	}
	var job ingestJob
	if err := d.client.JSON(resp, &job); err != nil {
		return ingestJob{}, err
	}
	if checkID(job.ID) != nil {
		return ingestJob{}, fault.New(fault.DestAnswer, "%s: the answer names no job", resp.Call)
	}
	return job, nil
}

// table encodes the rows as CSV and counts the lines; rows that cannot be written are left out, Poll rejects them.
func (l *layout) table(rows *row.Batch) ([]byte, int) {
	b := l.header(make([]byte, 0, 128*rows.Len()))
	lines := 0
	for i := range rows.Len() {
		start := len(b)
		grown, _, bad := l.line(b, rows, i)
		if bad != nil {
			b = grown[:start]
			continue
		}
		b = grown
		lines++
	}
	return b, lines
}

// discard aborts a job that is not to run, also when ctx has ended. Should it fail, the job stays open and does nothing.
func (d *Destination) discard(ctx context.Context, job connector.Job) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	_ = d.Abandon(ctx, job) //nolint:errcheck // an open job does nothing; the error that led here is the one to report
}

// Abandon aborts a job. One that ended, or that Salesforce no longer knows, is no error.
func (d *Destination) Abandon(ctx context.Context, job connector.Job) error {
	if job.ID == nothingToDo {
		return nil
	}
	resp, err := d.do(ctx, d.change(job.ID, "Aborted"))
	if err != nil && resp != nil && (resp.Status == http.StatusNotFound || resp.Status == http.StatusBadRequest) {
		return nil
	}
	return err
}

// Poll looks at a job once. A job found open was never closed: it is aborted, and its rows were certainly not attempted.
func (d *Destination) Poll(ctx context.Context, job connector.Job, to connector.Target, rows *row.Batch, out *connector.Outcomes) (bool, error) {
	if n, err := strconv.Atoi(job.Data["rows"]); err == nil && n != rows.Len() {
		return true, fault.New(fault.Internal, "the job was made of %d rows, not of %d", n, rows.Len())
	}
	r := newResults(d, &to, rows)
	if job.ID == nothingToDo {
		r.settle(out, false)
		return true, nil
	}
	resp, err := d.do(ctx, httpkit.Request{Path: d.jobPath(job.ID)})
	if err != nil {
		if resp != nil && resp.Status == http.StatusNotFound {
			return true, lost(job)
		}
		return false, err
	}
	var state ingestJob
	if err := d.client.JSON(resp, &state); err != nil {
		return false, err
	}
	out.Response = state.State + ": " + strconv.Itoa(state.Processed) + " processed, " + strconv.Itoa(state.Failed) + " failed"
	switch state.State {
	case "Open":
		return d.neverClosed(ctx, job, r, out)
	case "UploadComplete", "InProgress":
		return false, nil
	case "JobComplete", "Failed", "Aborted":
	default:
		return false, fault.New(fault.DestAnswer, "%s: the job is in a state unknown here: %q", resp.Call, state.State)
	}
	names := []string{"successfulResults", "failedResults"}
	if state.State != "JobComplete" {
		names = append(names, "unprocessedrecords")
	}
	for _, name := range names {
		if err := r.read(ctx, job, name); err != nil {
			if fault.Is(err, fault.DestObjectMissing) {
				return true, lost(job)
			}
			return false, err
		}
	}
	r.settle(out, state.State != "JobComplete" && state.Processed == 0 && r.silent())
	return true, d.verdict(&state)
}

func (d *Destination) neverClosed(ctx context.Context, job connector.Job, r *results, out *connector.Outcomes) (bool, error) {
	if _, err := d.do(ctx, d.change(job.ID, "Aborted")); err != nil {
		return false, err // it may have been closed meanwhile: the next look tells
	}
	r.settle(out, true)
	return true, nil
}

func lost(job connector.Job) error {
	return fault.New(fault.DestJobLost, "Salesforce no longer knows the bulk job %s; jobs are kept for seven days", job.ID)
}

// verdict turns the message of a failed job into a fault where a person must act; otherwise the rows speak for themselves.
func (d *Destination) verdict(s *ingestJob) error {
	if s.State != "Failed" {
		return nil
	}
	message := d.client.Redact(s.ErrorMessage)
	switch {
	case strings.Contains(message, "Field name not found"):
		f := fault.New(fault.DestFieldMissing, "the bulk job %s failed: %s", s.ID, message).NotLanded()
		if i := strings.LastIndex(message, ":"); i >= 0 {
			f.Field = strings.TrimSpace(message[i+1:])
		}
		return f
	case strings.HasPrefix(message, "InvalidBatch"), strings.HasPrefix(message, "ClientInputError"), strings.HasPrefix(message, "InvalidJob"):
		return fault.New(fault.DestConfig, "the bulk job %s failed: %s", s.ID, message).NotLanded()
	}
	return nil
}
