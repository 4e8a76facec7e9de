package salesforce

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/bulkcsv"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// results gathers what a job's three files say. Their order is not that of the upload; the echoed key columns tell the rows
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-failed-results.html). Nothing is told to the engine
// before all files were read to their ends.
type results struct {
	d     *Destination
	to    *connector.Target
	l     layout
	rows  *row.Batch
	byKey map[string]int32 // -1 = several rows have it
	said  []verdict
	found int
	extra int
}

// verdict is what the files say of one row.
type verdict struct {
	status  connector.Status // Unknown = nothing
	twice   bool
	id      string
	created connector.Tri
	err     string
}

func newResults(d *Destination, to *connector.Target, rows *row.Batch) *results {
	r := &results{d: d, to: to, l: plan(to, rows), rows: rows, said: make([]verdict, rows.Len())}
	r.byKey = make(map[string]int32, rows.Len())
	var key []byte
	for i := range rows.Len() {
		var ok bool
		if key, ok = r.l.key(key[:0], rows, i); !ok {
			continue
		}
		if _, taken := r.byKey[string(key)]; taken {
			r.byKey[string(key)] = -1
		} else {
			r.byKey[string(key)] = int32(i)
		}
	}
	return r
}

// read takes one of the files.
func (r *results) read(ctx context.Context, job connector.Job, name string) error {
	resp, err := r.d.client.Stream(ctx, httpkit.Request{
		Path: r.d.jobPath(job.ID) + "/" + name, Header: map[string][]string{"Accept": {"text/csv"}}, Timeout: resultTimeout,
	}, func(resp *httpkit.Response, body io.Reader) error {
		if resp.IsHTML() {
			return fault.New(fault.DestAnswer, "%s: it is an HTML page where CSV was expected", resp.Call)
		}
		if err := r.parse(bulkcsv.NewReader(body), name); err != nil {
			var f *fault.Error
			if errors.As(err, &f) {
				return err
			}
			return fault.New(fault.DestAnswer, "%s: reading the results: %s", resp.Call, r.d.client.Redact(err.Error()))
		}
		return nil
	})
	if err != nil && resp != nil && !resp.OK() {
		return r.d.classify(resp, err)
	}
	return err
}

func (r *results) parse(in *bulkcsv.Reader, name string) error {
	head, err := in.Read(nil)
	if err == io.EOF { //nolint:errorlint // the bare EOF: an empty file
		return nil
	}
	if err != nil {
		return err
	}
	at := func(column string) int {
		for n, h := range head {
			if strings.EqualFold(h, column) {
				return n
			}
		}
		return -1
	}
	var keyAt []int
	for _, c := range r.l.keyColumns() {
		n := at(c)
		if n < 0 {
			return errors.New("the column " + c + " is missing, so that rows cannot be found")
		}
		keyAt = append(keyAt, n)
	}
	idAt, createdAt, errorAt := at("sf__Id"), at("sf__Created"), at("sf__Error")
	switch {
	case name == "successfulResults" && (idAt < 0 || createdAt < 0):
		return errors.New("the columns sf__Id and sf__Created are missing")
	case name == "failedResults" && errorAt < 0:
		return errors.New("the column sf__Error is missing")
	}
	width := len(head)
	var cells []string
	for {
		cells, err = in.Read(cells)
		if err == io.EOF { //nolint:errorlint // the bare EOF is the proper end
			return nil
		}
		if err != nil {
			return err
		}
		if len(cells) != width {
			return errors.New("a record has another number of cells than the header")
		}
		switch name {
		case "successfulResults":
			v := verdict{status: connector.Delivered, id: cells[idAt], created: connector.No}
			if strings.EqualFold(cells[createdAt], "true") {
				v.created = connector.Yes
			}
			r.say(cells, keyAt, v)
		case "failedResults":
			r.say(cells, keyAt, verdict{status: connector.Rejected, err: cells[errorAt]})
		default:
			r.say(cells, keyAt, verdict{status: connector.NotAttempted})
		}
	}
}

func (r *results) say(cells []string, keyAt []int, v verdict) {
	r.found++
	var buf [128]byte
	key := buf[:0]
	for _, n := range keyAt {
		if r.l.byID {
			if len(cells[n]) >= 15 {
				key = append(key, cells[n][:15]...)
			}
			continue
		}
		key = appendKeyPart(key, cells[n])
	}
	i, ok := r.byKey[string(key)]
	switch {
	case !ok || i < 0:
		r.extra++
	case r.said[i].status != connector.Unknown:
		r.said[i].twice = true
	default:
		r.said[i] = v
	}
}

// silent reports that the files hold no record at all.
func (r *results) silent() bool { return r.found == 0 }

// settle tells the engine. untouched says that Salesforce processed nothing: rows without a word were not attempted. A row with
// two words, and one without any in a job that ran, stay unknown.
func (r *results) settle(out *connector.Outcomes, untouched bool) {
	for i := range r.said {
		_, warned, bad := r.l.line(nil, r.rows, i)
		v := &r.said[i]
		switch {
		case bad != nil:
			out.Rejected(i, bad.code, bad.field, bad.message)
		case v.twice:
			out.Set(i, connector.Result{Code: fault.DestAnswer, Message: "the results speak twice about this row"})
		case v.status == connector.Delivered && (checkID(v.id) != nil || r.l.byID && !sameID(v.id, r.l.id(r.rows, i))):
			out.Set(i, connector.Result{Code: fault.DestAnswer, Message: "the result is about another record"})
		case v.status == connector.Delivered:
			out.Set(i, connector.Result{Status: connector.Delivered, RemoteID: v.id, Created: v.created, Warnings: warned})
		case v.status == connector.Rejected:
			r.d.settle(r.to, out, i, parseBulkError(v.err))
		case v.status == connector.NotAttempted || untouched:
			out.NotAttempted(i)
		}
	}
	for range r.extra {
		out.Set(r.rows.Len(), connector.Result{}) // counted as answers that belong to no row
	}
}

// parseBulkError reads sf__Error: "CODE:message:Field,Other --". The form is not documented to the last character, so whatever
// does not fit it is the message.
func parseBulkError(s string) itemError {
	code, rest, ok := strings.Cut(s, ":")
	if !ok || code == "" || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return itemError{Message: s}
	}
	e := itemError{StatusCode: code, Message: rest}
	body, marked := strings.CutSuffix(strings.TrimRight(rest, " "), "--")
	if !marked {
		return e
	}
	body = strings.TrimRight(body, " ")
	n := strings.LastIndexByte(body, ':')
	if n < 0 {
		e.Message = body
		return e
	}
	e.Message = body[:n]
	for f := range strings.SplitSeq(body[n+1:], ",") {
		if f = strings.TrimSpace(f); f != "" {
			e.Fields = append(e.Fields, f)
		}
	}
	return e
}
