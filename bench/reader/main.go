// Command reader reads the workload from a warehouse into fingerprints, as a run that finds nothing changed does before it asks the
// ledger: sign in, read in batches, hash the key and the mapped record of each row. It prints the number of rows and the sum of their
// fingerprints, which is the same wherever the same rows were read.
//
//	reader [-cpuprofile FILE] TYPE SETTINGS     settings as a JSON object of texts
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/all"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

func main() {
	profile := flag.String("cpuprofile", "", "write a profile of the processor time here")
	flag.Parse()
	got, err := profiled(*profile, func() (result, error) { return read(context.Background(), flag.Args()) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(got.rows, got.prints)
}

// result is what was read: how many rows, and the sum of their fingerprints, so that their order does not count.
type result struct {
	rows   int64
	prints uint64
}

func profiled(path string, work func() (result, error)) (result, error) {
	if path == "" {
		return work()
	}
	f, err := os.Create(path)
	if err != nil {
		return result{}, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return result{}, err
	}
	got, err := work()
	pprof.StopCPUProfile()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return got, err
}

func read(ctx context.Context, args []string) (got result, err error) {
	if len(args) != 2 {
		return got, fmt.Errorf("usage: reader [-cpuprofile FILE] TYPE SETTINGS")
	}
	src, err := open(ctx, args[0], args[1])
	if err != nil {
		return got, err
	}
	defer func() {
		if cerr := src.Close(); err == nil {
			err = cerr
		}
	}()
	q := connector.Query{Table: "accounts"}
	schema, err := src.Describe(ctx, q)
	if err != nil {
		return got, err
	}
	m, err := compile(schema)
	if err != nil {
		return got, err
	}
	q.Columns = m.Columns()
	var prints mapping.Prints
	for batch, err := range src.Read(ctx, q) {
		if err != nil {
			return got, err
		}
		if err := m.Hash(batch, &prints); err != nil {
			return got, err
		}
		got.rows += batch.NumRows()
		for _, p := range prints.Print {
			got.prints += p
		}
	}
	return got, nil
}

func open(ctx context.Context, typ, settings string) (connector.Source, error) {
	values := map[string]string{}
	if err := json.Unmarshal([]byte(settings), &values); err != nil {
		return nil, fmt.Errorf("reading the settings: %w", err)
	}
	for _, c := range all.Sources() {
		if c.Spec.Type != typ {
			continue
		}
		for _, s := range c.Spec.Settings {
			if _, set := values[s.Name]; !set && s.Default != "" {
				values[s.Name] = s.Default
			}
		}
		return c.Open(ctx, connector.NewConfig(values, nil, nil), connector.Env{Name: "warehouse"})
	}
	return nil, fmt.Errorf("there is no source of type %q", typ)
}

// compile maps every column to a field of its name and kind, id being the key and the match.
func compile(schema *arrow.Schema) (*mapping.Mapping, error) {
	object := connector.Object{Name: "accounts", Kind: connector.KindRecord}
	sync := &project.Sync{Name: "accounts", Mode: connector.ModeUpsert, Match: []project.MatchField{{Field: "id", Column: "id"}}}
	for _, f := range schema.Fields() {
		kind, err := row.KindOf(f)
		if err != nil {
			return nil, err
		}
		object.Fields = append(object.Fields, connector.Field{Name: f.Name, Kind: kind, Creatable: true, Updatable: true, Nullable: true, Match: f.Name == "id"})
		if f.Name != "id" {
			sync.Fields = append(sync.Fields, project.Field{Field: f.Name, Column: f.Name})
		}
	}
	m, faults := mapping.Compile(mapping.Spec{Key: []string{"id"}, Sync: sync, Schema: schema, Object: object, Seed: 1})
	if len(faults) > 0 {
		return nil, faults
	}
	return m, nil
}
