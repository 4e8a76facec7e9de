package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/row"
)

// journal is a run's memory of requests.
type journal struct {
	s                  *Store
	sync, run, mapping string
}

// Journal gives the delivery's memory for one run.
func (s *Store) Journal(sync, run, mapping string) deliver.Journal {
	return &journal{s: s, sync: sync, run: run, mapping: mapping}
}

// appendRow encodes what a later run needs to settle a row.
func appendRow(b []byte, r deliver.IntentRow) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(r.Key))), r.Key...)
	b = append(binary.AppendUvarint(b, uint64(len(r.RemoteID))), r.RemoteID...)
	return row.AppendValues(binary.AppendUvarint(b, uint64(len(r.Match))), r.Match)
}

var errIntent = errors.New("the rows of an intent cannot be read")

func readRow(b []byte) (r deliver.IntentRow, rest []byte, err error) {
	text := func() []byte {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			err = errIntent
			return nil
		}
		out := b[w : w+int(n)]
		b = b[w+int(n):]
		return out
	}
	r.Key = append([]byte(nil), text()...)
	r.RemoteID = string(text())
	n, w := binary.Uvarint(b)
	if err != nil || w <= 0 || n > 1000 {
		return r, nil, errIntent
	}
	r.Match, rest, err = row.ReadValues(b[w:], int(n), nil)
	return r, rest, err
}

// Intend is durable when it returns.
func (j *journal) Intend(ctx context.Context, in deliver.Intent) (int64, error) {
	var b []byte
	for _, r := range in.Rows {
		b = appendRow(b, r)
	}
	return j.insert(ctx, in, b, "")
}

func (j *journal) insert(ctx context.Context, in deliver.Intent, rows []byte, file string) (id int64, err error) {
	if rows == nil {
		rows = []byte{}
	}
	err = j.s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO intents (sync, run, op, deadline, rows, file) VALUES (?, ?, ?, ?, ?, ?)`,
			j.sync, j.run, string(in.Op), in.Deadline.UnixMilli()+1, rows, file)
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	return id, err
}

// Extend moves an intent's deadline; it is durable when it returns.
func (j *journal) Extend(ctx context.Context, id int64, deadline time.Time) error {
	return j.s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE intents SET deadline = max(deadline, ?) WHERE id = ?`, deadline.UnixMilli()+1, id)
		return err
	})
}

// Settle closes an intent with the next commit. Were that lost, the next run would find its rows acknowledged.
func (j *journal) Settle(_ context.Context, id int64) error {
	return j.s.writeLater(func(tx *sql.Tx) error { return j.s.dropIntent(tx, id) })
}

func (s *Store) dropIntent(tx *sql.Tx, id int64) error {
	ctx := context.Background()
	var file string
	if err := tx.QueryRowContext(ctx, `DELETE FROM intents WHERE id = ? RETURNING file`, id).Scan(&file); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}
	if file != "" {
		s.gone = append(s.gone, file)
	}
	return nil
}

// backoffs say when a rejected row is tried again although nothing changed.
func backoffs(attempts int) time.Duration {
	switch {
	case attempts <= 1:
		return time.Hour
	case attempts == 2:
		return 6 * time.Hour
	}
	return 24 * time.Hour
}

// Refuse records refusals.
func (j *journal) Refuse(ctx context.Context, rows []deliver.Refusal) error {
	now := time.Now()
	return j.s.write(ctx, func(tx *sql.Tx) error {
		for i := range rows {
			if err := j.refuse(ctx, tx, &rows[i], now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (j *journal) refuse(ctx context.Context, tx *sql.Tx, r *deliver.Refusal, now time.Time) error {
	kind := "rejected"
	deadline := now
	if r.Unknown {
		kind = "unknown"
	}
	other := map[string]string{"rejected": "unknown", "unknown": "rejected"}[kind]
	first, attempts := now.UnixMilli(), 1
	err := tx.QueryRowContext(ctx, `SELECT first_seen, attempts + 1 FROM refusals WHERE sync = ? AND key = ? AND kind IN ('rejected','unknown')`, j.sync, r.Key).Scan(&first, &attempts)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if r.Unknown {
		var until sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT max(deadline) FROM intents WHERE sync = ? AND run = ?`, j.sync, j.run).Scan(&until); err != nil {
			return err
		}
		if until.Valid {
			deadline = time.UnixMilli(until.Int64)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM refusals WHERE sync = ? AND key = ? AND kind = ?`, j.sync, r.Key, other); err != nil {
		return err
	}
	next := now.Add(backoffs(attempts)).UnixMilli()
	if r.Person {
		next = 0
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO refusals (sync, key, kind, op, match, remote_id, person, deadline, code, field, message, fingerprint, mapping,
		first_seen, last_seen, next_at, attempts, run, excerpt) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (sync, key, kind) DO UPDATE SET op=excluded.op, match=excluded.match, remote_id=excluded.remote_id, person=excluded.person,
		deadline=excluded.deadline, code=excluded.code, field=excluded.field, message=excluded.message, fingerprint=excluded.fingerprint,
		mapping=excluded.mapping, last_seen=excluded.last_seen, next_at=excluded.next_at, attempts=excluded.attempts, run=excluded.run,
		excerpt=excluded.excerpt, due=0`,
		j.sync, r.Key, kind, string(r.Op), nonNil(row.AppendValues(nil, r.Match)), r.RemoteID, r.Person, deadline.UnixMilli(), string(r.Code), r.Field, r.Message,
		int64(r.Fingerprint), j.mapping, first, now.UnixMilli(), next, attempts, j.run, r.Excerpt)
	return err
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Resolve closes refusals and open outcomes of keys that were delivered, with the next commit.
func (j *journal) Resolve(_ context.Context, keys [][]byte) error {
	return j.s.writeLater(func(tx *sql.Tx) error { return dropRefusals(tx, j.sync, keys, "") })
}

func dropRefusals(tx *sql.Tx, sync string, keys [][]byte, kind string) error {
	ctx := context.Background()
	for _, k := range keys {
		if _, err := tx.ExecContext(ctx, `DELETE FROM refusals WHERE sync = ?1 AND key = ?2 AND (?3 = '' OR kind = ?3)`, sync, k, kind); err != nil {
			return err
		}
	}
	return nil
}

// SaveJob stores a job's handle and rows durably.
func (j *journal) SaveJob(ctx context.Context, intent int64, op connector.Op, job connector.Job, rows []byte) (id int64, err error) {
	handle, err := json.Marshal(job)
	if err != nil {
		return 0, fmt.Errorf("encoding a job's handle: %w", err)
	}
	err = j.s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO jobs (sync, run, intent, op, handle, rows) VALUES (?, ?, ?, ?, ?, ?)`, j.sync, j.run, intent, string(op), string(handle), rows)
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	return id, err
}

// CloseJob forgets a job that is settled.
func (j *journal) CloseJob(ctx context.Context, id int64) error {
	return j.s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE id = ?`, id)
		return err
	})
}
