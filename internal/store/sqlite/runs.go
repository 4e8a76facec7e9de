package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// BeginRun records a run's start. Runs of the same sync left without an end by a dead process become failed.
func (s *Store) BeginRun(ctx context.Context, r *run.Record) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		dead, err := scanRuns(tx.QueryContext(ctx, `SELECT doc FROM runs WHERE sync = ? AND status IN ('queued','reading','planning','delivering','settling')`, r.Sync))
		if err != nil {
			return err
		}
		for i := range dead {
			d := &dead[i]
			d.Status, d.FinishedAt = run.Failed, r.StartedAt
			d.Error = fault.New(fault.Internal, "the process ended before the run did; what it left open is settled by run %s", r.ID).
				WithClass(fault.ClassEnvironment).WithFix("nothing to do")
			if err := putRun(ctx, tx, d); err != nil {
				return err
			}
		}
		return putRun(ctx, tx, r)
	})
}

func putRun(ctx context.Context, tx *sql.Tx, r *run.Record) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO runs (id, sync, status, started, doc) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, doc = excluded.doc`, r.ID, r.Sync, string(r.Status), r.StartedAt.UnixMilli(), doc)
	return err
}

// SetStatus records a run's progress.
func (s *Store) SetStatus(ctx context.Context, id string, st run.Status) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE runs SET status = ?, doc = CAST(json_set(doc, '$.status', ?) AS BLOB) WHERE id = ?`, string(st), string(st), id)
		return err
	})
}

// FinishRun records a run's end.
func (s *Store) FinishRun(ctx context.Context, r *run.Record) error {
	return s.write(ctx, func(tx *sql.Tx) error { return putRun(ctx, tx, r) })
}

// Run finds one run by its id, a unique beginning of it, or "latest".
func (s *Store) Run(ctx context.Context, id string) (*run.Record, error) {
	query, arg := `SELECT doc FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id DESC LIMIT 2`, id
	if id == "latest" {
		query, arg = `SELECT doc FROM runs WHERE ?1 = ?1 ORDER BY id DESC LIMIT 1`, ""
	}
	got, err := scanRuns(s.db.QueryContext(ctx, query, arg))
	switch {
	case err != nil:
		return nil, stateFault(err, "reading runs")
	case len(got) == 0 || id == "":
		return nil, fault.New(fault.NotFound, "there is no run %q", id).WithFix("`upwell runs` lists them")
	case len(got) > 1 && got[0].ID != id:
		return nil, fault.New(fault.NotFound, "several runs begin with %q", id).WithFix("give more of the id")
	}
	return &got[0], nil
}

// Runs lists runs, newest first.
func (s *Store) Runs(ctx context.Context, sync string, limit int) ([]run.Record, error) {
	got, err := scanRuns(s.db.QueryContext(ctx, `SELECT doc FROM runs WHERE ?1 = '' OR sync = ?1 ORDER BY id DESC LIMIT ?2`, sync, limit))
	return got, stateFault(err, "reading runs")
}

func scanRuns(rows *sql.Rows, err error) (out []run.Record, _ error) {
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		var r run.Record
		if err := json.Unmarshal(doc, &r); err != nil {
			return nil, fmt.Errorf("a run on record is corrupt: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// SyncState gives the small facts about a sync.
func (s *Store) SyncState(ctx context.Context, sync string) (run.SyncState, error) {
	var st run.SyncState
	var doc string
	err := s.db.QueryRowContext(ctx, `SELECT doc FROM syncs WHERE sync = ?`, sync).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(doc), &st)
	}
	return st, stateFault(err, "reading the state of "+sync)
}

// SetSyncState keeps the small facts about a sync.
func (s *Store) SetSyncState(ctx context.Context, sync string, st run.SyncState) error {
	doc, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO syncs (sync, doc) VALUES (?, ?) ON CONFLICT (sync) DO UPDATE SET doc = excluded.doc`, sync, string(doc))
		return err
	})
}

// Forget drops everything about a sync but its runs.
func (s *Store) Forget(ctx context.Context, sync string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, t := range []string{"intents", "refusals", "jobs", "syncs"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+t+` WHERE sync = ?`, sync); err != nil {
				return err
			}
		}
		return nil
	})
}
