package warehouse

import (
	"context"
	"iter"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/local"
	"github.com/upwelldata/upwell/internal/row"
)

// manyGets is how many entries are asked for one by one before all are fetched.
const manyGets = 64

// snapshot is one state as it was when it was opened. Entries are read when they are asked for: a run that settles meanwhile can be
// seen by them, as in any database.
type snapshot struct {
	state
	h     *home
	c     *connection
	owned bool // the connection ends with the snapshot
	run   *session

	gets int
	all  ledger.Snapshot // a local copy of everything, made when it is worth it
}

func (s *snapshot) Meta() ledger.Meta { return s.document.Meta }

// Verify has nothing left to do: the state's checksum was compared, and the warehouse answers for its own blocks. An entry that was
// changed in the warehouse by somebody else is found when it is decoded, which is before its row is planned.
func (s *snapshot) Verify(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Cancelled, err, "checking the ledger")
	}
	return nil
}

func (s *snapshot) Get(ctx context.Context, key []byte) (*ledger.Entry, error) {
	if !s.table() {
		return nil, nil
	}
	if s.gets++; s.gets > manyGets || s.all != nil {
		all, err := s.local(ctx)
		if err != nil {
			return nil, err
		}
		return all.Get(ctx, key)
	}
	var found *ledger.Entry
	err := s.c.each(ctx, s.c.sql.Entries(key), func(v []row.Value) (err error) {
		found, err = decodeEntry(v[0].Str())
		return err
	})
	return found, err
}

// local fetches all entries into a temporary folder, once.
func (s *snapshot) local(ctx context.Context) (ledger.Snapshot, error) {
	if s.all != nil {
		return s.all, nil
	}
	all, err := local.Gather(ctx, "", s.Meta(), s.entries(ctx))
	if err != nil {
		return nil, err
	}
	s.all = all
	return all, nil
}

// entries streams all entries in the order of the warehouse.
func (s *snapshot) entries(ctx context.Context) iter.Seq2[*ledger.Entry, error] {
	return func(yield func(*ledger.Entry, error) bool) {
		if !s.table() {
			return
		}
		err := s.c.each(ctx, s.c.sql.Entries(nil), func(v []row.Value) error {
			e, err := decodeEntry(v[0].Str())
			if err != nil {
				return err
			}
			if !yield(e, nil) {
				return errLeft
			}
			return nil
		})
		if err != nil && err != errLeft { //nolint:errorlint // the very same
			yield(nil, err)
		}
	}
}

// errLeft ends a reading whose reader has seen enough.
var errLeft = fault.New(fault.Cancelled, "stopped")

func (s *snapshot) Each(ctx context.Context) iter.Seq2[*ledger.Entry, error] {
	return func(yield func(*ledger.Entry, error) bool) {
		all, err := s.local(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for e, err := range all.Each(ctx) {
			if !yield(e, err) {
				return
			}
		}
	}
}

func (s *snapshot) Runs() []string { return s.document.Runs }

func (s *snapshot) KeyHistory(ctx context.Context, key []byte) iter.Seq2[ledger.History, error] {
	return s.history(ctx, "", key)
}

func (s *snapshot) RunHistory(ctx context.Context, run string) iter.Seq2[ledger.History, error] {
	return func(yield func(ledger.History, error) bool) {
		found := false
		for h, err := range s.history(ctx, run, nil) {
			found = true
			if !yield(h, err) {
				return
			}
		}
		if !found {
			yield(ledger.History{}, fault.New(fault.NotFound, "the ledger holds no history of run %s", run))
		}
	}
}

// history yields changes, newest first.
func (s *snapshot) history(ctx context.Context, run string, key []byte) iter.Seq2[ledger.History, error] {
	return func(yield func(ledger.History, error) bool) {
		if !s.known {
			return
		}
		err := s.c.each(ctx, s.c.sql.Past(run, key), func(v []row.Value) error {
			h, err := decodeHistory(v[0].Str(), v[1].Str())
			if err != nil {
				return err
			}
			if !yield(h, nil) {
				return errLeft
			}
			return nil
		})
		if err != nil && err != errLeft { //nolint:errorlint // the very same
			yield(ledger.History{}, err)
		}
	}
}

// Compare fetches the whole ledger and compares here: for a model that the warehouse cannot compare itself.
func (s *snapshot) Compare(opts ledger.CompareOptions) (ledger.Comparison, error) {
	all, err := s.local(context.Background())
	if err != nil {
		return nil, err
	}
	return all.Compare(opts)
}

func (s *snapshot) Close() error {
	var err error
	if s.all != nil {
		err = s.all.Close()
		s.all = nil
	}
	if s.owned {
		s.owned = false
		if cerr := s.c.wh.Close(); err == nil {
			err = cerr
		}
	}
	return err
}
