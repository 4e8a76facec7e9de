package bigquerytest

import (
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	bq "google.golang.org/api/bigquery/v2"

	"github.com/upwelldata/upwell/internal/row"
)

// results is jobs.getQueryResults; maxResults=0 only waits. A failed job answers with its error.
// https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults
func (s *Server) results(w http.ResponseWriter, r *http.Request) error {
	j, err := s.find(r)
	if err != nil {
		return err
	}
	out := map[string]any{"kind": "bigquery#getQueryResultsResponse", "jobReference": j.document().JobReference, "jobComplete": false}
	if !j.wait(r) {
		answer(w, http.StatusOK, out)
		return nil
	}
	if j.failed != nil {
		return j.failed
	}
	out["jobComplete"] = true
	out["totalBytesProcessed"] = strconv.FormatInt(j.bytes, 10)
	if j.rows == nil {
		out["totalRows"], out["numDmlAffectedRows"] = "0", strconv.FormatInt(j.changed, 10)
		answer(w, http.StatusOK, out)
		return nil
	}
	out["schema"] = &bq.TableSchema{Fields: fields(j.columns)}
	out["totalRows"] = strconv.FormatInt(j.rows.Rows, 10)
	q := r.URL.Query()
	from, most := int64(0), s.options.PageRows
	if t := q.Get("pageToken"); t != "" {
		if from, err = strconv.ParseInt(strings.TrimPrefix(t, "page-"), 10, 64); err != nil {
			return err
		}
	}
	if m, err := strconv.ParseInt(q.Get("maxResults"), 10, 64); err == nil {
		most = min(most, m)
	}
	if most > 0 {
		rows, err := j.page(r, from, most)
		if err != nil {
			return err
		}
		out["rows"] = rows
		if next := from + int64(len(rows)); next < j.rows.Rows {
			out["pageToken"] = "page-" + strconv.FormatInt(next, 10)
		}
	}
	answer(w, http.StatusOK, out)
	return nil
}

type cell struct {
	V any `json:"v"`
}

type tuple struct {
	F []cell `json:"f"`
}

func (j *job) page(r *http.Request, from, n int64) ([]tuple, error) {
	rows := make([]tuple, 0, n)
	for b, err := range j.rows.slice(r.Context(), from, n) {
		if err != nil {
			return nil, err
		}
		b, err := j.send(b)
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			t := tuple{make([]cell, b.NumCols())}
			for c := range t.F {
				t.F[c].V = show(j.columns[c].field, b.Column(c), i)
			}
			rows = append(rows, t)
		}
		b.Release()
	}
	return rows, nil
}

// show writes a cell as the REST API does: text, null, a list, or a row of its own. Instants are microseconds, as
// formatOptions.useInt64Timestamp asks for.
func show(f *bq.TableFieldSchema, a arrow.Array, i int) any {
	if l, ok := a.(*array.List); ok {
		out := []cell{}
		from, to := l.ValueOffsets(i)
		one := *f
		one.Mode = "NULLABLE"
		for k := from; k < to; k++ {
			out = append(out, cell{show(&one, l.ListValues(), int(k))})
		}
		return out
	}
	if a.IsNull(i) {
		return nil
	}
	if s, ok := a.(*array.Struct); ok {
		t := tuple{make([]cell, s.NumField())}
		for k := range t.F {
			t.F[k].V = show(f.Fields[k], s.Field(k), i)
		}
		return t
	}
	switch a := a.(type) {
	case *array.Timestamp:
		if f.Type == "TIMESTAMP" {
			return strconv.FormatInt(int64(a.Value(i)), 10)
		}
		return a.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.999999")
	case *array.Time64:
		return time.UnixMicro(int64(a.Value(i))).UTC().Format("15:04:05.999999")
	case *array.Binary:
		return base64.StdEncoding.EncodeToString(a.Value(i))
	case *array.Float64:
		switch v := a.Value(i); {
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		default:
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case *array.Decimal128, *array.Decimal256:
		return row.NormalDecimal(row.At(a, row.Decimal, i).String())
	case *array.Date32:
		return row.At(a, row.Date, i).String()
	case *array.Int64:
		return strconv.FormatInt(a.Value(i), 10)
	case *array.Boolean:
		return strconv.FormatBool(a.Value(i))
	case *array.String:
		return a.Value(i)
	}
	panic("no text for " + a.DataType().String())
}
