package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// ReadBack finds records of a snapshot by reading it once.
func (d *Destination) ReadBack(ctx context.Context, object connector.Object, by []string, matches [][]row.Value, fields []string) ([]connector.Found, error) {
	found := make([]connector.Found, len(matches))
	name, err := d.place(object.Name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(d.base)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, explain(err, "opening the folder %s", d.base)
	}
	defer root.Close() //nolint:errcheck // only read
	f, err := openExisting(root, name)
	if err != nil {
		return nil, explain(err, "opening %s", name)
	}
	if f == nil {
		return found, nil
	}
	defer f.Close() //nolint:errcheck // only read
	if err := d.scan(ctx, f, by, matches, fields, found); err != nil {
		return nil, explain(damaged(err), "reading %s", name)
	}
	return found, nil
}

func (d *Destination) scan(ctx context.Context, f io.Reader, by []string, matches [][]row.Value, fields []string, found []connector.Found) error {
	lines := d.format.reader(f)
	var columns []string
	if _, ok := d.format.(csv); ok {
		var err error
		if columns, err = readHeader(lines); err != nil {
			return err
		}
	}
	numeric := make([]bool, len(by))
	for _, m := range matches {
		for i, v := range m {
			numeric[i] = numeric[i] || v.Kind().Numeric()
		}
	}
	wanted := map[string][]int{}
	var rec record
	n := newNames(d.format, by, nil)
	for i, m := range matches {
		line := d.format.line(nil, n, m, nil)
		if err := d.format.parse(line, by, &rec); err != nil {
			return err
		}
		id := string(identityOf(d.format, nil, &rec, by, numeric))
		wanted[id] = append(wanted[id], i)
	}
	var id []byte
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = d.format.parse(line, columns, &rec)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", n+1, err)
		}
		if id = identityOf(d.format, id[:0], &rec, by, numeric); id == nil {
			continue
		}
		for _, i := range wanted[string(id)] {
			if found[i].Exists {
				found[i] = connector.Found{Exists: true, Ambiguous: true}
				continue
			}
			found[i] = connector.Found{Exists: true, Values: make([]row.Value, len(fields))}
			for k, name := range fields {
				if cell := rec.cell(name); cell != nil {
					found[i].Values[k] = d.format.value(cell)
				}
			}
		}
	}
}
