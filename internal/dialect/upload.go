package dialect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Settled is one entry to be written or, Entry being "", forgotten.
type Settled struct {
	Key       []row.Value // as the key's columns hold it; nulls for a record without a key of the model
	Match     []row.Value // as the columns of Shape.Kept hold it, one each; nulls where it is not known
	Canonical []byte
	State     int
	Run, At   string
	RemoteID  string
	Entry     string
}

// Row is the entry as a row of Acked.
func (e *Settled) Row() []row.Value {
	entry := row.TextValue(e.Entry)
	if e.Entry == "" {
		entry = row.NullValue()
	}
	remote := strings.ReplaceAll(strings.ToValidUTF8(e.RemoteID, "\uFFFD"), "\x00", "\uFFFD") // for people; the entry has it as it is
	return append(slices.Concat(e.Key, e.Match), hexKey(e.Canonical), row.IntValue(int64(e.State)), row.TextValue(e.Run), row.TextValue(e.At), row.TextValue(remote), entry)
}

// Upload is a table of a run that rows are put into.
type Upload struct {
	connector.Into
	Make  []connector.Statement // make it anew, without rows
	cells []string              // of a row that travels as JSON
}

// Acked is the table that the acknowledgements of a run are put into.
func (l Ledger) Acked(run string, s Shape) (Upload, error) {
	t, create := l.acked(run)
	u := Upload{Make: []connector.Statement{
		l.Drop(t), sql("%s", fmt.Sprintf(create, t)+"SELECT * FROM "+l.table(tableLedger, "")+" WHERE 1 = 0"),
	}}
	u.Table = t
	for _, k := range s.Key {
		as, err := l.typeOf(s.field(k))
		if err != nil {
			return u, err
		}
		u.add(l, l.Ident(k), as)
	}
	txt := l.text()
	for _, f := range s.Kept() {
		u.add(l, l.Ident(f.Name), l.Dialect.Ledger.Types[kind(f)])
	}
	for i, as := range []string{txt, l.integer(), txt, txt, txt, txt} {
		u.add(l, []string{colKey, colState, colRun, colAt, colRemote, colEntry}[i], as)
	}
	return u, nil
}

// acked names the table of Acked, and gives what begins it.
func (l Ledger) acked(run string) (table, create string) {
	if d := l.Dialect.Ledger; d.Bulk && d.Passing != "" {
		return l.Ident(l.name("acked", run)), d.Passing
	}
	return l.Scratch(run)[2], l.Dialect.Ledger.Scratch
}

// Told is the table that the history of a run is put into: key, number, text. See Past.
func (l Ledger) Told(run string) Upload {
	t, txt, n := l.Scratch(run)[3], l.text(), l.integer()
	u := Upload{Make: []connector.Statement{
		l.Drop(t),
		sql("%s", fmt.Sprintf(l.Dialect.Ledger.Scratch, t)+
			fmt.Sprintf("SELECT CAST(NULL AS %s) AS k, CAST(NULL AS %s) AS n, CAST(NULL AS %[1]s) AS h FROM %[3]s WHERE 1 = 0", txt, n, l.inSchema(tableState))),
	}}
	u.Table = t
	for i, as := range []string{txt, n, txt} {
		u.add(l, []string{"k", "n", "h"}[i], as)
	}
	return u
}

func (u *Upload) add(l Ledger, column, as string) {
	u.cells = append(u.cells, "CAST("+fmt.Sprintf(l.Dialect.Ledger.Cell, len(u.Columns))+" AS "+as+")")
	u.Columns = append(u.Columns, column)
}

// Insert puts rows into the table by a statement, where the warehouse has no bulk way.
func (l Ledger) Insert(u Upload, rows [][]row.Value) (connector.Statement, error) {
	p := params{d: l.Dialect}
	selected, err := l.selectRows(&p, u.cells, rows)
	if err != nil {
		return connector.Statement{}, err
	}
	return p.done("INSERT INTO %s (%s) %s", u.Table, strings.Join(u.Columns, ", "), selected), nil
}

// selectRows selects cells of rows that travel as parameters: as one, or as several where one is short.
func (l Ledger) selectRows(p *params, cells []string, rows [][]row.Value) (string, error) {
	var out []string
	for first := true; first || len(rows) > 0; first = false {
		text, n, err := l.jsonRows(rows)
		if err != nil {
			return "", err
		}
		out = append(out, "SELECT "+strings.Join(cells, ", ")+" FROM "+fmt.Sprintf(l.Dialect.Ledger.Rows, p.text(text)))
		rows = rows[n:]
	}
	return strings.Join(out, "\nUNION ALL "), nil
}

// Past is one row for Told: what a run did to a key, n growing with time.
func Past(key []byte, n int64, text string) []row.Value {
	return []row.Value{hexKey(key), row.IntValue(n), row.TextValue(text)}
}

// jsonRows writes rows as a list of lists of texts and nulls, and says how many: where a statement may have several parameters, as
// many as one holds, and one at least.
func (l Ledger) jsonRows(rows [][]row.Value) (string, int, error) {
	b := []byte{'['}
	n := 0
	for i, r := range rows {
		before := len(b)
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for j, v := range r {
			if j > 0 {
				b = append(b, ',')
			}
			if v.IsNull() || v.IsAbsent() {
				b = append(b, "null"...)
				continue
			}
			b = row.AppendJSONString(b, v.String())
		}
		b = append(b, ']')
		if l.Dialect.Ledger.ParamCount > 1 && i > 0 && len(b) >= l.Dialect.Ledger.ParamBytes {
			b = b[:before]
			break
		}
		n++
	}
	b = append(b, ']')
	if !json.Valid(b) {
		return "", 0, fault.New(fault.Internal, "the acknowledgements cannot be written as JSON (%s bytes)", strconv.Itoa(len(b)))
	}
	return string(b), n, nil
}
