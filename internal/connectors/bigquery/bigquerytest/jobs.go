package bigquerytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	bq "google.golang.org/api/bigquery/v2"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// job is a query job.
type job struct {
	s      *Server
	id     string
	config *bq.JobConfigurationQuery
	params []parameter
	labels map[string]string
	place  string // table of the answer
	kind   string // statement type

	ctx  context.Context //nolint:containedctx // cancelled by jobs.cancel
	stop context.CancelFunc
	done chan struct{} // closed when it has ended; what follows is written before

	failed  *problem
	changed int64
	bytes   int64
	columns []wire
	session *warehousetest.Session
	rows    *rows
	asked   *translated
}

// insert is jobs.insert. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/insert
func (s *Server) insert(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10<<20)) // https://docs.cloud.google.com/bigquery/quotas#query_jobs
	if err != nil {
		return &problem{http.StatusRequestEntityTooLarge, "invalid", "Request Entity Too Large"}
	}
	var in bq.Job
	var bound struct {
		Configuration struct {
			Query struct {
				QueryParameters []parameter `json:"queryParameters"`
			} `json:"query"`
		} `json:"configuration"`
	}
	if err := errors.Join(json.Unmarshal(body, &in), json.Unmarshal(body, &bound)); err != nil {
		return err
	}
	c := in.Configuration
	if c == nil || c.Query == nil || c.Query.UseLegacySql == nil || *c.Query.UseLegacySql {
		return invalid("the stand-in runs queries in GoogleSQL only")
	}
	ref := in.JobReference
	if ref == nil {
		ref = &bq.JobReference{}
	}
	if ref.JobId == "" {
		ref.JobId = "job_" + random(8)
	}
	if ref.Location == "" {
		ref.Location = "US"
	}
	s.note(Job{ID: ref.JobId, SQL: c.Query.Query, Location: ref.Location, Labels: c.Labels, MaxBytes: c.Query.MaximumBytesBilled, DryRun: c.DryRun})
	j := &job{s: s, id: ref.JobId, config: c.Query, params: bound.Configuration.Query.QueryParameters, labels: c.Labels, place: "anon" + random(16), done: make(chan struct{})}
	j.ctx, j.stop = context.WithCancel(s.ctx)
	if c.DryRun {
		defer j.stop()
		if err := j.check(r.Context(), ref.Location); err != nil {
			return err
		}
		close(j.done)
		out := j.document()
		out.Statistics.Query.Schema = &bq.TableSchema{Fields: fields(j.columns)}
		out.Configuration.DryRun = true
		answer(w, http.StatusOK, out)
		return nil
	}
	s.mu.Lock()
	if _, there := s.jobs[j.id]; there {
		s.mu.Unlock()
		return &problem{http.StatusConflict, "duplicate", fmt.Sprintf("Already Exists: Job %s:%s.%s", Project, Location, j.id)}
	}
	s.jobs[j.id] = j
	s.mu.Unlock()
	f := faultOf(r)
	s.done.Go(func() { j.run(f, ref.Location) })
	answer(w, http.StatusOK, j.document())
	return nil
}

func (s *Server) note(j Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Jobs = append(s.stats.Jobs, j)
}

// run runs the query to its end.
func (j *job) run(f *Fault, location string) {
	defer close(j.done)
	if f.Hold != nil {
		f.arrive()
		select {
		case <-f.Hold:
		case <-j.ctx.Done():
		}
	}
	err := j.execute(location)
	switch {
	case f.Fail != "":
		j.failed = &problem{http.StatusInternalServerError, f.Fail, "The job encountered an error during execution. Retrying the job may solve the problem."}
	case j.ctx.Err() != nil:
		j.failed = &problem{http.StatusBadRequest, "stopped", "Job execution was cancelled: User requested cancellation"}
	case err != nil:
		j.failed = j.worded(err)
	}
	if j.session != nil {
		j.session.Close()
	}
}

func (j *job) execute(location string) error {
	session, t, err := j.open(j.ctx, location)
	if err != nil {
		return err
	}
	j.session = session
	if limit := j.config.MaximumBytesBilled; limit > 0 && j.bytes > limit {
		return &problem{http.StatusBadRequest, "bytesBilledLimitExceeded", fmt.Sprintf("Query exceeded limit for bytes billed: %d. %d or higher required.", limit, j.bytes)}
	}
	if j.kind != "SELECT" {
		if j.changed, err = session.Exec(j.ctx, t.sql); err != nil {
			return err
		}
		return nil
	}
	found, err := session.Describe(j.ctx, t.sql)
	if err != nil {
		return err
	}
	if j.columns, err = wires(found); err != nil {
		return err
	}
	names, casts := make([]string, len(found)), make([]string, len(found))
	for i := range found {
		names[i] = "c" + strconv.Itoa(i)
		casts[i] = names[i]
		if c := j.columns[i].cast; c != "" {
			casts[i] = "CAST(" + names[i] + " AS " + c + ")"
		}
	}
	if j.reuse(t) {
		return nil
	}
	result, err := session.Query(j.ctx, "SELECT "+strings.Join(casts, ", ")+" FROM (\n"+t.sql+"\n) AS answer("+strings.Join(names, ", ")+")")
	if err != nil {
		return err
	}
	j.rows, j.session, j.asked = &rows{Result: result, session: session}, nil, t
	j.s.retain(j)
	return nil
}

// worded is worded with the dataset in which the query's tables are looked up.
func (j *job) worded(err error) *problem {
	p := worded(err, j.config.Query)
	if d := j.config.DefaultDataset; d != nil {
		p.message = bareTable.ReplaceAllString(p.message, "Table "+Project+":"+d.DatasetId+".$1 was not found")
	}
	return p
}

var bareTable = regexp.MustCompile(`Table ` + Project + `:([^.\s]+) was not found`)

// open translates the query and opens a session for it.
func (j *job) open(ctx context.Context, location string) (*warehousetest.Session, *translated, error) {
	if location != Location {
		return nil, nil, &problem{http.StatusNotFound, "notFound", fmt.Sprintf("Not found: Dataset %s:%s was not found in location %s", Project, Dataset, location)}
	}
	t, err := translate(j.config.Query, j.params)
	if err != nil {
		return nil, nil, err
	}
	j.kind = t.kind
	session, err := j.s.engine.Session(ctx)
	if err != nil {
		return nil, nil, err
	}
	if d := j.config.DefaultDataset; d != nil {
		if _, err := session.Exec(ctx, "USE "+warehousetest.Ident(d.DatasetId)); err != nil {
			session.Close()
			return nil, nil, missing("Dataset", d.DatasetId)
		}
	}
	if j.bytes, err = j.s.estimate(ctx, session, t.names); err != nil {
		session.Close()
		return nil, nil, err
	}
	return session, t, nil
}

// check is a dry run: the query is checked, its columns and bytes are told, nothing is read.
func (j *job) check(ctx context.Context, location string) error {
	session, t, err := j.open(ctx, location)
	if err != nil {
		return j.worded(err)
	}
	defer session.Close()
	if j.kind != "SELECT" {
		return nil
	}
	found, err := session.Describe(ctx, t.sql)
	if err == nil {
		j.columns, err = wires(found)
	}
	if err != nil {
		return j.worded(err)
	}
	return nil
}

// estimate counts eight bytes for every cell of the tables that a query names.
func (s *Server) estimate(ctx context.Context, session *warehousetest.Session, names []string) (total int64, err error) {
	s.mu.Lock()
	set := s.bytes
	s.mu.Unlock()
	if set > 0 {
		return set, nil
	}
	for _, name := range names {
		columns, err := session.Describe(ctx, "SELECT * FROM "+name)
		if err != nil {
			continue // an alias, or a name that the query will be refused for
		}
		rows, err := session.Query(ctx, "SELECT 1 FROM "+name)
		if err != nil {
			return 0, err
		}
		total += rows.Rows * int64(len(columns)) * 8
		rows.Close()
	}
	return total, nil
}

// document is the job as the API shows it. The answer's table is told from the start.
func (j *job) document() *bq.Job {
	no := false
	config := *j.config
	config.UseLegacySql = &no
	config.DestinationTable = &bq.TableReference{ProjectId: Project, DatasetId: "_anonymous", TableId: j.place}
	out := &bq.Job{
		Kind: "bigquery#job", Id: Project + ":" + Location + "." + j.id, JobReference: &bq.JobReference{ProjectId: Project, JobId: j.id, Location: Location},
		Configuration: &bq.JobConfiguration{JobType: "QUERY", Query: &config, Labels: j.labels},
		Status:        &bq.JobStatus{State: "RUNNING"}, Statistics: &bq.JobStatistics{Query: &bq.JobStatistics2{}},
	}
	select {
	case <-j.done:
	default:
		return out
	}
	out.Statistics.Query.StatementType = j.kind
	out.Status.State = "DONE"
	if j.failed != nil {
		out.Status.ErrorResult = &bq.ErrorProto{Reason: j.failed.reason, Message: j.failed.message}
	}
	out.Statistics.TotalBytesProcessed = j.bytes
	out.Statistics.Query.TotalBytesProcessed = j.bytes
	out.Statistics.Query.NumDmlAffectedRows = j.changed
	return out
}

func fields(columns []wire) []*bq.TableFieldSchema {
	out := make([]*bq.TableFieldSchema, len(columns))
	for i, c := range columns {
		out[i] = c.field
	}
	return out
}

func (s *Server) find(r *http.Request) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[r.PathValue("id")]
	if l := r.URL.Query().Get("location"); j == nil || l != "" && l != Location {
		return nil, &problem{http.StatusNotFound, "notFound", "Not found: Job " + Project + ":" + r.PathValue("id")}
	}
	return j, nil
}

// job is jobs.get.
func (s *Server) job(w http.ResponseWriter, r *http.Request) error {
	j, err := s.find(r)
	if err == nil {
		answer(w, http.StatusOK, j.document())
	}
	return err
}

// cancel is jobs.cancel: it answers at once. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/cancel
func (s *Server) cancel(w http.ResponseWriter, r *http.Request) error {
	j, err := s.find(r)
	if err != nil {
		return err
	}
	j.stop()
	s.mu.Lock()
	for i := range s.stats.Jobs {
		if s.stats.Jobs[i].ID == j.id {
			s.stats.Jobs[i].Cancelled = true
		}
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"kind": "bigquery#jobCancelResponse", "job": j.document()})
	return nil
}

// wait waits for a job's end, as long as a request may take.
func (j *job) wait(r *http.Request) bool {
	limit := 10 * time.Second
	if ms, err := strconv.Atoi(r.URL.Query().Get("timeoutMs")); err == nil {
		limit = time.Duration(ms) * time.Millisecond
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-j.done:
		return true
	case <-timer.C:
	case <-r.Context().Done():
	case <-j.s.ctx.Done():
	}
	return false
}

// tables is tables.list. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables/list
func (s *Server) tables(w http.ResponseWriter, r *http.Request) error {
	dataset := r.PathValue("dataset")
	session, err := s.engine.Session(r.Context())
	if err != nil {
		return err
	}
	defer session.Close()
	list := []map[string]any{}
	for b, err := range session.Read(r.Context(), "SELECT table_name FROM information_schema.tables WHERE table_schema = "+warehousetest.Literal(dataset)+" ORDER BY 1") {
		if err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			ref := map[string]string{"projectId": Project, "datasetId": dataset, "tableId": strings.Clone(b.Column(0).(*array.String).Value(i))}
			list = append(list, map[string]any{"kind": "bigquery#table", "id": Project + ":" + dataset + "." + ref["tableId"], "tableReference": ref, "type": "TABLE"})
		}
	}
	answer(w, http.StatusOK, map[string]any{"kind": "bigquery#tableList", "tables": list, "totalItems": len(list)})
	return nil
}

// table is tables.get. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables/get
func (s *Server) table(w http.ResponseWriter, r *http.Request) error {
	dataset, table := r.PathValue("dataset"), r.PathValue("table")
	session, err := s.engine.Session(r.Context())
	if err != nil {
		return err
	}
	defer session.Close()
	found, err := session.Describe(r.Context(), "SELECT * FROM "+warehousetest.Ident(dataset)+"."+warehousetest.Ident(table))
	if err != nil {
		var p *problem
		if p = worded(err, ""); p.status == http.StatusBadRequest {
			return p
		}
		return missing("Table", dataset+"."+table)
	}
	columns, err := wires(found)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, &bq.Table{
		Kind: "bigquery#table", Type: "TABLE", Location: Location, Schema: &bq.TableSchema{Fields: fields(columns)},
		TableReference: &bq.TableReference{ProjectId: Project, DatasetId: dataset, TableId: table},
	})
	return nil
}
