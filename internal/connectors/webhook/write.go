package webhook

import (
	"context"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// excerptBytes is how much of a request and its answer is kept with refused rows.
const excerptBytes = 2000

// scratch is the memory of one request, used again for others.
type scratch struct {
	body  []byte
	index []int
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Write sends one request.
func (d *Destination) Write(ctx context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	if !slices.Contains(offered, to.Op) {
		return fault.New(fault.DestConfig, "a webhook has no operation %s", to.Op).NotLanded()
	}
	s := scratches.Get().(*scratch)
	s.body, s.index = s.body[:0], sendable(rows, s.index[:0], out)
	if len(s.index) == 0 {
		scratches.Put(s)
		return nil
	}
	if err := d.encode(ctx, to, rows, s); err != nil {
		scratches.Put(s)
		return err
	}
	if len(s.body) > d.op.MaxBytes {
		defer scratches.Put(s)
		return d.tooLarge(s, out)
	}
	r := d.request
	r.Body = s.body
	r.Header = d.requestHeaders(rows, s)
	resp, err := d.http.Do(ctx, r)
	if err = d.judge(resp, err, to, rows, s.index, out); err != nil || hasRefused(out, s.index) {
		out.Request, out.Response = d.http.Excerpts(r, resp, excerptBytes)
	}
	if resp != nil && resp.SentWhole {
		scratches.Put(s) // otherwise the transport may still read the body
	}
	return err
}

func (d *Destination) encode(ctx context.Context, to connector.Target, rows *row.Batch, s *scratch) error {
	if d.body == nil {
		s.body = newEncoder(rows).appendStandard(s.body, to, rows, s.index)
		return nil
	}
	var err error
	if s.body, err = d.body.append(ctx, s.body, to, rows, s.index); err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, ctx.Err(), "making the request's body").NotLanded()
	}
	f := fault.Wrap(fault.Expression, err, "making the request's body by the setting body").NotLanded()
	if len(s.index) > 1 {
		f = f.WithClass(fault.ClassBatchRefused) // one row's data may be the cause
	}
	return f
}

// tooLarge refuses what the engine's estimate let through: the batch is split, and a single row cannot be.
func (d *Destination) tooLarge(s *scratch, out *connector.Outcomes) error {
	if len(s.index) == 1 {
		out.Set(s.index[0], connector.Result{
			Status: connector.Rejected, Code: fault.RowTooLarge, Message: fault.New(fault.RowTooLarge,
				"the request with this row alone has %d bytes, batch.max_bytes is %d", len(s.body), d.op.MaxBytes).Message,
		})
		return nil
	}
	return fault.New(fault.DestRefused, "the request has %d bytes, batch.max_bytes is %d", len(s.body), d.op.MaxBytes).NotLanded()
}

// requestHeaders adds the idempotency key and the signature. The key depends on the rows' own keys, so that sending the same
// writes again carries the same key.
func (d *Destination) requestHeaders(rows *row.Batch, s *scratch) http.Header {
	h := maps.Clone(d.request.Header)
	id := requestID(rows, s)
	if !d.keyed {
		h.Set("Idempotency-Key", id)
	}
	if d.signer != nil {
		d.signer.sign(h, "msg_"+id, d.now(), s.body)
	}
	return h
}

func requestID(rows *row.Batch, s *scratch) string {
	h := xxh3.New()
	for _, i := range s.index {
		key := rows.Meta(i).IdempotencyKey
		if key == "" {
			sum := xxh3.Hash128(s.body).Bytes()
			return hex.EncodeToString(sum[:])
		}
		h.WriteString(key)
	}
	sum := h.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}

func hasRefused(out *connector.Outcomes, index []int) bool {
	for _, i := range index {
		if s := out.Result(i).Status; s == connector.Rejected || s == connector.Retry || s == connector.Unknown {
			return true
		}
	}
	return false
}

// judge reads what became of the rows that index names.
func (d *Destination) judge(resp *httpkit.Response, err error, to connector.Target, rows *row.Batch, index []int, out *connector.Outcomes) error {
	if resp == nil {
		return err
	}
	taken := resp.OK()
	if d.success != nil {
		var bad error
		if taken, bad = d.success.yes(d.http, resp); bad != nil {
			return d.unreadable(resp, bad)
		}
	}
	switch {
	case taken:
		return d.readResults(resp, to, rows, index, out)
	case err != nil:
		return err
	}
	f := fault.New(fault.DestRefused, "%s: %d: the setting success says that the batch was not taken", resp.Call, resp.Status)
	if words := d.http.Words(resp, 300); words != "" {
		f.Message += ": " + words
	}
	return f.NotLanded()
}

func (d *Destination) unreadable(resp *httpkit.Response, why error) error {
	f := fault.New(fault.DestAnswer, "%s: %d: %s", resp.Call, resp.Status, d.http.Redact(why.Error()))
	if words := d.http.Words(resp, 200); words != "" {
		f.Message += ": " + words
	}
	return f
}
