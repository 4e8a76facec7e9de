package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

func exportable(name string) error {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv", ".jsonl":
		return nil
	}
	return fault.New(fault.UsageUnknown, "exporting to %s: the ending says no format", name).WithFix("name a file that ends in .csv or .jsonl")
}

// exportRows writes refused rows into a private file.
func exportRows(name string, rows []refusedRow) error {
	var b bytes.Buffer
	if strings.EqualFold(filepath.Ext(name), ".jsonl") {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		for i := range rows {
			if err := enc.Encode(&rows[i]); err != nil {
				return fault.Wrap(fault.Internal, err, "writing %s", name)
			}
		}
		return writeWhole(name, b.Bytes())
	}
	w := csv.NewWriter(&b)
	lines := [][]string{{"sync", "key", "kind", "code", "field", "message", "first_seen", "last_seen", "attempts", "next_attempt_at", "run_id"}}
	for i := range rows {
		r := &rows[i]
		lines = append(lines, []string{
			r.Sync, keyText(r.Key), r.Kind, string(r.Code), r.Field, r.Message, timeText(r.FirstSeen), timeText(r.LastSeen),
			strconv.Itoa(r.Attempts), timeText(r.NextAt), r.RunID,
		})
	}
	for _, line := range lines {
		for i := range line {
			line[i] = harmless(line[i])
		}
	}
	if err := w.WriteAll(lines); err != nil {
		return fault.Wrap(fault.Internal, err, "writing %s", name)
	}
	return writeWhole(name, b.Bytes())
}

// harmless keeps a spreadsheet from taking a cell for a formula: a cell that begins like one gets an apostrophe in front, as
// OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection). Plain numbers stay numbers.
func harmless(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r\n|%", rune(s[0])) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s
	}
	return "'" + s
}

func keyText(key object) string {
	if len(key) == 1 {
		return key[0].Value.String()
	}
	parts := make([]string, len(key))
	for i, n := range key {
		parts[i] = n.Name + "=" + n.Value.String()
	}
	return strings.Join(parts, ",")
}

func timeText(t instant) string {
	if time.Time(t).IsZero() {
		return ""
	}
	return time.Time(t).UTC().Format(time.RFC3339)
}
