package salesforcetest

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/connectors/salesforce/bulkcsv"
)

// open reads a job's upload once, so that unprocessed records can be told too.
func (s *Server) open(j *job) {
	if j.header != nil || j.data == nil {
		return
	}
	r := bulkcsv.NewReader(bytes.NewReader(j.data))
	var err error
	if j.header, err = r.Read(nil); err != nil {
		j.header = []string{}
		j.State, j.ErrorMessage = "Failed", "InvalidBatch : Failed to parse CSV header"
		return
	}
	for {
		rec, err := r.Read(nil)
		if err == io.EOF { //nolint:errorlint // the bare EOF is the proper end
			break
		}
		if err != nil {
			j.State, j.ErrorMessage = "Failed", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is "+j.LineEnding
			return
		}
		if longest(rec) {
			j.State, j.ErrorMessage = "Failed", "InvalidBatch : Field or record is longer than the maximum"
			return
		}
		j.records = append(j.records, rec)
	}
	j.data = nil
}

// longest reports a record beyond the limits of a job: 32,000 characters in a field, 400,000 in all. What an org does with one is not
// documented; the stand-in does the worst
// (https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-bulkapi.html).
func longest(rec []string) bool {
	all := 0
	for _, cell := range rec {
		n := utf8.RuneCountInString(cell)
		if all += n; n > 32_000 {
			return true
		}
	}
	return all > 400_000
}

// process runs n batches (-1 = all): each of 10,000 records, split into chunks of 200 as triggers see them.
func (s *Server) process(j *job, n int) {
	s.open(j)
	if j.State == "Failed" {
		return
	}
	t := s.tables[strings.ToLower(j.Object)]
	read, bad := s.columnsOf(t, j)
	if bad != "" {
		j.State, j.ErrorMessage = "Failed", bad
		return
	}
	for ; n != 0 && j.next < len(j.records); n-- {
		if j.failAt == 0 {
			j.State, j.ErrorMessage = "Failed", j.failure
			return
		}
		j.failAt--
		end := min(j.next+s.cfg.batchRows, len(j.records))
		// Beyond the day's batches nothing is processed and nothing is told of the rows
		// (https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-failed-results.html).
		if s.batches < s.cfg.dailyBatch {
			s.batches++
			for from := j.next; from < end; from += maxCollection {
				s.chunk(t, j, read, j.records[from:min(from+maxCollection, end)])
			}
		}
		j.next = end
	}
	j.Processed, j.Failed = len(j.good)+len(j.bad), len(j.bad)
	if j.next == len(j.records) {
		j.State = "JobComplete"
	}
}

// columnsOf gives a function that reads a row, or the message a bad header fails the job with.
func (s *Server) columnsOf(t *table, j *job) (func([]string) *draft, string) {
	type column struct {
		at int // -1 = Id
		f  *Field
		p  *parent
	}
	cols := make([]column, len(j.header))
	for n, name := range j.header {
		i, f, ok := t.field(name)
		switch rel, ext, dotted := strings.Cut(name, "."); {
		case ok && f.Type == "id":
			cols[n] = column{at: -1}
		case ok:
			cols[n] = column{at: i, f: f}
		case dotted:
			at, known := t.byRel[strings.ToLower(rel)]
			if !known {
				return nil, "InvalidBatch : Field name not found : " + name
			}
			p, bad := s.parentBy(&t.object.Fields[at], at, ext)
			if bad != nil {
				return nil, "InvalidBatch : Field name not found : " + name
			}
			_, pf, _ := s.tables[strings.ToLower(p.object)].field(ext)
			cols[n] = column{at: at, f: pf, p: &p}
		default:
			return nil, "InvalidBatch : Field name not found : " + name
		}
	}
	return func(cells []string) *draft {
		d := &draft{}
		if len(cells) != len(cols) {
			d.bad = refuse("INVALID_CSV", nil, "Row has %d columns, the header has %d", len(cells), len(cols))
			return d
		}
		for n, c := range cols {
			if c.at < 0 {
				d.id = cells[n]
				continue
			}
			v, set, bad := fromCSV(c.f, cells[n])
			switch {
			case bad != nil && d.bad == nil:
				d.bad = bad
			case set && c.p != nil && v != nil:
				p := *c.p
				p.value = v
				d.parents = append(d.parents, p)
			case set:
				d.set(c.at, v)
			}
		}
		return d
	}, ""
}

func (s *Server) chunk(t *table, j *job, read func([]string) *draft, rows [][]string) {
	drafts := make([]*draft, len(rows))
	for n, cells := range rows {
		drafts[n] = read(cells)
	}
	var results []outcome
	switch j.Operation {
	case "upsert":
		key, _, _ := t.field(j.ExternalIDFieldName)
		results = s.upsertAll(t, drafts, key)
	default:
		for _, d := range drafts {
			results = append(results, s.one(t, j.Operation, d))
		}
	}
	for n, r := range results {
		row := jobRow{id: r.ID, created: j.Operation == "insert" || r.Created != nil && *r.Created, cells: rows[n]}
		if r.Success {
			s.stats.Rows[t.object.Name]++
			j.good = append(j.good, row)
			continue
		}
		e := r.Errors[0]
		row.id, row.message = drafts[n].id, fmt.Sprintf("%s:%s:%s --", e.StatusCode, e.Message, strings.Join(e.Fields, ","))
		j.bad = append(j.bad, row)
	}
}

func (s *Server) one(t *table, operation string, d *draft) outcome {
	switch operation {
	case "insert":
		return s.insert(t, d)
	case "update":
		if d.id == "" {
			return refused(refuse("MISSING_ARGUMENT", nil, "Id not specified in an update call"))
		}
		return s.update(t, d)
	}
	return s.erase(t, d.id)
}

// jobResults answers the three result files. Their order is not that of the upload
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-successful-results.html).
func (s *Server) jobResults(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, bad := s.job(r)
	if bad != nil {
		return bad
	}
	if j.State != "JobComplete" && j.State != "Failed" && j.State != "Aborted" {
		return fail(400, "INVALIDJOBSTATE", "Results are not ready in state %s", j.State)
	}
	var head []string
	var rows [][]string
	switch {
	case strings.HasSuffix(r.URL.Path, "/successfulResults"):
		head = append([]string{"sf__Id", "sf__Created"}, j.header...)
		for _, x := range j.good {
			rows = append(rows, append([]string{x.id, strconv.FormatBool(x.created)}, x.cells...))
		}
	case strings.HasSuffix(r.URL.Path, "/failedResults"):
		head = append([]string{"sf__Id", "sf__Error"}, j.header...)
		for _, x := range j.bad {
			rows = append(rows, append([]string{x.id, x.message}, x.cells...))
		}
	default:
		head = j.header
		if j.State != "JobComplete" {
			rows = append(rows, j.records[j.next:]...)
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(j.ID))
	rand.New(rand.NewPCG(h.Sum64(), 1)).Shuffle(len(rows), func(a, b int) { rows[a], rows[b] = rows[b], rows[a] })
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	if err := out.WriteAll(append([][]string{head}, rows...)); err != nil {
		return fail(500, "UNKNOWN_EXCEPTION", "%v", err)
	}
	writeRaw(w, 200, "text/csv", b.Bytes())
	return nil
}
