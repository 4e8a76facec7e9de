package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/ledger"
)

// warehouse measures a ledger in the warehouse: a first sync and one of changes against a ledger in the state folder, and a run that
// finds nothing changed against the very statements that compare, run by a bare program.
func (b *bench) warehouse(ctx context.Context) error {
	const first, same, changed = "PostgreSQL, diff: warehouse, first sync", "PostgreSQL, diff: warehouse, nothing changed", "PostgreSQL, diff: warehouse, 1 % changed"
	if !b.wants(first) && !b.wants(same) && !b.wants(changed) {
		return nil
	}
	target := "type: postgres, dsn: '" + b.dst + "'"
	local, err := b.project("beside", "type: postgres, dsn: '"+b.src+"'", target, "accounts")
	if err != nil {
		return err
	}
	here, err := b.project("warehouse", "type: postgres, dsn: '"+b.src+"', diff: warehouse", target, "accounts")
	if err != nil {
		return err
	}
	inFolder, inWarehouse := func() (measure, error) { return b.upwell(local) }, func() (measure, error) { return b.upwell(here) }
	if err := b.pair(line{name: first, of: "diff: local"},
		func(int) error { return b.forget(ctx, local) }, func(int) error { return b.forget(ctx, here) }, inFolder, inWarehouse); err != nil {
		return err
	}
	if !b.wants(first) {
		for _, dir := range []string{local, here} {
			if err := b.forget(ctx, dir); err != nil {
				return err
			}
			if _, err := b.upwell(dir); err != nil {
				return err
			}
		}
	}
	if _, err := b.conn.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	script := filepath.Join(b.dir, "compare.sql")
	sql, err := b.comparison(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(script, []byte(sql), 0o600); err != nil {
		return err
	}
	if err := b.pair(line{name: same, most: 1.3, of: "the same SQL by hand"}, nil, nil,
		func() (measure, error) { return timed("bin/ref", "sql", b.src, script) }, inWarehouse); err != nil {
		return err
	}
	change := func(int) error { // seen by both sides, each with its own ledger
		if _, err := b.conn.Exec(ctx, "UPDATE accounts SET mrr = mrr + 1 WHERE id % 100 = 73"); err != nil {
			return err
		}
		_, err := b.conn.Exec(ctx, "VACUUM ANALYZE accounts")
		return err
	}
	return b.pair(line{name: changed, of: "diff: local"}, change, nil, inFolder, inWarehouse)
}

// forget takes a project and its target back to before their first sync.
func (b *bench) forget(ctx context.Context, dir string) error {
	if _, err := b.conn.Exec(ctx, "DROP SCHEMA IF EXISTS upwell CASCADE"); err != nil {
		return err
	}
	for _, name := range []string{".upwell", "upwell.lock"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return b.onTarget(ctx, "TRUNCATE accounts")
}

// comparison gives the statements of a run that finds nothing changed: make the delta, read it, drop it.
func (b *bench) comparison(ctx context.Context) (string, error) {
	src, err := postgres.Source().Open(ctx, connector.NewConfig(map[string]string{"dsn": b.src}, nil, nil), connector.Env{Name: "bench", Ledger: true})
	if err != nil {
		return "", err
	}
	defer src.Close() //nolint:errcheck // has nothing to close
	schema, err := src.Describe(ctx, connector.Query{Table: "accounts"})
	if err != nil {
		return "", err
	}
	l := dialect.OfSync(src.Dialect(), "", "bench", "accounts")
	keep, err := l.Keep(dialect.Compared{
		Shape: dialect.Shape{Key: []string{"id"}, Fields: schema.Fields()}, Model: connector.Query{Table: "accounts"}, Run: "by_hand",
		Settled: []int{int(ledger.Baseline)},
	})
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, s := range keep {
		if len(s.Params) > 0 {
			return "", fmt.Errorf("a comparison without open keys has parameters")
		}
		out.WriteString(s.SQL + ";\n")
	}
	out.WriteString(l.Kept("by_hand").SQL + ";\n" + l.Drop(l.Scratch("by_hand")[1]).SQL + ";\n")
	return out.String(), nil
}
