package dbt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Exposure is one use of models outside of dbt, as dbt's docs show it:
// https://docs.getdbt.com/reference/exposure-properties.
type Exposure struct {
	Name        string   `json:"name"` // letters, digits and underscores
	Label       string   `json:"label"`
	Description string   `json:"description"`
	Owner       string   `json:"owner"`      // a name or an e-mail address
	DependsOn   []string `json:"depends_on"` // ref('model')
}

var noExposureName = regexp.MustCompile(`[^A-Za-z0-9_]`)

// ExposureName makes a name an exposure may have.
func ExposureName(s string) string { return noExposureName.ReplaceAllString(s, "_") }

// Reference writes how dbt refers to the model. pinned names its version also where it is the latest.
func (m *Model) Reference(pinned bool) string {
	s := "ref("
	if m.Package != m.Root && m.Package != "" {
		s += "'" + m.Package + "', "
	}
	s += "'" + m.Name + "'"
	if m.Version != "" && (pinned || !m.Latest) {
		v := m.Version
		if strings.Trim(v, "0123456789") != "" {
			v = "'" + v + "'"
		}
		s += ", v=" + v
	}
	return s + ")"
}

// WriteExposures writes a properties file of dbt. The same exposures give the same bytes.
func WriteExposures(list []Exposure) []byte {
	list = slices.Clone(list)
	slices.SortFunc(list, func(x, y Exposure) int { return strings.Compare(x.Name, y.Name) })
	var b bytes.Buffer
	b.WriteString("# Written by `upwell dbt exposures`: call it again when syncs change.\nversion: 2\n\nexposures:")
	if len(list) == 0 {
		b.WriteString(" []\n")
		return b.Bytes()
	}
	b.WriteByte('\n')
	for _, e := range list {
		fmt.Fprintf(&b, "  - name: %s\n    label: %s\n    type: application\n    description: %s\n    owner:\n", e.Name, scalar(e.Label), scalar(e.Description))
		if strings.Contains(e.Owner, "@") {
			fmt.Fprintf(&b, "      email: %s\n", scalar(e.Owner))
		} else {
			fmt.Fprintf(&b, "      name: %s\n", scalar(e.Owner))
		}
		b.WriteString("    depends_on:\n")
		for _, d := range e.DependsOn {
			fmt.Fprintf(&b, "      - %s\n", d)
		}
	}
	return b.Bytes()
}

// scalar writes a text as YAML in double quotes, which JSON's form is. dbt renders these texts as templates, so what opens one is
// taken apart.
func scalar(s string) string {
	s = strings.NewReplacer("{{", "{ {", "{%", "{ %", "{#", "{ #").Replace(s)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // a text can always be encoded
	}
	return strings.TrimSpace(b.String())
}
