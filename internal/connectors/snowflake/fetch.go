package snowflake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/upwelldata/upwell/internal/fault"
)

// ahead is how many parts of an answer are downloaded at a time. Each holds one batch beside the one being decoded: memory does
// not grow with the answer.
const ahead = 4

// fetch downloads the parts of one answer.
type fetch struct {
	source   *source
	session  *session
	columns  []column
	schema   *arrow.Schema
	progress func(int64)
}

// piece is one batch of a part, or why there are no more.
type piece struct {
	batch arrow.RecordBatch
	err   error
}

// all gives on the parts in their order and proves that they are all there.
func (f *fetch) all(ctx context.Context, parts []sf.ArrowStreamBatch, total int64, yield func(arrow.RecordBatch) bool) error {
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	queue := make(chan chan piece, ahead-2) // with one being consumed and one waiting to be queued, ahead at a time
	work.Go(func() {
		defer close(queue)
		for i := range parts {
			pieces := make(chan piece, 1)
			select {
			case queue <- pieces:
				work.Go(func() {
					defer close(pieces)
					if err := f.part(ctx, &parts[i], pieces); err != nil {
						send(ctx, pieces, piece{err: err})
					}
				})
			case <-ctx.Done():
				return
			}
		}
	})
	defer work.Wait()
	defer stop()

	rows := int64(0)
	for pieces := range queue {
		for p := range pieces {
			if p.err != nil {
				return f.source.readFault(ctx, f.session, p.err, rows)
			}
			rows += p.batch.NumRows()
			more := yield(p.batch)
			p.batch.Release()
			if f.progress != nil {
				f.progress(rows)
			}
			if !more {
				return nil
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return f.source.readFault(ctx, f.session, err, rows)
	}
	if rows != total {
		return f.source.incomplete("Snowflake announced %d rows, %d arrived", total, rows)
	}
	return nil
}

func send(ctx context.Context, to chan<- piece, p piece) bool {
	select {
	case to <- p:
		return true
	case <-ctx.Done():
		if p.batch != nil {
			p.batch.Release()
		}
		return false
	}
}

// part downloads one part. An Arrow stream that is cut between two messages reads like one that ended: only the announced number
// of rows proves that it is whole.
func (f *fetch) part(ctx context.Context, part *sf.ArrowStreamBatch, to chan<- piece) error {
	stream, err := part.GetStream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	reader, err := ipc.NewReader(stream)
	if err != nil {
		return err
	}
	defer reader.Release()
	rows := int64(0)
	for reader.Next() {
		batch, err := f.convert(reader.RecordBatch())
		if err != nil {
			return err
		}
		rows += batch.NumRows()
		if !send(ctx, to, piece{batch: batch}) {
			return ctx.Err()
		}
	}
	if err := reader.Err(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if rows != part.NumRows() {
		return f.source.incomplete("a part of the answer was announced with %d rows, %d arrived", part.NumRows(), rows)
	}
	return nil
}

// readFault says why an answer ended early.
func (s *source) readFault(ctx context.Context, ss *session, err error, rows int64) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "reading from %s", s.name)
	}
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	f := s.incomplete("after %d rows: %s", rows, s.scrub(err))
	switch ss.wire.refused.Load() {
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusBadRequest:
		f.Message = "reading from " + s.name + ": the link to a part of the answer was refused: it has expired"
		f.WithFix("Nothing was sent. Links live for hours: run again, and look at what slowed the run down if it repeats.")
	case http.StatusNotFound, http.StatusGone:
		f.Message = "reading from " + s.name + ": a part of the answer is no longer there"
	}
	return f
}

func (s *source) incomplete(format string, args ...any) *fault.Error {
	return fault.New(fault.SourceIncomplete, "reading from %s: %s", s.name, fmt.Sprintf(format, args...))
}
