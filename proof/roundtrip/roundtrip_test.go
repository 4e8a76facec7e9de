package roundtrip_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/fault"
)

var update = flag.Bool("update", false, "rewrite golden files")

var sources = []func(*testing.T) *source{duckdbSource, parquetSource, csvSource, jsonSource, sqliteSource, postgresSource, mysqlSource}

var destinations = []func(*testing.T) *destination{
	postgresDestination, mysqlDestination, webhookDestination, jsonlDestination, csvDestination, salesforceDestination, bulkDestination,
}

// Every value arrives exactly or is refused with a reason; a second run finds nothing to send; sending everything again, in
// batches instead of a staged load, leaves the same behind.
func Test_every_value_arrives_exactly_or_is_refused(t *testing.T) {
	for _, newSource := range sources {
		src := newSource(t)
		t.Run(src.name, func(t *testing.T) {
			src.faithful(t)
			for _, newDestination := range destinations {
				dest := newDestination(t)
				if dest.only != "" && dest.only != src.name {
					continue
				}
				t.Run(dest.name, func(t *testing.T) {
					t.Parallel()
					roundTrip(t, src, dest)
				})
			}
		})
	}
}

func roundTrip(t *testing.T, src *source, dest *destination) {
	var mapped, lines []string
	for _, name := range columns {
		code, refused := dest.refuses[name]
		if !refused {
			mapped = append(mapped, name)
			continue
		}
		lines = append(lines, refusedColumn(t, src, dest, name, code))
	}
	w := newWorld(t, src, dest, mapped, dest.more)
	rec, refused := w.run(false)
	held := dest.held(t)
	if c := rec.Counts; c.Read != int64(len(src.holds)) || c.Delivered != int64(len(held)) || c.Invalid+c.Rejected != int64(len(refused)) || int(c.Read) != len(held)+len(refused) {
		t.Errorf("the counts %+v do not account for %d rows, %d held and %d refused", c, len(src.holds), len(held), len(refused))
	}
	lines = append(lines, compare(t, src, dest, mapped, held, refused)...)
	golden(t, src.name+"-"+dest.name, lines)

	writes := 0
	if dest.writes != nil {
		writes = dest.writes()
	}
	rec, again := w.run(false)
	if c := rec.Counts; c.Planned.Add+c.Planned.Change+c.Planned.Remove+c.Delivered+c.Rejected != 0 || c.Unchanged != int64(len(held)) {
		t.Errorf("the second run found changes: %+v", c)
	}
	if dest.writes != nil && dest.writes() != writes {
		t.Error("the second run wrote")
	}
	if diff := cmp.Diff(codes(refused), codes(again)); diff != "" {
		t.Errorf("the second run refused others (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(held, dest.held(t)); diff != "" {
		t.Errorf("the second run changed the destination:\n%s", diff)
	}
	if dest.clear == nil {
		return
	}
	// Rows that are read before they are written go in batches, not through a staged load.
	dest.clear(t)
	_, batched := newWorld(t, src, dest, mapped, ", read_before: true").run(false)
	if diff := cmp.Diff(held, dest.held(t)); diff != "" {
		t.Errorf("batches left something else than a staged load (-staged +batches):\n%s", diff)
	}
	if diff := cmp.Diff(codes(refused), codes(batched)); diff != "" {
		t.Errorf("batches had others refused (-staged +batches):\n%s", diff)
	}
}

// faithful checks that the source holds the examples: what it says of a value means what was written.
func (src *source) faithful(t *testing.T) {
	t.Helper()
	for _, e := range examples {
		got, ok := src.holds[e.id()]
		if !ok {
			continue
		}
		if len(got) != 1 {
			t.Errorf("%s holds %v for %s", src.name, got, e.id())
		}
		want, err := meaning(e.column, e.text)
		if err != nil {
			t.Fatal(err)
		}
		is, err := meaning(e.column, got[e.column])
		if _, expected := src.alters[e.id()]; err != nil || (is != want) != expected {
			t.Errorf("%s holds %s as %s, written as %s (%v)", src.name, e.id(), short(got[e.column]), short(e.text), err)
		}
	}
}

// refusedColumn wants planning to refuse a column of a kind the destination has no place for, and to say what to do.
func refusedColumn(t *testing.T, src *source, dest *destination, name string, code fault.Code) string {
	t.Helper()
	err := newWorld(t, src, dest, []string{name}, dest.more).plan()
	if !fault.Is(err, code) || fault.As(err).GetFix() == "" {
		t.Errorf("planning with column %s: %v, want %s with a remedy", name, err, code)
		return ""
	}
	return fmt.Sprintf("column %s refused: %s", name, fault.As(err).Message)
}

// compare says for every value what became of it, and wants each held as the source has it, or refused.
func compare(t *testing.T, src *source, dest *destination, mapped []string, held map[string]map[string]cell, refused map[string]refusal) (lines []string) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(src.holds)) {
		r, no := refused[id]
		cells, there := held[id]
		switch {
		case no && there:
			t.Errorf("%s was refused (%s) and is there", id, r.code)
		case no:
			lines = append(lines, fmt.Sprintf("%s\t%s %s %s: %s", id, r.kind, r.code, r.field, r.message))
			continue
		case !there:
			t.Errorf("%s is neither there nor refused", id)
			continue
		}
		for _, name := range mapped {
			want, has := src.holds[id][name]
			got, mentioned := cells[name]
			switch {
			case !has && got == nil, !mentioned && !has && dest.mapped[name] != "":
			case !has:
				if name != "bool" || dest.mapped[name] == "" || *got != "false" { // a checkbox is never empty
					t.Errorf("%s: %s holds %s, not null", id, name, short(*got))
				}
			case got == nil && dest.empty != nil && dest.empty(id):
				lines = append(lines, fmt.Sprintf("%s\t%s null", id, name))
			case got == nil:
				t.Errorf("%s: %s is null, want %s", id, name, short(want))
			default:
				line := fmt.Sprintf("%s\t%s %s", id, name, short(*got))
				if dest.makes != nil {
					if makes := dest.makes(name, want); makes != want {
						if differs(name, makes, want) {
							line += " made of " + short(want)
						}
						want = makes
					}
				}
				lines = append(lines, line)
				same(t, id, name, want, *got)
			}
		}
		if len(src.holds[id]) == 0 {
			lines = append(lines, id+"\tall null")
		}
	}
	for id := range held {
		if _, ok := src.holds[id]; !ok {
			t.Errorf("%s is there, and not in the source", id)
		}
	}
	return lines
}

func differs(name, a, b string) bool {
	x, err1 := meaning(name, a)
	y, err2 := meaning(name, b)
	return err1 != nil || err2 != nil || x != y
}

func same(t *testing.T, id, name, want, got string) {
	t.Helper()
	w, err := meaning(name, want)
	if err != nil {
		t.Errorf("%s: of the source: %v", id, err)
	}
	g, err := meaning(name, got)
	if err != nil {
		t.Errorf("%s: of the destination: %v", id, err)
	}
	if w != g {
		t.Errorf("%s: %s holds %s, the source has %s", id, name, short(got), short(want))
	}
}

// codes are refusals without their words.
func codes(refused map[string]refusal) map[string]string {
	out := map[string]string{}
	for id, r := range refused {
		out[id] = r.code + " " + r.field
	}
	return out
}

// short quotes a text; a long one is cut and named by its hash.
func short(s string) string {
	if utf8.RuneCountInString(s) <= 600 {
		return fmt.Sprintf("%+q", s)
	}
	return fmt.Sprintf("%+.40q… (%d bytes, sha256 %x)", s, len(s), sha256.Sum256([]byte(s)))
}

func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path, text := filepath.Join("testdata", name+".golden"), strings.Join(lines, "\n")+"\n"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte(text))
		return
	}
	if diff := cmp.Diff(string(read(t, path)), text); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", path, diff)
	}
}
