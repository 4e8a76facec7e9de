package salesforcetest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxUpload is the raw size of one upload: 150 MB after base64 encoding
// (https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_bulk_v2/datafiles_understanding_bulk2_ingest.htm).
const maxUpload = 112_500_000

// job is one ingest job of Bulk API 2.0.
type job struct {
	JobInfo
	data    []byte
	polls   int
	header  []string
	records [][]string
	next    int // first record not processed
	good    []jobRow
	bad     []jobRow
	failAt  int    // batches until it fails, -1 = never
	failure string // errorMessage then
}

// JobInfo is what GET /jobs/ingest/ID tells
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-info.html).
type JobInfo struct {
	ID                  string  `json:"id"`
	Operation           string  `json:"operation"`
	Object              string  `json:"object"`
	ExternalIDFieldName string  `json:"externalIdFieldName,omitempty"`
	State               string  `json:"state"`
	ConcurrencyMode     string  `json:"concurrencyMode"`
	ContentType         string  `json:"contentType"`
	LineEnding          string  `json:"lineEnding"`
	ColumnDelimiter     string  `json:"columnDelimiter"`
	APIVersion          float64 `json:"apiVersion"`
	ContentURL          string  `json:"contentUrl,omitempty"`
	Processed           int     `json:"numberRecordsProcessed"`
	Failed              int     `json:"numberRecordsFailed"`
	ErrorMessage        string  `json:"errorMessage,omitempty"`
}

type jobRow struct {
	id      string
	created bool
	message string
	cells   []string
}

// Jobs lists the bulk jobs, oldest first.
func (s *Server) Jobs() []JobInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []JobInfo
	for n := uint64(1); n <= s.jobSeq; n++ {
		if j, ok := s.jobs[makeID("750", n)]; ok {
			out = append(out, j.JobInfo)
		}
	}
	return out
}

// AdvanceJobs takes every job that was closed to its end.
func (s *Server) AdvanceJobs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.State == "UploadComplete" || j.State == "InProgress" {
			s.process(j, -1)
		}
	}
}

// StepJobs processes n batches of every job that was closed.
func (s *Server) StepJobs(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.State == "UploadComplete" || j.State == "InProgress" {
			j.State = "InProgress"
			s.process(j, n)
		}
	}
}

// ForgetJobs makes every job vanish, as after the seven days they are kept.
func (s *Server) ForgetJobs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.jobs)
}

// FailJobs lets the jobs that are there fail with a message after so many more batches: Salesforce gives up on a batch after 20
// tries and leaves the rest unprocessed.
func (s *Server) FailJobs(afterBatches int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		j.failAt, j.failure = afterBatches, message
	}
}

// jobCreate answers POST /jobs/ingest (https://developer.salesforce.com/docs/platform/api-asynch/guide/create-job.html).
func (s *Server) jobCreate(w http.ResponseWriter, r *http.Request) *apiError {
	j := &job{failAt: -1, JobInfo: JobInfo{ContentType: "CSV", LineEnding: "LF", ColumnDelimiter: "COMMA"}}
	if bad := readJSON(r, &j.JobInfo); bad != nil {
		return bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[strings.ToLower(j.Object)]
	if !ok {
		return fail(400, "INVALIDENTITY", "The entity %s is not supported by the Bulk API.", j.Object)
	}
	switch j.Operation {
	case "insert", "update", "delete", "hardDelete":
	case "upsert":
		_, f, ok := t.field(j.ExternalIDFieldName)
		if !ok || !f.usableAsKey() {
			return fail(400, "INVALIDJOB", "InvalidJob : Field name provided, %s does not match an External ID, Salesforce Id, or indexed field for %s", j.ExternalIDFieldName, j.Object)
		}
	default:
		return fail(400, "INVALIDJOB", "InvalidJob : Invalid operation: %s", j.Operation)
	}
	if j.ContentType != "CSV" || j.ColumnDelimiter != "COMMA" || j.LineEnding != "LF" && j.LineEnding != "CRLF" {
		return fail(400, "INVALIDJOB", "InvalidJob : Unsupported content type, delimiter or line ending")
	}
	s.jobSeq++
	j.ID, j.State, j.ConcurrencyMode, j.Object = makeID("750", s.jobSeq), "Open", "Parallel", t.object.Name
	j.ContentURL = "services/data/" + r.PathValue("version") + "/jobs/ingest/" + j.ID + "/batches"
	if _, err := fmt.Sscanf(r.PathValue("version"), "v%f", &j.APIVersion); err != nil {
		j.APIVersion = 66
	}
	s.jobs[j.ID] = j
	writeJSON(w, 200, j.JobInfo)
	return nil
}

func (s *Server) job(r *http.Request) (*job, *apiError) {
	j, ok := s.jobs[r.PathValue("job")]
	if !ok {
		return nil, fail(404, "NOT_FOUND", "The requested resource does not exist")
	}
	return j, nil
}

// jobUpload answers PUT /jobs/ingest/ID/batches: one upload per job, only while it is open
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/upload-job-data.html).
func (s *Server) jobUpload(w http.ResponseWriter, r *http.Request) *apiError {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "text/csv" {
		return fail(415, "UNSUPPORTED_MEDIA_TYPE", "Content type specified is not supported: %s", kind)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxUpload+1))
	if err != nil {
		return fail(400, "INVALIDCONTENT", "unreadable upload")
	}
	if len(body) > maxUpload {
		return fail(413, "CONTENT_TOO_LARGE", "The upload is larger than 150 MB after base64 encoding")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, bad := s.job(r)
	switch {
	case bad != nil:
		return bad
	case j.State != "Open" || j.data != nil:
		return fail(400, "INVALIDJOBSTATE", "Found multiple contents for job: <%s>, please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job and make sure you only do 'PUT' once on a given Job.", j.ID)
	}
	j.data = body
	w.WriteHeader(http.StatusCreated)
	return nil
}

// jobClose answers PATCH /jobs/ingest/ID with UploadComplete or Aborted
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/close-job.html).
func (s *Server) jobClose(w http.ResponseWriter, r *http.Request) *apiError {
	var want struct {
		State string `json:"state"`
	}
	if bad := readJSON(r, &want); bad != nil {
		return bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, bad := s.job(r)
	if bad != nil {
		return bad
	}
	switch {
	case want.State == "UploadComplete" && j.State == "Open" && j.data != nil:
		j.State = "UploadComplete"
	case want.State == "Aborted" && (j.State == "Open" || j.State == "UploadComplete" || j.State == "InProgress"):
		j.State = "Aborted"
		s.open(j)
	default:
		return fail(400, "INVALIDJOBSTATE", "Closing or aborting a job is not allowed in state %s", j.State)
	}
	writeJSON(w, 200, j.JobInfo)
	return nil
}

// jobInfo answers GET /jobs/ingest/ID. A look moves the job on: work happens between two looks.
func (s *Server) jobInfo(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, bad := s.job(r)
	if bad != nil {
		return bad
	}
	if !s.cfg.manual {
		switch {
		case j.State == "UploadComplete" && s.cfg.polls > 0:
			j.State = "InProgress"
			j.polls = 1
		case j.State == "InProgress" && j.polls < s.cfg.polls:
			j.polls++
		case j.State == "UploadComplete", j.State == "InProgress":
			s.process(j, -1)
		}
	}
	writeJSON(w, 200, j.JobInfo)
	return nil
}

// jobDelete answers DELETE /jobs/ingest/ID: only jobs that ended can be deleted
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/delete-job.html).
func (s *Server) jobDelete(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, bad := s.job(r)
	if bad != nil {
		return bad
	}
	if j.State == "Open" || j.State == "InProgress" {
		return fail(400, "INVALIDJOBSTATE", "A job in state %s cannot be deleted", j.State)
	}
	delete(s.jobs, j.ID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
