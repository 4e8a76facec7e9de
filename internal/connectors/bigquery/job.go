package bigquery

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/bigquery"
	"google.golang.org/api/googleapi"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// goodbye is how long cancelling a job at the server may take.
const goodbye = 5 * time.Second

// prepare makes a query with what the settings say of every job.
func (s *source) prepare(sql string, params []row.Value) (*bigquery.Query, error) {
	q := s.client.Query(sql)
	q.Location, q.MaxBytesBilled, q.Labels, q.JobTimeout = s.config.location, s.config.maxBytes, s.config.labels, s.config.timeout
	if s.config.dataset != "" {
		q.DefaultProjectID, q.DefaultDatasetID = s.config.project, s.config.dataset
	}
	for _, v := range params {
		p, err := parameter(v)
		if err != nil {
			return nil, err
		}
		q.Parameters = append(q.Parameters, bigquery.QueryParameter{Value: p})
	}
	return q, nil
}

// parameter binds a value in the type of its kind; texts of numbers and times are in BigQuery's literal form.
// https://docs.cloud.google.com/bigquery/docs/parameterized-queries
func parameter(v row.Value) (*bigquery.QueryParameterValue, error) {
	typed := func(kind string, value any) (*bigquery.QueryParameterValue, error) {
		return &bigquery.QueryParameterValue{Type: bigquery.StandardSQLDataType{TypeKind: kind}, Value: value}, nil
	}
	switch v.Kind() {
	case row.Null, row.Absent:
		return typed("STRING", bigquery.NullString{})
	case row.Text:
		return typed("STRING", bigquery.NullString{StringVal: v.Str(), Valid: true}) // an empty text is sent too
	case row.Int:
		return typed("INT64", v.Int())
	case row.Uint:
		return typed("NUMERIC", v.String())
	case row.Bool:
		return typed("BOOL", v.Bool())
	case row.Float:
		return typed("FLOAT64", v.Float())
	case row.Decimal:
		if whole, part, _ := strings.Cut(strings.TrimPrefix(row.NormalDecimal(v.Str()), "-"), "."); len(whole) <= 29 && len(part) <= 9 {
			return typed("NUMERIC", v.String())
		}
		return typed("BIGNUMERIC", v.String())
	case row.Bytes:
		return typed("BYTES", []byte(v.Str()))
	case row.Date:
		return typed("DATE", v.String())
	case row.Time:
		return typed("TIME", v.String())
	case row.Timestamp:
		return typed("DATETIME", v.String())
	case row.Instant:
		return typed("TIMESTAMP", v.GoTime().UTC().Format("2006-01-02 15:04:05.999999+00:00"))
	case row.Interval, row.UUID, row.JSON, row.Array:
	}
	return nil, fault.New(fault.SourceQueryFailed, "BigQuery cannot compare values of kind %s", v.Kind()).WithFix("Cast the column in the model: TO_JSON_STRING(…) or CAST(… AS STRING).")
}

// describe runs a query dry: BigQuery checks it and tells its columns and the bytes it would read, without reading them.
// https://docs.cloud.google.com/bigquery/docs/running-queries#dry-run
func (s *source) describe(ctx context.Context, q connector.Query) (*bigquery.JobStatistics, *bigquery.QueryStatistics, error) {
	sql, args := q.Render(s.Dialect())
	query, err := s.prepare(sql, args)
	if err != nil {
		return nil, nil, err
	}
	query.DryRun = true
	job, err := query.Run(ctx)
	if err != nil {
		return nil, nil, s.queryFault(ctx, err, "checking the query")
	}
	all := job.LastStatus().Statistics
	stats, ok := all.Details.(*bigquery.QueryStatistics)
	if !ok {
		return nil, nil, fault.New(fault.SourceIncomplete, "BigQuery answered a dry run without statistics of a query")
	}
	return all, stats, nil
}

// answer is a finished query, whose rows are kept by BigQuery.
type answer struct {
	job    *bigquery.Job
	pages  *bigquery.RowIterator
	schema bigquery.Schema
	total  uint64 // rows, as the finished job counts them
}

// run runs a query to its end. When the context ends before, the job is cancelled.
func (s *source) run(ctx context.Context, sql string, params []row.Value) (*answer, error) {
	q, err := s.prepare(sql, params)
	if err != nil {
		return nil, err
	}
	job, err := s.start(ctx, q)
	if err != nil {
		return nil, err
	}
	pages, err := job.Read(ctx)
	if err != nil {
		s.cancel(ctx, job)
		return nil, err
	}
	return &answer{job: job, pages: pages, schema: pages.Schema, total: pages.TotalRows}, nil
}

// start begins a job under an id of its own, so that the request can be repeated: a repetition that finds its job there goes on
// with it.
func (s *source) start(ctx context.Context, q *bigquery.Query) (*bigquery.Job, error) {
	q.JobID = jobID()
	job, err := q.Run(ctx)
	var api *googleapi.Error
	switch {
	case ctx.Err() != nil: // the request may have reached the server
		ended, stop := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer stop()
		if job, gone := s.client.JobFromIDLocation(ended, q.JobID, s.config.location); gone == nil {
			s.cancel(ctx, job)
		}
		return nil, ctx.Err()
	case errors.As(err, &api) && api.Code == http.StatusConflict:
		return s.client.JobFromIDLocation(ctx, q.JobID, s.config.location)
	}
	return job, err
}

// cancel ends a job that nobody waits for any more. It need not be told: a job that goes on costs what it would have cost.
func (s *source) cancel(ctx context.Context, job *bigquery.Job) {
	if ctx.Err() == nil {
		return // the job itself has failed
	}
	ended, stop := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer stop()
	_ = job.Cancel(ended) //nolint:errcheck // a courtesy to the bill
}

// place is the table that holds the answer, an anonymous one of this user's.
// https://docs.cloud.google.com/bigquery/docs/cached-results
func (s *source) place(ctx context.Context, job *bigquery.Job) (*bigquery.Table, error) {
	for range 2 {
		c, err := job.Config()
		if err != nil {
			return nil, err
		}
		if qc, ok := c.(*bigquery.QueryConfig); ok && qc.Dst != nil {
			return qc.Dst, nil
		}
		if job, err = s.client.JobFromIDLocation(ctx, job.ID(), job.Location()); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the job %s names no table for its answer", job.ID())
}

// change runs a statement that returns no rows and gives how many it changed.
func (s *source) change(ctx context.Context, st connector.Statement) (int64, error) {
	q, err := s.prepare(st.SQL, st.Params)
	if err != nil {
		return 0, err
	}
	job, err := s.start(ctx, q)
	if err != nil {
		return 0, err
	}
	status, err := job.Wait(ctx)
	if err != nil {
		s.cancel(ctx, job)
		return 0, err
	}
	if err := status.Err(); err != nil {
		return 0, err
	}
	if stats, ok := status.Statistics.Details.(*bigquery.QueryStatistics); ok {
		return stats.NumDMLAffectedRows, nil
	}
	return 0, nil
}

// jobID makes an id that is unique in the project.
func jobID() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b)
	return "upwell_" + hex.EncodeToString(b)
}

// ordered reports whether the order of the rows may have been asked for; then they are read in one stream.
func ordered(sql string) bool {
	words := strings.Join(strings.Fields(strings.ToUpper(sql)), " ")
	return strings.Contains(words, "ORDER BY")
}
