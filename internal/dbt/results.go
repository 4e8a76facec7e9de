package dbt

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
)

// RunResults is what the last command of dbt did.
type RunResults struct {
	Metadata
	Command string            // build, run, test, …
	Results map[string]Result // by unique id
}

// Result is how one node went.
type Result struct {
	ID       string
	Status   string // in lower case, dbt's word: success, error, skipped, pass, fail, warn, …
	Message  string // dbt's, one line
	Failures int64  // rows that fail a test
}

// executing are the commands whose results say something of data: others (docs generate, compile, list, …) write a
// run_results.json too, in which everything they only looked at is a success.
var executing = []string{"build", "run", "test", "retry", "seed", "snapshot"}

// Executed reports whether the command built or tested anything.
func (r *RunResults) Executed() bool { return slices.Contains(executing, r.Command) }

// ReadRunResults reads a run_results.json. name stands for the file in messages.
func ReadRunResults(path, name string, newer bool) (*RunResults, error) {
	f, err := open(path, name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return parseRunResults(buffered(f), name, newer)
}

// ParseRunResults reads run results that arrived otherwise than as a file, with a webhook for instance.
func ParseRunResults(b []byte, name string, newer bool) (*RunResults, error) {
	return parseRunResults(bytes.NewReader(b), name, newer)
}

func parseRunResults(r io.Reader, name string, newer bool) (*RunResults, error) {
	out := &RunResults{Results: map[string]Result{}}
	there := false
	meta, err := artifact(r, name, isResults, newer, func(dec *json.Decoder, key string) (bool, error) {
		switch key {
		case "args":
			var args maybe[struct {
				Which text `json:"which"`
			}]
			err := dec.Decode(&args)
			out.Command = strings.ToLower(string(args.v.Which))
			return true, err
		case "results":
			there = true
			return true, items(dec, func() error { return out.add(dec) })
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, unreadable(name, "it has no `results`").WithFix("let dbt write it anew: dbt build")
	}
	out.Metadata = meta
	return out, nil
}

func (r *RunResults) add(dec *json.Decoder) error {
	var one struct {
		ID       text         `json:"unique_id"`
		Status   text         `json:"status"`
		Message  text         `json:"message"`
		Failures maybe[int64] `json:"failures"`
	}
	if err := dec.Decode(&one); err != nil {
		return err
	}
	r.Results[string(one.ID)] = Result{
		ID: string(one.ID), Status: strings.ToLower(string(one.Status)), Message: oneLine(string(one.Message), maxQuote), Failures: one.Failures.v,
	}
	return nil
}

// Freshness is how old dbt found its sources to be.
type Freshness struct {
	Metadata
	Sources map[string]SourceAge // by unique id
}

// SourceAge is the age of one source.
type SourceAge struct {
	ID       string
	Status   string // pass, warn, error, runtime error
	LoadedAt time.Time
	AsOf     time.Time // when dbt looked
	Message  string
}

// ReadFreshness reads a sources.json, which `dbt source freshness` writes. name stands for the file in messages.
func ReadFreshness(path, name string, newer bool) (*Freshness, error) {
	f, err := open(path, name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return parseFreshness(buffered(f), name, newer)
}

func parseFreshness(r io.Reader, name string, newer bool) (*Freshness, error) {
	out := &Freshness{Sources: map[string]SourceAge{}}
	meta, err := artifact(r, name, isSources, newer, func(dec *json.Decoder, key string) (bool, error) {
		if key != "results" {
			return false, nil
		}
		return true, items(dec, func() error { return out.add(dec) })
	})
	if err != nil {
		return nil, err
	}
	out.Metadata = meta
	return out, nil
}

func (f *Freshness) add(dec *json.Decoder) error {
	var one struct {
		ID       text `json:"unique_id"`
		Status   text `json:"status"`
		LoadedAt text `json:"max_loaded_at"`
		AsOf     text `json:"snapshotted_at"`
		Error    text `json:"error"`
	}
	if err := dec.Decode(&one); err != nil {
		return err
	}
	s := SourceAge{ID: string(one.ID), Status: strings.ToLower(string(one.Status)), Message: oneLine(string(one.Error), maxQuote)}
	s.LoadedAt, _ = parseTime(string(one.LoadedAt)) // a source that could not be asked has none
	s.AsOf, _ = parseTime(string(one.AsOf))
	f.Sources[s.ID] = s
	return nil
}

// Catalog is the columns that relations really have, as `dbt docs generate` found them.
type Catalog struct {
	Metadata
	Columns map[string][]Column // by unique id
}

// ReadCatalog reads a catalog.json. name stands for the file in messages.
func ReadCatalog(path, name string, newer bool) (*Catalog, error) {
	f, err := open(path, name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return parseCatalog(buffered(f), name, newer)
}

func parseCatalog(r io.Reader, name string, newer bool) (*Catalog, error) {
	out := &Catalog{Columns: map[string][]Column{}}
	meta, err := artifact(r, name, isCatalog, newer, func(dec *json.Decoder, key string) (bool, error) {
		if key != "nodes" {
			return false, nil
		}
		return true, entries(dec, func(id string) error {
			var node struct {
				Columns maybe[map[string]struct {
					Name text `json:"name"`
					Type text `json:"type"`
				}] `json:"columns"`
			}
			if err := dec.Decode(&node); err != nil {
				return err
			}
			for key, c := range node.Columns.v {
				if c.Name != "" {
					key = string(c.Name)
				}
				out.Columns[id] = append(out.Columns[id], Column{Name: key, DataType: string(c.Type)})
			}
			slices.SortFunc(out.Columns[id], func(x, y Column) int { return strings.Compare(x.Name, y.Name) })
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	out.Metadata = meta
	return out, nil
}
