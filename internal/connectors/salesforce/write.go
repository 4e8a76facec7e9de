package salesforce

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// excerpt is how much of a request and its answer is kept for people.
const excerpt = 2_048

// saveResult is the answer for one record; created is told by upsert only
// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-upsert.html).
type saveResult struct {
	ID      string      `json:"id"`
	Success *bool       `json:"success"`
	Created *bool       `json:"created"`
	Errors  []itemError `json:"errors"`
}

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 1<<16); return &b }}

// Write sends one collection. The answer has one entry per record, in order, whatever happened to them; an answer of another
// length proves nothing about any of them.
func (d *Destination) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	if rows.Len() == 0 {
		return nil
	}
	if err := usable(&to); err != nil {
		return err
	}
	if rows.Len() > maxCollection {
		return fault.New(fault.Internal, "%d rows are more than a collection holds", rows.Len()).NotLanded()
	}
	l := plan(&to, rows)
	buf := bodies.Get().(*[]byte)
	reusable := false
	defer func() {
		if reusable {
			bodies.Put(buf)
		}
	}()
	r := httpkit.Request{Path: d.data + "/composite/sobjects", Header: d.header()}
	var sent []int
	var warnings [][]string
	switch to.Op {
	case connector.OpDelete:
		r.Method = http.MethodDelete
		var ids []string
		ids, sent = l.ids(rows, out)
		r.Query = url.Values{"ids": {strings.Join(ids, ",")}, "allOrNone": {"false"}}
	case connector.OpUpsert, connector.OpInsert, connector.OpUpdate, connector.OpClear:
		r.Method, r.ContentType = http.MethodPatch, "application/json"
		if to.Op == connector.OpInsert {
			r.Method = http.MethodPost
		}
		if to.Op == connector.OpUpsert {
			r.Path += "/" + url.PathEscape(to.Object.Name) + "/" + url.PathEscape(to.Match[0])
		}
		*buf, sent, warnings = l.collection((*buf)[:0], rows, out)
		r.Body = *buf
	default:
		return fault.New(fault.Internal, "salesforce does not offer %s", to.Op).NotLanded()
	}
	if len(sent) == 0 {
		reusable = true
		return nil
	}
	resp, err := d.do(ctx, r)
	reusable = resp != nil && resp.SentWhole
	out.Request, out.Response = d.client.Excerpts(r, resp, excerpt)
	if err != nil {
		return err
	}
	return d.results(&to, &l, rows, out, resp, sent, warnings)
}

// usable refuses targets whose rows could not be told apart or would make records where none may be made.
func usable(to *connector.Target) error {
	if to.Op != connector.OpUpsert {
		return nil
	}
	if len(to.Match) != 1 || to.Match[0] == "Id" {
		return fault.New(fault.DestKeyUnusable, "upsert into %s needs one external id field to match on, not %s", to.Object.Name, strings.Join(to.Match, " and ")).NotLanded()
	}
	return nil
}

func (d *Destination) header() http.Header {
	h := http.Header{"Accept": {"application/json"}}
	for k, v := range d.headers {
		h.Set(k, v)
	}
	return h
}

// collection encodes the rows; rows that cannot be written are rejected here and left out. sent names the rows in the request.
func (l *layout) collection(b []byte, rows *row.Batch, out *connector.Outcomes) ([]byte, []int, [][]string) {
	sent := make([]int, 0, rows.Len())
	var warnings [][]string
	b = append(b, `{"allOrNone":false,"records":[`...)
	for i := range rows.Len() {
		start := len(b)
		if len(sent) > 0 {
			b = append(b, ',')
		}
		grown, warned, bad := l.record(b, rows, i)
		if bad != nil {
			out.Rejected(i, bad.code, bad.field, bad.message)
			b = grown[:start]
			continue
		}
		b = grown
		if warned != nil && warnings == nil {
			warnings = make([][]string, rows.Len())
		}
		if warned != nil {
			warnings[i] = warned
		}
		sent = append(sent, i)
	}
	return append(b, "]}"...), sent, warnings
}

func (l *layout) ids(rows *row.Batch, out *connector.Outcomes) (ids []string, sent []int) {
	for i := range rows.Len() {
		id := l.id(rows, i)
		if bad := checkID(id); bad != nil {
			out.Rejected(i, bad.code, bad.field, bad.message)
			continue
		}
		ids, sent = append(ids, id), append(sent, i)
	}
	return ids, sent
}

func (d *Destination) results(to *connector.Target, l *layout, rows *row.Batch, out *connector.Outcomes, resp *httpkit.Response, sent []int, warnings [][]string) error {
	var list []saveResult
	if err := d.client.JSON(resp, &list); err != nil {
		return err
	}
	if len(list) != len(sent) {
		for n := len(sent); n < len(list); n++ {
			out.Set(rows.Len(), connector.Result{}) // counted as an answer that belongs to no row
		}
		return fault.New(fault.DestAnswer, "%s: %d results for %d records: none can be told to its record", resp.Call, len(list), len(sent))
	}
	for n, item := range list {
		i := sent[n]
		switch {
		case item.Success == nil || *item.Success && len(item.Errors) > 0 || !*item.Success && len(item.Errors) == 0:
			out.Set(i, connector.Result{Code: fault.DestAnswer, Message: "the result says neither success nor what was wrong"})
		case !*item.Success:
			d.settle(to, out, i, item.Errors[0])
		case checkID(item.ID) != nil || l.byID && !sameID(item.ID, l.id(rows, i)):
			out.Set(i, connector.Result{Code: fault.DestAnswer, Message: "the result is about another record"})
		default:
			r := connector.Result{Status: connector.Delivered, RemoteID: item.ID, Created: connector.No}
			if to.Op == connector.OpInsert || item.Created != nil && *item.Created {
				r.Created = connector.Yes
			} else if to.Op == connector.OpUpsert && item.Created == nil {
				r.Created = connector.NotTold
			}
			if warnings != nil {
				r.Warnings = warnings[i]
			}
			out.Set(i, r)
		}
	}
	return nil
}

// sameID compares ids by their first 15 characters; the last three of 18 are a checksum.
func sameID(a, b string) bool {
	return len(a) >= 15 && len(b) >= 15 && a[:15] == b[:15]
}
