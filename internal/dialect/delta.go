package dialect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Compared says what a model is compared with and which rows leave the warehouse beside those that differ.
type Compared struct {
	Shape
	Model connector.Query // SQL or Table, and Where
	Run   string          // names the tables of this comparison
	// Empty: there is nothing to compare with; every row is new.
	Empty bool
	// Everything: every row leaves, as a changed mapping may turn the same columns into another record.
	Everything bool
	// Bare: of the ledger table only the key's columns are like the model's. It goes with Everything.
	Bare bool
	// Settled are states of entries whose rows left the model and that nobody needs to hear of again.
	Settled []int
	// Asked are keys whose rows leave in any case: with an open outcome, or refused. Texts of their values, in the key's order.
	Asked [][]row.Value
}

// Delta is the one statement that compares. Its rows are: the model's columns in the order of Shape, then colPresent, colEntry
// and colTotal. It holds every row that is new, differs, has a null key or shares its key; every entry whose row is gone; the
// rows asked for; where a match is not the key, everything that shares a match with one of these; and one row with the total.
func (l Ledger) Delta(c Compared) (connector.Query, error) {
	if err := l.comparable(c.Shape); err != nil {
		return connector.Query{}, err
	}
	p := &params{d: l.Dialect}
	s := &strings.Builder{}
	s.WriteString("WITH upwell_cur AS " + l.Dialect.Ledger.Materialized + "(" + l.current(c, l.model(c)) + "),\n")
	fmt.Fprintf(s, "upwell_dup AS (SELECT %s, COUNT(*) AS upwell_n FROM upwell_cur GROUP BY %[1]s HAVING COUNT(*) > 1)", numbered("", "upwell_x", len(c.Key)))
	present := "CASE WHEN d.upwell_n > 1 THEN 2 ELSE c.upwell_one END"
	dup := "LEFT JOIN upwell_dup AS d ON " + equal("d.", "c.", len(c.Key))
	total := fmt.Sprintf("SELECT %s, NULL, NULL, CAST(COUNT(*) AS %s) FROM upwell_cur", nulls(len(c.Fields)), l.integer())
	if c.Empty {
		fmt.Fprintf(s, "\nSELECT %s, %s AS %s, CAST(NULL AS %s) AS %s, CAST(NULL AS %s) AS %s FROM upwell_cur AS c %s\nUNION ALL\n%s",
			l.list("c.", c.Columns()), present, colPresent, l.text(), colEntry, l.integer(), colTotal, dup, total)
		return connector.Query{SQL: s.String()}, nil
	}
	asked, err := l.asked(c, p)
	if err != nil {
		return connector.Query{}, err
	}
	s.WriteString(",\n" + asked)
	fmt.Fprintf(s, "upwell_old AS (%s),\n", l.old(c))
	once := ""
	if c.Match != nil {
		once = l.Dialect.Ledger.Materialized
	}
	fmt.Fprintf(s, "upwell_join AS %s(SELECT %s, %s AS upwell_present, o.upwell_e%s, CASE WHEN %s THEN 1 ELSE 0 END AS upwell_pick\n"+
		"FROM upwell_cur AS c FULL OUTER JOIN upwell_old AS o ON %s\n%s%s)",
		once, l.list("c.", c.Columns()), present, matchColumns(c), l.picked(c), crossed("c.upwell_x", "o.upwell_y", len(c.Key)), dup, l.joinAsked(c))
	where := "upwell_pick = 1"
	if c.Match != nil {
		s.WriteString(",\nupwell_hot AS (SELECT upwell_cm AS upwell_m FROM upwell_join WHERE upwell_pick = 1 AND upwell_cm IS NOT NULL\n" +
			"UNION ALL SELECT upwell_lm FROM upwell_join WHERE upwell_pick = 1 AND upwell_lm IS NOT NULL\n" +
			"UNION ALL SELECT upwell_cm FROM upwell_join WHERE upwell_cm IS NOT NULL GROUP BY upwell_cm HAVING COUNT(*) > 1)")
		where += " OR upwell_cm IN (SELECT upwell_m FROM upwell_hot) OR upwell_lm IN (SELECT upwell_m FROM upwell_hot)"
		// Any row may claim the match of an entry whose match is not known.
		where += " OR upwell_cm IS NOT NULL AND EXISTS (SELECT 1 FROM upwell_join WHERE upwell_pick = 1 AND upwell_present IS NULL AND upwell_lm IS NULL)"
	}
	entry, entries := "j.upwell_e", ""
	if l.late(c) {
		entry, entries = "l."+colEntry, fmt.Sprintf(" LEFT JOIN %s AS l ON l.%s = j.upwell_e", l.table(tableLedger, ""), colKey)
	}
	fmt.Fprintf(s, "\nSELECT %s, j.upwell_present, %s AS %s, CAST(NULL AS %s) AS %s FROM upwell_join AS j%s WHERE %s\nUNION ALL\n%s",
		l.list("j.", c.Columns()), entry, colEntry, l.integer(), colTotal, entries, where, total)
	return connector.Query{SQL: s.String(), Params: p.list}, nil
}

// late reports that entries join the rows that leave, and no others: the longest part of a ledger then does not pass through the
// join of all rows, which has in its place what names an entry.
func (l Ledger) late(c Compared) bool { return l.Dialect.Ledger.Late && !c.Everything }

// model gives what stands after FROM for the model: itself, or the table it was read into.
func (l Ledger) model(c Compared) string { return c.Model.Relation(l.Dialect) }

// current selects the model's columns, its key in exact form and its match folded.
func (l Ledger) current(c Compared, from string) string {
	s := "SELECT " + l.list("m.", c.Columns()) + ", " + l.keysOf("m.", "upwell_x", c) + l.matchOf("m.", "upwell_cm", c) + ", 1 AS upwell_one FROM " + from + " AS m"
	if c.Model.Where != "" {
		s += " WHERE (" + c.Model.Where + "\n)"
	}
	return s
}

func (l Ledger) keysOf(alias, name string, c Compared) string {
	out := make([]string, len(c.Key))
	for i, k := range c.Key {
		out[i] = l.exact(alias, c.field(k)) + " AS " + name + strconv.Itoa(i)
	}
	return strings.Join(out, ", ")
}

// old selects the ledger: its key in exact form, what of it decides, and what the model's columns are compared with.
func (l Ledger) old(c Compared) string {
	fresh, match := "l."+colFresh, l.matchOf("l.", "upwell_lm", c)
	if c.Bare {
		fresh = "0"
		if match != "" {
			match = ", CAST(NULL AS " + l.text() + ") AS upwell_lm"
		}
	}
	entry := colEntry
	if l.late(c) {
		entry = colKey
	}
	out := fmt.Sprintf("SELECT %s, l.%s AS upwell_e, l.%s AS upwell_s, %s AS upwell_f%s", l.keysOf("l.", "upwell_y", c), entry, colState, fresh, match)
	if !c.Everything {
		out += ", " + l.aliased("l.", "upwell_o", c)
	}
	return out + " FROM " + l.table(tableLedger, "") + " AS l"
}

// aliased selects the columns that are compared, in exact form, under numbered names.
func (l Ledger) aliased(alias, name string, c Compared) string {
	out := make([]string, len(c.Fields))
	for i, f := range c.Fields {
		out[i] = l.exact(alias, f) + " AS " + name + strconv.Itoa(i)
	}
	return strings.Join(out, ", ")
}

// matchOf makes one folded text of the columns of the match, null where one is null. Different matches may share a text.
func (l Ledger) matchOf(alias, name string, c Compared) string {
	if c.Match == nil {
		return ""
	}
	out := make([]string, len(c.Match))
	for i, m := range c.Match {
		out[i] = fmt.Sprintf(l.Dialect.Ledger.Fold, alias+l.Ident(m))
	}
	return ", " + strings.Join(out, " || ',' || ") + " AS " + name
}

func matchColumns(c Compared) string {
	if c.Match == nil {
		return ""
	}
	return ", c.upwell_cm, o.upwell_lm"
}

// picked is the condition under which a row of the join leaves the warehouse.
func (l Ledger) picked(c Compared) string {
	gone := "c.upwell_one IS NULL"
	if len(c.Settled) > 0 {
		states := make([]string, len(c.Settled))
		for i, st := range c.Settled {
			states[i] = strconv.Itoa(st)
		}
		unsettled := "o.upwell_s NOT IN (" + strings.Join(states, ", ") + ")"
		if c.Match != nil { // where its match is not known here, any row may claim it
			unsettled = "(" + unsettled + " OR o.upwell_f = 0 AND o.upwell_lm IS NULL)"
		}
		gone += " AND " + unsettled
	}
	or := []string{"o.upwell_e IS NULL", gone, "d.upwell_n > 1"}
	if len(c.Asked) > 0 {
		or = append(or, "a.upwell_one = 1")
	}
	if c.Everything {
		return strings.Join(append(or, "c.upwell_one = 1"), " OR ")
	}
	differ := []string{"o.upwell_f = 0", "o.upwell_s <> 0"}
	for i, f := range c.Fields {
		if !slices.Contains(c.Key, f.Name) {
			differ = append(differ, l.differ(l.exact("c.", f), "o.upwell_o"+strconv.Itoa(i)))
		}
	}
	return strings.Join(append(or, "c.upwell_one = 1 AND ("+strings.Join(differ, " OR ")+")"), " OR ")
}

// comparable refuses columns of kinds that the warehouse cannot compare.
func (l Ledger) comparable(s Shape) error {
	for _, f := range s.Fields {
		if as, ok := l.Dialect.Ledger.Refused[kind(f)]; ok {
			return fault.New(fault.SourceValue, "the column %q has kind %s, which a ledger in %s cannot compare", f.Name, kind(f), l.Name).
				WithFix("Write it as text in the model: "+as+". Or use diff: local.", l.Ident(f.Name))
		}
	}
	return nil
}

func (l Ledger) differ(a, b string) string {
	if d := l.Dialect.Ledger.Differ; d != "" {
		return fmt.Sprintf(d, a, b)
	}
	return a + " IS DISTINCT FROM " + b
}

// asked is the common table expression of the keys asked for, with a comma behind it; "" when there are none.
func (l Ledger) asked(c Compared, p *params) (string, error) {
	if len(c.Asked) == 0 {
		return "", nil
	}
	cells := make([]string, len(c.Key))
	for i, k := range c.Key {
		f := c.field(k)
		t, err := l.typeOf(f)
		if err != nil {
			return "", err
		}
		cells[i] = "CAST(" + fmt.Sprintf(l.Dialect.Ledger.Cell, i) + " AS " + t + ") AS " + l.Ident(k)
	}
	selected, err := l.selectRows(p, cells, c.Asked)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("upwell_asked AS (SELECT %s, 1 AS upwell_one FROM (%s) AS k),\n", l.keysOf("k.", "upwell_x", c), selected), nil
}

// joinAsked joins the keys asked for to rows and to entries.
func (l Ledger) joinAsked(c Compared) string {
	if len(c.Asked) == 0 {
		return ""
	}
	on := make([]string, len(c.Key))
	for i := range c.Key {
		on[i] = fmt.Sprintf("a.upwell_x%[1]d = COALESCE(c.upwell_x%[1]d, o.upwell_y%[1]d)", i)
	}
	return "\nLEFT JOIN upwell_asked AS a ON " + strings.Join(on, " AND ")
}

func numbered(alias, name string, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = alias + name + strconv.Itoa(i)
	}
	return strings.Join(out, ", ")
}

func equal(a, b string, n int) string { return crossed(a+"upwell_x", b+"upwell_x", n) }

func crossed(a, b string, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = a + strconv.Itoa(i) + " = " + b + strconv.Itoa(i)
	}
	return strings.Join(out, " AND ")
}

func nulls(n int) string { return strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") }
