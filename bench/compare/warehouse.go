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

// warehouse measures a ledger in the warehouse when nothing changed, against the very statements that compare, run by a bare program.
func (b *bench) warehouse(ctx context.Context) error {
	name := "PostgreSQL, diff: warehouse, nothing changed"
	if !b.wants(name) {
		return nil
	}
	dir, err := b.project("warehouse", "type: postgres, dsn: '"+b.src+"', diff: warehouse", "type: postgres, dsn: '"+b.dst+"'", "accounts")
	if err != nil {
		return err
	}
	if err := b.onTarget(ctx, "TRUNCATE accounts"); err != nil {
		return err
	}
	if _, err := b.upwell(dir); err != nil {
		return err
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
	return b.pair(line{name: name, most: 1.3, of: "the same SQL by hand"}, nil, nil,
		func() (measure, error) { return timed("bin/ref", "sql", b.src, script) }, func() (measure, error) { return b.upwell(dir) })
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
