package bigquery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/bigquery"
	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// few rows are read by a page of JSON: a read session costs two calls more.
const few = 1000

// patience is how long one request may be without an answer; the server holds one for a query's end ten seconds long.
// https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults
const patience = 2 * time.Minute

// source reads models. Every query is a job of its own.
type source struct {
	config *config
	tokens *tokens
	http   *http.Transport
	client *bigquery.Client

	mu      sync.Mutex
	storage *storageClient // nil until it is needed
	barred  bool           // the Storage Read API may not be used by this account
}

func newSource(ctx context.Context, c *config, t *tokens, guarded *http.Transport) (*source, error) {
	client, err := bigquery.NewClient(ctx, c.project,
		option.WithEndpoint(c.endpoint+"/bigquery/v2/"),
		option.WithHTTPClient(&http.Client{Transport: &transport{tokens: t, next: guarded}}))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "preparing the client of BigQuery")
	}
	return &source{config: c, tokens: t, http: guarded, client: client}, nil
}

// Dialect is GoogleSQL as data.
func (s *source) Dialect() connector.Dialect {
	return connector.Dialect{Name: typeName, Quote: '`', Backslash: true, Placeholder: "?", Ledger: &ledgerSQL}
}

// Close ends the connections.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.client.Close()
	if s.storage != nil {
		err = errors.Join(err, s.storage.close())
		s.storage = nil
	}
	s.http.CloseIdleConnections()
	return err
}

// Check signs in and lets BigQuery check the smallest query, which costs nothing.
func (s *source) Check(ctx context.Context) error {
	_, _, err := s.describe(ctx, connector.Query{SQL: "SELECT 1 AS n"})
	return err
}

// Describe gives the columns of a dry run.
func (s *source) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	_, stats, err := s.describe(ctx, q)
	if err != nil {
		return nil, err
	}
	p, err := planned(stats.Schema)
	if err != nil {
		return nil, err
	}
	return p.schema, nil
}

// Estimate gives the bytes that a dry run counts. For external and clustered tables it is an upper bound.
func (s *source) Estimate(ctx context.Context, q connector.Query) (connector.Scan, error) {
	all, _, err := s.describe(ctx, q)
	if err != nil {
		return connector.Scan{}, err
	}
	return connector.Scan{Bytes: all.TotalBytesProcessed}, nil
}

// Read runs the query as one job and yields its rows. The read is complete when as many rows arrived as the finished job counts;
// any other end is SOURCE_READ_INCOMPLETE.
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		sql, args := q.Render(s.Dialect())
		a, err := s.run(ctx, sql, args)
		if err != nil {
			yield(nil, s.queryFault(ctx, err, "running the query"))
			return
		}
		p, err := planned(a.schema)
		if err != nil {
			yield(nil, err)
			return
		}
		var rows uint64
		for b, err := range s.batches(ctx, a, p, ordered(sql)) {
			if err == nil && ctx.Err() != nil {
				b.Release()
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, s.readFault(ctx, err, fmt.Sprintf("reading (%d rows so far)", rows)))
				return
			}
			rows += uint64(b.NumRows())
			if q.Rows != nil {
				q.Rows(int64(rows))
			}
			ok := yield(b, nil)
			b.Release()
			if !ok {
				return
			}
		}
		switch {
		case ctx.Err() != nil: // which can look like the end of the rows
			yield(nil, s.readFault(ctx, ctx.Err(), fmt.Sprintf("reading (%d rows so far)", rows)))
		case rows != a.total:
			yield(nil, incomplete("BigQuery counts %d rows, %d arrived", a.total, rows))
		}
	}
}

// batches reads an answer, as Arrow where that can be had and is worth it.
func (s *source) batches(ctx context.Context, a *answer, p *plan, ordered bool) iter.Seq2[arrow.RecordBatch, error] {
	nothing := func(func(arrow.RecordBatch, error) bool) {}
	if a.total == 0 {
		return nothing
	}
	small := s.config.readAPI == readREST || s.config.readAPI == readAuto && (a.total <= few || s.isBarred())
	if small {
		return paged(a, p)
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		session, err := s.openSession(ctx, a, ordered)
		if err != nil && s.config.readAPI == readAuto && ctx.Err() == nil {
			s.bar(err)
			for b, err := range paged(a, p) {
				if !yield(b, err) {
					return
				}
			}
			return
		}
		if err != nil {
			yield(nil, err)
			return
		}
		session.each(ctx, p, yield)
	}
}

func (s *source) isBarred() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.barred
}

// bar remembers that this account has no right to the Storage Read API; an outage is not remembered.
func (s *source) bar(err error) {
	if !forbidden(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barred = true
}

func incomplete(format string, args ...any) *fault.Error {
	return fault.New(fault.SourceIncomplete, "reading from BigQuery: "+format, args...)
}

// Tables names what lies beside a table. Listing is free and takes no query
// (https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables/list).
func (s *source) Tables(ctx context.Context, name string) ([]string, error) {
	at := strings.LastIndexByte(name, '.')
	project, dataset := s.config.project, s.config.dataset
	if at >= 0 {
		dataset = name[:at]
		if p, d, two := strings.Cut(dataset, "."); two {
			project, dataset = p, d
		}
	}
	var out []string
	for list := s.client.DatasetInProject(project, dataset).Tables(ctx); len(out) < 10_000; {
		t, err := list.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, s.queryFault(ctx, err, "listing tables")
		}
		out = append(out, name[:at+1]+t.TableID)
	}
	return out, nil
}
