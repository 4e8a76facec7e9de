package bigquerytest

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/upwelldata/upwell/internal/row"
)

// reads is the Storage Read API.
// https://docs.cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1
type reads struct {
	storagepb.UnimplementedBigQueryReadServer
	s *Server
}

// allowed counts a call, lets its fault happen and looks at its token. The routing header must be there.
// https://google.aip.dev/client-libraries/4222
func (a *reads) allowed(ctx context.Context, kind string) (*Fault, error) {
	f := a.s.draw(kind)
	md, _ := metadata.FromIncomingContext(ctx)
	switch {
	case !a.s.known(strings.Join(md.Get("authorization"), "")):
		return nil, status.Error(codes.Unauthenticated, "Request had invalid authentication credentials.")
	case len(md.Get("x-goog-request-params")) == 0:
		return nil, status.Error(codes.InvalidArgument, "the routing header is missing")
	case f.Code != codes.OK && f.After == 0:
		return nil, status.Error(f.Code, f.Message)
	}
	if f.Hold != nil {
		f.arrive()
		select {
		case <-f.Hold:
		case <-ctx.Done():
		}
	}
	return f, nil
}

// CreateReadSession opens streams over the answer of a job. The count of rows is an estimate.
func (a *reads) CreateReadSession(ctx context.Context, in *storagepb.CreateReadSessionRequest) (*storagepb.ReadSession, error) {
	if _, err := a.allowed(ctx, "session"); err != nil {
		return nil, err
	}
	path := strings.Split(in.GetReadSession().GetTable(), "/")
	if in.GetReadSession().GetDataFormat() != storagepb.DataFormat_ARROW || len(path) != 6 {
		return nil, status.Error(codes.InvalidArgument, "a table and the format ARROW are needed")
	}
	j := a.s.placed(path[5])
	if j == nil {
		return nil, status.Error(codes.NotFound, "Not found: Table "+path[5])
	}
	schema, _, err := encoded(j.schema(), nil)
	if err != nil {
		return nil, err
	}
	n := max(1, min(int64(in.GetMaxStreamCount()), (j.rows.Rows+a.s.options.BatchRows-1)/a.s.options.BatchRows))
	out := &storagepb.ReadSession{
		Name: "projects/" + Project + "/locations/eu/sessions/" + random(8), DataFormat: storagepb.DataFormat_ARROW, EstimatedRowCount: j.rows.Rows / 2,
		Schema: &storagepb.ReadSession_ArrowSchema{ArrowSchema: &storagepb.ArrowSchema{SerializedSchema: schema}},
	}
	for i := range n {
		from, to := j.rows.Rows*i/n, j.rows.Rows*(i+1)/n
		out.Streams = append(out.Streams, &storagepb.ReadStream{Name: fmt.Sprintf("%s/streams/%s.%d.%d", out.GetName(), j.place, from, to)})
	}
	return out, nil
}

func (s *Server) placed(table string) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.place != table {
			continue
		}
		select {
		case <-j.done:
			if j.rows != nil {
				return j
			}
		default:
		}
	}
	return nil
}

// ReadRows sends a stream from an offset on.
func (a *reads) ReadRows(in *storagepb.ReadRowsRequest, out storagepb.BigQueryRead_ReadRowsServer) error {
	f, err := a.allowed(out.Context(), "rows")
	if err != nil {
		return err
	}
	_, name, _ := strings.Cut(in.GetReadStream(), "/streams/")
	part := strings.Split(name, ".")
	if len(part) != 3 {
		return status.Error(codes.InvalidArgument, "no stream has the name "+name)
	}
	j := a.s.placed(part[0])
	if j == nil {
		return status.Error(codes.NotFound, errGone.Error())
	}
	from, _ := strconv.ParseInt(part[1], 10, 64) //nolint:errcheck // our own name
	to, _ := strconv.ParseInt(part[2], 10, 64)   //nolint:errcheck // our own name
	from += in.GetOffset()
	size := a.s.options.BatchRows
	to -= int64(f.Lose) * size
	sent := 0
	for ; from < to; from += size {
		if f.Code != codes.OK && sent == f.After {
			return status.Error(f.Code, f.Message)
		}
		if err := j.transmit(out, from, min(size, to-from), f); err != nil {
			return err
		}
		sent++
	}
	return nil
}

// transmit sends rows as one message. A message without rows may come in between.
func (j *job) transmit(out storagepb.BigQueryRead_ReadRowsServer, from, n int64, f *Fault) error {
	message, err := j.message(out.Context(), from, n)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	if f.Short {
		n++
	}
	if from == 0 {
		if err := out.Send(&storagepb.ReadRowsResponse{}); err != nil {
			return err
		}
	}
	return out.Send(&storagepb.ReadRowsResponse{
		RowCount: n, Rows: &storagepb.ReadRowsResponse_ArrowRecordBatch{ArrowRecordBatch: &storagepb.ArrowRecordBatch{SerializedRecordBatch: message}},
	})
}

// message encodes rows.
func (j *job) message(ctx context.Context, from, n int64) ([]byte, error) {
	if known, ok := j.rows.sent.Load(from); ok {
		return known.([]byte), nil //nolint:forcetypeassert // nothing else is kept
	}
	var batches []arrow.RecordBatch
	defer func() {
		for _, b := range batches {
			b.Release()
		}
	}()
	for b, err := range j.rows.slice(ctx, from, n) {
		if err != nil {
			return nil, err
		}
		b, err := j.send(b)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	whole, err := joined(j.schema(), batches)
	if err != nil {
		return nil, err
	}
	defer whole.Release()
	_, out, err := encoded(j.schema(), whole)
	if err == nil && j.s.options.Remember {
		j.rows.sent.Store(from, out)
	}
	return out, err
}

func (j *job) schema() *arrow.Schema {
	fields := make([]arrow.Field, len(j.columns))
	for i, c := range j.columns {
		fields[i] = c.arrow
	}
	return arrow.NewSchema(fields, nil)
}

// end is the mark behind the last message of an Arrow stream, which the Storage Read API leaves out.
// https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format
const end = 8

// encoded gives the schema as a message, and the batch as one.
func encoded(s *arrow.Schema, b arrow.RecordBatch) (schema, batch []byte, err error) {
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(s))
	empty := b == nil
	if empty {
		b = array.NewRecordBatch(s, noColumns(s), 0)
		defer b.Release()
	}
	var head bytes.Buffer
	h := ipc.NewWriter(&head, ipc.WithSchema(s))
	if err := h.Close(); err != nil {
		return nil, nil, err
	}
	schema = head.Bytes()[:head.Len()-end]
	if err := w.Write(b); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	return schema, buf.Bytes()[len(schema) : buf.Len()-end], nil
}

func noColumns(s *arrow.Schema) []arrow.Array {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	return b.NewRecordBatch().Columns()
}

func joined(s *arrow.Schema, batches []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(batches) == 1 {
		batches[0].Retain()
		return batches[0], nil
	}
	columns := make([]arrow.Array, s.NumFields())
	rows := int64(0)
	for _, b := range batches {
		rows += b.NumRows()
	}
	for i := range columns {
		var all []arrow.Array
		for _, b := range batches {
			all = append(all, b.Column(i))
		}
		var err error
		if columns[i], err = array.Concatenate(all, memory.DefaultAllocator); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(s, columns, rows), nil
}

// send turns a batch of the engine into what BigQuery sends.
func (j *job) send(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, len(j.columns))
	for i := range j.columns {
		var err error
		if columns[i], err = j.columns[i].send(b.Column(i)); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(j.schema(), columns, b.NumRows()), nil
}

func (w *wire) send(a arrow.Array) (arrow.Array, error) {
	if arrow.TypeEqual(a.DataType(), w.arrow.Type) { // a copy: the engine's memory is valid until its next batch
		return array.Concatenate([]arrow.Array{a}, memory.DefaultAllocator)
	}
	text, isText := a.(*array.String)
	if !isText {
		return nil, fmt.Errorf("column %s: the engine gave %s for %s", w.field.Name, a.DataType(), w.arrow.Type)
	}
	if w.nested {
		return w.nest(text)
	}
	b := array.NewBuilder(memory.DefaultAllocator, w.arrow.Type)
	defer b.Release()
	for i := range a.Len() {
		v := row.NullValue()
		if !a.IsNull(i) {
			v = row.DecimalValue(text.Value(i))
		}
		if err := row.AppendTo(b, v); err != nil {
			return nil, err
		}
	}
	return b.NewArray(), nil
}

// nest makes lists and structs of the engine's JSON. There are no null lists.
func (w *wire) nest(text *array.String) (arrow.Array, error) {
	all := []byte{'['}
	for i := range text.Len() {
		if i > 0 {
			all = append(all, ',')
		}
		switch {
		case !text.IsNull(i):
			all = append(all, text.Value(i)...)
		case w.field.Mode == "REPEATED":
			all = append(all, "[]"...)
		default:
			all = append(all, "null"...)
		}
	}
	out, _, err := array.FromJSON(memory.DefaultAllocator, w.arrow.Type, bytes.NewReader(append(all, ']')), array.WithUseNumber())
	return out, err
}
