package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Targets of reading: rows per second of processor time, and memory.
const (
	leastRows = 1e6
	mostRSS   = 300 // MiB
)

// reading is what reading from one warehouse took.
type reading struct {
	name  string
	runs  []measure
	found string // rows and sum of fingerprints
}

// warehouses are what is read from, by name, with what the stand-in is started with.
var warehouses = []struct{ name, standIn string }{
	{"Snowflake", "snowflake"},
	{"Snowflake, compressed", "snowflake -gzip"},
	{"BigQuery", "bigquery"},
	{"Databricks", "databricks"},
	{"Redshift", "redshift"},
}

// fingerprints measures reading the workload from the stand-in of each warehouse into fingerprints. Stand-in and reader are processes of
// their own, and only the reader's processor time counts.
func (b *bench) fingerprints(ctx context.Context) error {
	for _, w := range warehouses {
		r := reading{name: "reading into fingerprints, " + w.name}
		if !b.wants(r.name) {
			continue
		}
		if err := b.readFrom(ctx, w.standIn, &r); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		b.readings = append(b.readings, r)
	}
	for _, r := range b.readings {
		if r.found != b.readings[0].found {
			return fmt.Errorf("%s gave %s, %s gave %s: these are not the same rows", r.name, r.found, b.readings[0].name, b.readings[0].found)
		}
	}
	return nil
}

func (b *bench) readFrom(ctx context.Context, standIn string, r *reading) error {
	typ, option, _ := strings.Cut(standIn, " ")
	settings, stop, err := b.startStandIn(ctx, typ, option)
	if err != nil {
		return err
	}
	for range b.repeat {
		var m measure
		if m, r.found, err = said("bin/reader", typ, settings); err != nil {
			break
		}
		if n, _, _ := strings.Cut(r.found, " "); n != fmt.Sprint(b.rows) {
			err = fmt.Errorf("%s rows were read, not %d", n, b.rows)
			break
		}
		r.runs = append(r.runs, m)
		fmt.Fprintf(os.Stderr, "%-44s reader %6.2f s %6.2f s of processor time %5.0f MiB\n", r.name, m.seconds, m.cpu, m.rss)
	}
	return errors.Join(err, stop())
}

// said runs a command, measures it and gives what it printed.
func said(name string, args ...string) (measure, string, error) {
	var out bytes.Buffer
	m, err := timedInto(&out, name, args...)
	return m, strings.TrimSpace(out.String()), err
}

// startStandIn starts a stand-in with the workload in it and gives the settings that connect to it.
func (b *bench) startStandIn(ctx context.Context, typ, option string) (settings string, stop func() error, err error) {
	csv, err := b.export(ctx)
	if err != nil {
		return "", nil, err
	}
	args := []string{typ, csv}
	if option != "" {
		args = append([]string{option}, args...)
	}
	if typ == "redshift" {
		dsn, err := b.database(ctx, "bench_redshift")
		if err != nil {
			return "", nil, err
		}
		args = append(args, dsn)
	}
	fmt.Fprintf(os.Stderr, "loading %d rows into the stand-in of %s\n", b.rows, typ)
	cmd := exec.CommandContext(ctx, "bin/standin", args...) //nolint:gosec // a program of bench/run
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	if settings, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the stand-in ended before it was ready")
		}
		return "", nil, errors.Join(err, stop())
	}
	return settings, stop, nil
}

// database makes an empty database and gives its DSN.
func (b *bench) database(ctx context.Context, name string) (string, error) {
	admin := os.Getenv("UPWELL_TEST_POSTGRES")
	c, err := pgx.Connect(ctx, admin)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx) //nolint:errcheck // done with it
	_, err = c.Exec(ctx, "CREATE DATABASE "+name)
	return strings.Replace(admin, "/postgres?", "/"+name+"?", 1), err
}

// read writes the table of reading into fingerprints.
func (b *bench) read(s *strings.Builder) {
	fmt.Fprintf(s, `
Reading into fingerprints: sign in, read the model in batches, hash the key and the mapped record (ten fields) of every row, as a run
does before it asks the ledger. The reader is a process of its own, and a core second is a second of its processor time, user and
system, from its start to its end, with everything in it: transport, decoding, hashing. The stand-in is another process; what it
computes and encodes is not counted, but the reader waits for it, so that the seconds say nothing about a warehouse. All gave the
same sum of fingerprints.

| warehouse | rows per core second | target | core seconds | seconds | peak RSS, MiB (target %d) |
|---|---|---|---|---|---|
`, mostRSS)
	for _, r := range b.readings {
		cpu, rss := median(r.runs, func(m measure) float64 { return m.cpu }), median(r.runs, func(m measure) float64 { return m.rss })
		_, name, _ := strings.Cut(r.name, ", ")
		fmt.Fprintf(s, "| %s | %.2f million | 1 million: %s | %.2f | %.2f | %.0f: %s |\n", name, float64(b.rows)/cpu/1e6, verdict(float64(b.rows)/cpu >= leastRows),
			cpu, median(r.runs, func(m measure) float64 { return m.seconds }), rss, verdict(rss <= mostRSS))
	}
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}
