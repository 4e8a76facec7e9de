package bigquery

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/bigquery"
	storage "cloud.google.com/go/bigquery/storage/apiv1"
	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// A message has up to 128 MB. https://docs.cloud.google.com/bigquery/quotas#storage-limits
const message = 129 << 20

// atOnce is how many streams are read at the same time at most; each holds a message or two.
const atOnce = 4

// window is what a stream may send ahead. Left alone it grows with the network's speed.
const window = 4 << 20

// storageClient speaks the Storage Read API. The iterator of the vendor's high-level client is not used: it repeats a broken stream
// without end and gives a cancelled read as the end of the rows (storage_iterator.go, v1.86.2).
type storageClient struct {
	conn *grpc.ClientConn
	read *storage.BigQueryReadClient
}

func (c *config) dial(ctx context.Context, t *tokens, guarded *http.Transport) (*storageClient, error) {
	scheme, host, _ := strings.Cut(c.storage, "://")
	secure := credentials.NewTLS(nil)
	if scheme == "http" {
		secure = insecure.NewCredentials()
	}
	if !strings.Contains(host, ":") {
		host += ":443"
	}
	conn, err := grpc.NewClient("passthrough:///"+host,
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return guarded.DialContext(ctx, "tcp", addr) }),
		grpc.WithTransportCredentials(secure), grpc.WithPerRPCCredentials(t), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(message)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(atOnce*window),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: pause, Multiplier: 2, Jitter: 0.2, MaxDelay: 8 * pause}, MinConnectTimeout: 20 * time.Second}))
	if err != nil {
		return nil, err
	}
	read, err := storage.NewBigQueryReadClient(ctx, option.WithGRPCConn(conn))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &storageClient{conn, read}, nil
}

func (c *storageClient) close() error { return c.conn.Close() }

// reader gives the client, dialling at the first use.
func (s *source) reader(ctx context.Context) (*storageClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.storage == nil {
		c, err := s.config.dial(ctx, s.tokens, s.http)
		if err != nil {
			return nil, err
		}
		s.storage = c
	}
	return s.storage, nil
}

// session is an answer that is read in streams.
type session struct {
	source *source
	client *storageClient
	schema []byte
	names  []string // of the streams
}

// openSession asks for the streams of an answer: one where the order counts.
func (s *source) openSession(ctx context.Context, a *answer, ordered bool) (*session, error) {
	table, err := s.place(ctx, a.job)
	if err != nil {
		return nil, err
	}
	id, err := table.Identifier(bigquery.StorageAPIResourceID)
	if err != nil {
		return nil, err
	}
	client, err := s.reader(ctx)
	if err != nil {
		return nil, err
	}
	most := int32(min(runtime.GOMAXPROCS(0), atOnce))
	if ordered {
		most = 1
	}
	req := &storagepb.CreateReadSessionRequest{
		Parent: "projects/" + s.config.project, MaxStreamCount: most,
		ReadSession: &storagepb.ReadSession{Table: id, DataFormat: storagepb.DataFormat_ARROW},
	}
	var opened *storagepb.ReadSession
	err = s.repeat(ctx, func() (bool, error) {
		opened, err = client.read.CreateReadSession(ctx, req, once...)
		return false, err
	})
	if err != nil {
		return nil, err
	}
	out := &session{source: s, client: client, schema: opened.GetArrowSchema().GetSerializedSchema()}
	for _, stream := range opened.GetStreams() {
		out.names = append(out.names, stream.GetName())
	}
	return out, nil
}

// once takes the library's own retries and its deadline away; repeat does that.
var once = []gax.CallOption{gax.WithRetry(nil), gax.WithTimeout(0)}

// repeat tries a call again that failed on the way, and once with a new token where the token was refused. do says whether it came
// forward, which makes the count begin anew.
func (s *source) repeat(ctx context.Context, do func() (bool, error)) error {
	renewed := false
	for try := 1; ; try++ {
		forward, err := do()
		if forward {
			try, renewed = 1, false
		}
		switch code := status.Code(err); {
		case err == nil || ctx.Err() != nil:
			return err
		case code == codes.Unauthenticated && !renewed:
			renewed = true
			s.tokens.mu.Lock()
			s.tokens.now = nil
			s.tokens.mu.Unlock()
			continue
		case !transient(code) || try >= tries:
			return err
		}
		if err := rest(ctx, pause<<(try-1)); err != nil {
			return err
		}
	}
}

func transient(c codes.Code) bool {
	switch c { //nolint:exhaustive // the rest is final
	case codes.Aborted, codes.Canceled, codes.DeadlineExceeded, codes.Internal, codes.Unavailable, codes.ResourceExhausted:
		return true
	}
	return false
}

func forbidden(err error) bool {
	c := status.Code(err)
	return c == codes.PermissionDenied || c == codes.Unimplemented
}

// each reads all streams, some at a time, and yields their batches.
func (o *session) each(ctx context.Context, p *plan, yield func(arrow.RecordBatch, error) bool) {
	ctx, stop := context.WithCancel(ctx)
	type item struct {
		batch arrow.RecordBatch
		err   error
	}
	items, names := make(chan item), make(chan string, len(o.names))
	for _, n := range o.names {
		names <- n
	}
	close(names)
	var work sync.WaitGroup
	for range min(len(o.names), atOnce) {
		work.Go(func() {
			for name := range names {
				err := o.stream(ctx, name, p, func(b arrow.RecordBatch) error {
					select {
					case items <- item{batch: b}:
						return nil
					case <-ctx.Done():
						b.Release()
						return ctx.Err()
					}
				})
				if err != nil {
					select {
					case items <- item{err: err}:
					case <-ctx.Done():
					}
					return
				}
			}
		})
	}
	go func() {
		work.Wait()
		close(items)
	}()
	defer func() {
		stop()
		for it := range items {
			if it.batch != nil {
				it.batch.Release()
			}
		}
	}()
	for it := range items {
		if it.err != nil {
			yield(nil, it.err)
			return
		}
		if !yield(it.batch, nil) {
			return
		}
	}
}

// stream reads one stream to its end; a stream that breaks is gone on with at the row it had come to.
func (o *session) stream(ctx context.Context, name string, p *plan, give func(arrow.RecordBatch) error) error {
	feed := &feed{parts: [][]byte{o.schema}}
	var decoder *ipc.Reader
	defer func() {
		if decoder != nil {
			decoder.Release()
		}
	}()
	var offset int64
	return o.source.repeat(ctx, func() (forward bool, err error) {
		calling, stop := context.WithCancel(ctx)
		defer stop()
		rows, err := o.client.read.ReadRows(calling, &storagepb.ReadRowsRequest{ReadStream: name, Offset: offset}, once...)
		if err != nil {
			return false, err
		}
		for {
			r, err := rows.Recv()
			switch {
			case errors.Is(err, io.EOF):
				return forward, nil
			case err != nil:
				return forward, err
			case r.GetRowCount() == 0:
				continue
			}
			feed.add(r.GetArrowRecordBatch().GetSerializedRecordBatch())
			if decoder == nil {
				if decoder, err = ipc.NewReader(feed); err != nil {
					return forward, undecodable(err)
				}
				if err := p.fits(decoder.Schema()); err != nil {
					return forward, err
				}
			}
			if !decoder.Next() {
				return forward, undecodable(decoder.Err())
			}
			got := decoder.RecordBatch()
			if got.NumRows() != r.GetRowCount() {
				return forward, incomplete("a message of %d rows holds %d", r.GetRowCount(), got.NumRows())
			}
			b, err := p.convert(got)
			if err != nil {
				return forward, err
			}
			if err := give(b); err != nil {
				return forward, err
			}
			offset += r.GetRowCount()
			forward = true
		}
	})
}

func undecodable(err error) error {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return incomplete("an Arrow message cannot be decoded: %s", err)
}

// feed gives the decoder the bytes of one message after the other: the schema comes with the session, without an end mark, and each
// batch is a message alone.
type feed struct{ parts [][]byte }

func (f *feed) add(b []byte) { f.parts = append(f.parts, b) }

// Read gives io.EOF where a message is missing; the decoder is asked for a batch only when there is one.
func (f *feed) Read(b []byte) (int, error) {
	for len(f.parts) > 0 && len(f.parts[0]) == 0 {
		f.parts = f.parts[1:]
	}
	if len(f.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, f.parts[0])
	f.parts[0] = f.parts[0][n:]
	return n, nil
}
