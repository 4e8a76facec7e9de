package databricks

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"golang.org/x/sync/semaphore"

	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

// ahead is how many bytes of a result may be fetched and not yet taken; one chunk always may.
const ahead = 32 << 20

// maxChunk is the largest chunk that is read.
const maxChunk = 2 << 30

// reading is the fetching of one result.
type reading struct {
	*source
	st     statement
	id     string
	m      manifest
	first  part // what came with the answer: the first chunk's link
	budget *semaphore.Weighted
}

// fetched is a chunk, or why there is none.
type fetched struct {
	batches []arrow.RecordBatch
	err     error
}

// linked fetches the chunks of a result from cloud storage, several at once, and gives them to take in order.
func (s *source) linked(ctx context.Context, st statement, a *answer, take func([]arrow.RecordBatch) bool) error {
	r := &reading{source: s, st: st, id: a.StatementID, m: a.Manifest, first: a.Result, budget: semaphore.NewWeighted(ahead)}
	ctx, stop := context.WithCancel(ctx)
	queue := make(chan chan fetched, s.downloads-1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.fill(ctx, queue)
	}()
	defer func() {
		stop()
		for c := range queue {
			(<-c).release()
		}
		<-done
	}()
	chunk := 0
	for c := range queue {
		f := <-c
		if f.err != nil {
			return f.err
		}
		more := take(f.batches)
		f.release()
		r.budget.Release(r.weight(chunk))
		chunk++
		if !more {
			return nil
		}
	}
	if chunk < int(r.m.ChunkCount) {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", st.doing)
	}
	return nil
}

// fill starts one download after the other, as the budget allows, until all are started or ctx ends.
func (r *reading) fill(ctx context.Context, queue chan<- chan fetched) {
	defer close(queue)
	for i := range int(r.m.ChunkCount) {
		if r.budget.Acquire(ctx, r.weight(i)) != nil {
			return
		}
		c := make(chan fetched, 1)
		select {
		case queue <- c:
		case <-ctx.Done():
			return
		}
		go func() {
			var f fetched
			f.batches, f.err = r.chunk(ctx, i)
			c <- f
		}()
	}
}

// weight is what a chunk takes of the budget, as far as the manifest tells.
func (r *reading) weight(i int) int64 {
	if i < len(r.m.Chunks) {
		return max(1, min(ahead, int64(r.m.Chunks[i].Bytes)))
	}
	return ahead / int64(r.downloads)
}

func (f fetched) release() {
	for _, b := range f.batches {
		b.Release()
	}
}

// chunk fetches one chunk whole. A link that has ended is asked for again, by the chunk's number; an answer that is cut, or has
// other rows than was said, is fetched again.
func (r *reading) chunk(ctx context.Context, i int) (out []arrow.RecordBatch, err error) {
	fresh := i != 0
	again := func(f *fault.Error) bool {
		fresh = true
		return f.Code == fault.SourceIncomplete && !errors.Is(f, errFinal)
	}
	err = r.repeat(ctx, again, func() error {
		l, err := r.link(ctx, i, fresh)
		if err != nil {
			return err
		}
		out, err = r.download(ctx, i, l)
		return err
	})
	return out, err
}

// errFinal marks a fault that another try would meet again.
var errFinal = errors.New("for good")

// link finds the way to a chunk: that of the first came with the statement's answer, unless it has ended or was tried.
func (r *reading) link(ctx context.Context, i int, fresh bool) (link, error) {
	if !fresh {
		if l, ok := find(r.first.Links, i); ok && !l.over(time.Now()) {
			return l, nil
		}
	}
	var p part
	if err := r.get(ctx, api+"/"+r.id+"/result/chunks/"+strconv.Itoa(i), r.st.doing, &p); err != nil {
		f := fault.As(err)
		if f.Code == fault.Cancelled || f.Code == fault.SourceAuth {
			return link{}, err
		}
		out := fault.New(fault.SourceIncomplete, "%s: part %d of %d of the result: %s", r.st.doing, i+1, int(r.m.ChunkCount), f.Message)
		out.Cause = errFinal // get has tried often enough
		return link{}, out
	}
	l, ok := find(p.Links, i)
	if !ok {
		return link{}, r.incomplete(i, "Databricks has no link to it")
	}
	return l, nil
}

func find(links []link, i int) (link, bool) {
	for _, l := range links {
		if int(l.Index) == i && l.Address != "" {
			return l, true
		}
	}
	return link{}, false
}

// download reads the Arrow stream a link leads to. Nothing of the workspace's credentials goes there, and nothing of the link into
// a message.
func (r *reading) download(ctx context.Context, i int, l link) ([]arrow.RecordBatch, error) {
	if err := r.usable(l); err != nil {
		return nil, err
	}
	h := http.Header{}
	for k, v := range l.Headers {
		h.Set(k, v)
	}
	var got fetched
	resp, err := r.plain.Stream(ctx, httpkit.Request{URL: l.Address, Header: h, NoAuth: true, Timeout: downloadTimeout, MaxResponse: maxChunk},
		func(_ *httpkit.Response, body io.Reader) error {
			got.batches, got.err = r.decode(body)
			return got.err
		})
	switch {
	case err == nil && got.rows() == int64(l.Rows) && r.counted(i, got.rows()):
		return got.batches, nil
	case err == nil:
		rows := got.rows()
		got.release()
		return nil, r.incomplete(i, strconv.FormatInt(rows, 10)+" rows came where Databricks counts "+strconv.FormatInt(int64(l.Rows), 10))
	}
	got.release()
	if ctx.Err() != nil {
		return nil, fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", r.st.doing)
	}
	f := fault.As(err)
	switch {
	case f.Code == fault.SourceTypeUnsupported, f.Code == fault.SourceValue:
		return nil, err
	case resp != nil && !resp.OK(): // the storage's words may repeat the link
		return nil, r.incomplete(i, "the storage answered "+strconv.Itoa(resp.Status)+" "+http.StatusText(resp.Status))
	case f.Code == fault.DestAddressBlocked:
		out := fault.As(r.incomplete(i, withoutCall(f.Message)))
		out.Cause = errFinal
		return nil, out.WithFix("The link leads to a private address: set allow_private: true where the workspace's storage is reached by private link.")
	}
	return nil, r.incomplete(i, withoutCall(f.Message))
}

func (f fetched) rows() (n int64) {
	for _, b := range f.batches {
		n += b.NumRows()
	}
	return n
}

// counted compares the rows of a chunk with the manifest, where it tells them.
func (r *reading) counted(i int, rows int64) bool {
	return i >= len(r.m.Chunks) || int64(r.m.Chunks[i].Rows) == rows
}

func (r *reading) incomplete(i int, why string) error {
	return fault.New(fault.SourceIncomplete, "%s: part %d of %d of the result: %s", r.st.doing, i+1, int(r.m.ChunkCount), why)
}

// withoutCall drops "GET https://…: " from a message: the address is the secret.
func withoutCall(message string) string {
	if _, rest, ok := strings.Cut(message, ": "); ok && strings.HasPrefix(message, "GET ") {
		return rest
	}
	return message
}

// decode reads an Arrow stream to its end and gives its columns the types of a source.
func (r *reading) decode(body io.Reader) (out []arrow.RecordBatch, err error) {
	stream, err := ipc.NewReader(body)
	if err != nil {
		return nil, unreadable(err)
	}
	defer stream.Release()
	cols, err := columnsOf(r.m, stream.Schema())
	if err != nil {
		return nil, err
	}
	schema := schemaOf(cols)
	for stream.Next() {
		b, err := convert(stream.RecordBatch(), schema, cols)
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
	if err := stream.Err(); err != nil {
		return out, unreadable(err)
	}
	// What follows the end mark is read too, so that the connection can be used again; there must be nothing.
	rest, err := io.Copy(io.Discard, body)
	if err == nil && rest > 0 {
		err = unreadable(nil)
	}
	return out, err
}

// unreadable keeps a fault of the connection as it is, and makes one of what is no Arrow.
func unreadable(err error) error {
	if f := fault.As(err); f != nil && f.Code != fault.Internal {
		return f
	}
	return fault.New(fault.SourceIncomplete, "it is no Arrow stream")
}
