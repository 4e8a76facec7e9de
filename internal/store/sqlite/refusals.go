package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

// openIntent is an intent a dead run left behind; left are its rows without an end.
type openIntent struct {
	id            int64
	run, op, file string
	deadline      int64
	rows          []byte
	left          []deliver.IntentRow
}

func (s *Store) openIntents(ctx context.Context, sync string) ([]*openIntent, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, run, op, deadline, rows, file FROM intents WHERE sync = ? AND id NOT IN (SELECT intent FROM jobs) ORDER BY id`, sync)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []*openIntent
	for rows.Next() {
		o := &openIntent{}
		if err := rows.Scan(&o.id, &o.run, &o.op, &o.deadline, &o.rows, &o.file); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// Adopt turns the open intents of dead runs into open keys, in one transaction. Intents with a job are the job's. Open keys that
// were delivered since are closed: the run that delivered them may have died before it could say so.
func (s *Store) Adopt(ctx context.Context, sync string, settled func(run string, r deliver.IntentRow) (bool, error)) error {
	list, err := s.openIntents(ctx, sync)
	if err != nil {
		return stateFault(err, "reading open intents")
	}
	for _, o := range list {
		for r, err := range s.intentRows(o.rows, o.file) {
			if err != nil {
				return stateFault(err, "reading open intents")
			}
			done, err := settled(o.run, r)
			if err != nil {
				return err
			}
			if !done {
				o.left = append(o.left, r)
			}
		}
	}
	closed, err := s.deliveredSince(ctx, sync, settled)
	if err != nil {
		return err
	}
	if len(list)+len(closed) == 0 {
		return nil
	}
	now := time.Now().UnixMilli()
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := dropRefusals(tx, sync, closed, "unknown"); err != nil {
			return err
		}
		for _, o := range list {
			for _, r := range o.left {
				if err := adoptRow(ctx, tx, sync, o.run, o.op, o.deadline, now, r); err != nil {
					return err
				}
			}
			if err := s.dropIntent(tx, o.id); err != nil {
				return err
			}
		}
		return nil
	})
}

// deliveredSince lists open keys with an acknowledgement at least as new as the request that left them open.
func (s *Store) deliveredSince(ctx context.Context, sync string, settled func(run string, r deliver.IntentRow) (bool, error)) (keys [][]byte, err error) {
	open, err := s.Open(ctx, sync)
	if err != nil {
		return nil, err
	}
	for _, o := range open {
		done, err := settled(o.Run, deliver.IntentRow{Key: o.Key, Match: o.Match, RemoteID: o.RemoteID})
		if err != nil {
			return nil, err
		}
		if done {
			keys = append(keys, o.Key)
		}
	}
	return keys, nil
}

func adoptRow(ctx context.Context, tx *sql.Tx, sync, runID, op string, deadline, now int64, r deliver.IntentRow) error {
	// a refusal of the same run says more than the intent: rejected rows are settled, unknown ones are open already
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM refusals WHERE sync = ? AND key = ? AND kind IN ('rejected','unknown') AND run = ?`, sync, r.Key, runID).Scan(&n); err != nil || n > 0 {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO refusals (sync, key, kind, op, match, remote_id, person, deadline, code, field, message, fingerprint, mapping,
		first_seen, last_seen, next_at, attempts, run, excerpt) VALUES (?,?,'unknown',?,?,?,0,?,?,'',?,0,'',?,?,?,1,?,'')
		ON CONFLICT (sync, key, kind) DO UPDATE SET deadline = max(deadline, excluded.deadline), last_seen = excluded.last_seen, run = excluded.run,
		match = excluded.match, op = excluded.op`,
		sync, r.Key, op, nonNil(row.AppendValues(nil, r.Match)), r.RemoteID, deadline, string(fault.DestUnknownOutcome),
		"the process ended while the request was open", now, now, 0, runID)
	return err
}

// Open lists the keys with an open outcome.
func (s *Store) Open(ctx context.Context, sync string) ([]run.OpenKey, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT key, match, remote_id, run, op, person, deadline FROM refusals WHERE sync = ? AND kind = 'unknown'`, sync)
	if err != nil {
		return nil, stateFault(err, "reading open outcomes")
	}
	defer rows.Close()
	var out []run.OpenKey
	for rows.Next() {
		var k run.OpenKey
		var match []byte
		var op string
		var deadline int64
		if err := rows.Scan(&k.Key, &match, &k.RemoteID, &k.Run, &op, &k.Person, &deadline); err != nil {
			return nil, stateFault(err, "reading open outcomes")
		}
		if k.Match, err = values(match); err != nil {
			return nil, stateFault(err, "reading open outcomes")
		}
		k.Op, k.Deadline = connector.Op(op), time.UnixMilli(deadline)
		out = append(out, k)
	}
	return out, stateFault(rows.Err(), "reading open outcomes")
}

func values(b []byte) (out []row.Value, err error) {
	for len(b) > 0 {
		var v row.Value
		if v, b, err = row.ReadBinary(b); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Refused lists what the planner must know of rejected and unknown rows, by key.
func (s *Store) Refused(ctx context.Context, sync string, now time.Time) (map[string]plan.Refusal, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT key, kind, op, fingerprint, mapping, next_at, due, code FROM refusals WHERE sync = ? AND kind IN ('rejected','unknown')`, sync)
	if err != nil {
		return nil, stateFault(err, "reading refusals")
	}
	defer rows.Close()
	out := map[string]plan.Refusal{}
	for rows.Next() {
		var key []byte
		var kind, op, mapping, code string
		var print, next int64
		var due bool
		if err := rows.Scan(&key, &kind, &op, &print, &mapping, &next, &due, &code); err != nil {
			return nil, stateFault(err, "reading refusals")
		}
		out[string(key)] = plan.Refusal{
			Fingerprint: uint64(print), Mapping: mapping, Code: fault.Code(code),
			Due:     due || kind == "rejected" && next != 0 && next <= now.UnixMilli(), // an open outcome is due only when a person says so
			Removal: connector.Op(op) == connector.OpDelete || connector.Op(op) == connector.OpClear || connector.Op(op) == connector.OpDrop,
		}
	}
	return out, stateFault(rows.Err(), "reading refusals")
}

// Jobs lists asynchronous jobs a dead run left behind.
func (s *Store) Jobs(ctx context.Context, sync string) ([]deliver.SavedJob, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, intent, op, handle, rows FROM jobs WHERE sync = ? ORDER BY id`, sync)
	if err != nil {
		return nil, stateFault(err, "reading jobs")
	}
	defer rows.Close()
	var out []deliver.SavedJob
	for rows.Next() {
		var j deliver.SavedJob
		var op, handle string
		if err := rows.Scan(&j.ID, &j.Intent, &op, &handle, &j.Rows); err != nil {
			return nil, stateFault(err, "reading jobs")
		}
		if err := json.Unmarshal([]byte(handle), &j.Job); err != nil {
			return nil, fault.Wrap(fault.StateCorrupt, err, "reading a job's handle")
		}
		j.Op = connector.Op(op)
		out = append(out, j)
	}
	return out, stateFault(rows.Err(), "reading jobs")
}

// Invalidate records the invalid rows of a complete read and closes those of earlier reads.
func (s *Store) Invalidate(ctx context.Context, sync, runID string, list []run.Refused) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for i := range list {
			r := &list[i]
			if _, err := tx.ExecContext(ctx, `INSERT INTO refusals (sync, key, kind, op, match, remote_id, person, deadline, code, field, message, fingerprint,
				mapping, first_seen, last_seen, next_at, attempts, run, excerpt) VALUES (?,?,'invalid','',x'','',0,0,?,?,?,0,'',?,?,0,1,?,'')
				ON CONFLICT (sync, key, kind) DO UPDATE SET code = excluded.code, field = excluded.field, message = excluded.message,
				last_seen = excluded.last_seen, attempts = attempts + 1, run = excluded.run`,
				sync, nonNil(r.Key), string(r.Code), r.Field, r.Message, r.FirstSeen.UnixMilli(), r.LastSeen.UnixMilli(), runID); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM refusals WHERE sync = ? AND kind = 'invalid' AND run <> ?`, sync, runID)
		return err
	})
}

// Gone closes refusals of keys that no longer stand.
func (s *Store) Gone(ctx context.Context, sync string, keys [][]byte) error {
	return s.write(ctx, func(tx *sql.Tx) error { return dropRefusals(tx, sync, keys, "rejected") })
}

// Renew leaves keys open and forgets which records their requests were for.
func (s *Store) Renew(ctx context.Context, sync string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE refusals SET match = x'', remote_id = '' WHERE sync = ? AND kind = 'unknown'`, sync)
		return err
	})
}

const refusedColumns = `sync, key, kind, code, field, message, first_seen, last_seen, next_at, attempts, run, excerpt, due`

// Refusals lists rows on record, newest first.
func (s *Store) Refusals(ctx context.Context, sync string) ([]run.Refused, error) {
	got, err := scanRefused(s.db.QueryContext(ctx, `SELECT `+refusedColumns+` FROM refusals WHERE ?1 = '' OR sync = ?1 ORDER BY sync, code, field, last_seen DESC, key`, sync))
	return got, stateFault(err, "reading refusals")
}

// RefusalOf finds one key's refusal; rejected and unknown come before invalid.
func (s *Store) RefusalOf(ctx context.Context, sync string, key []byte) (*run.Refused, error) {
	got, err := scanRefused(s.db.QueryContext(ctx, `SELECT `+refusedColumns+` FROM refusals WHERE sync = ? AND key = ? ORDER BY kind = 'invalid' LIMIT 1`, sync, key))
	if err != nil || len(got) == 0 {
		return nil, stateFault(err, "reading refusals")
	}
	return &got[0], nil
}

func scanRefused(rows *sql.Rows, err error) ([]run.Refused, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []run.Refused
	for rows.Next() {
		var r run.Refused
		var code string
		var first, last, next int64
		var due bool
		if err := rows.Scan(&r.Sync, &r.Key, &r.Kind, &code, &r.Field, &r.Message, &first, &last, &next, &r.Attempts, &r.Run, &r.Excerpt, &due); err != nil {
			return nil, err
		}
		r.Code = fault.Code(code)
		r.FirstSeen, r.LastSeen = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
		if next != 0 {
			r.NextAt = time.UnixMilli(next).UTC()
		}
		if due {
			r.NextAt = r.LastSeen
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// MakeDue makes refused rows due now, unknown ones that wait for a person included.
func (s *Store) MakeDue(ctx context.Context, sync string) (n int64, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE refusals SET due = 1 WHERE sync = ? AND kind IN ('rejected','unknown')`, sync)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}
