package project

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
)

// Schema gives the JSON Schema (draft 2020-12) of a project file, the settings of every registered connector included. It
// describes one file; what spans files (references, names defined twice) only Load can check.
func Schema(reg Registry) ([]byte, error) {
	defs := schema{
		"model": modelSchema(), "sync": syncKeys.object(), "policy": policyKeys.oneOf(effects...),
	}
	sources, destinations := reg.Types()
	values := map[string]schema{
		"version":      {"const": 1},
		"name":         exactText(),
		"dbt":          nullable(dbtKeys.object()),
		"sources":      named(connections("source", sources, reg.SourceSpec, sourceKeys, defs)),
		"destinations": named(connections("destination", destinations, reg.DestinationSpec, destinationKeys, defs)),
		"models":       named(schema{"$ref": "#/$defs/model"}),
		"syncs":        named(schema{"$ref": "#/$defs/sync"}),
		"policies":     {"type": []string{"array", "null"}, "items": schema{"$ref": "#/$defs/policy"}},
	}
	shape := make(shape, len(projectKeys))
	for i, k := range projectKeys {
		shape[i] = key{name: k.name, doc: k.doc, value: values[k.name]}
	}
	doc := shape.object()
	doc["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	doc["title"] = "Upwell project file"
	doc["patternProperties"] = schema{"^x-": true}
	doc["$defs"] = defs
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the JSON Schema: %w", err)
	}
	return append(out, '\n'), nil
}

// connections gives the schema of one connection: its type picks the settings.
func connections(kind string, types []string, find func(string) (connector.Spec, bool), common shape, defs schema) schema {
	var branches []any
	for _, t := range types {
		spec, ok := find(t)
		if !ok {
			continue
		}
		def := kind + "_" + t
		defs[def] = connection(spec, common)
		branches = append(branches, schema{
			"if":   schema{"properties": schema{"type": schema{"const": t}}, "required": []string{"type"}},
			"then": schema{"$ref": "#/$defs/" + def},
		})
	}
	out := schema{
		"type": "object", "required": []string{"type"},
		"properties": schema{"type": schema{"enum": types, "description": "Connector type."}},
	}
	if branches != nil {
		out["allOf"] = branches
	}
	return out
}

func connection(spec connector.Spec, common shape) schema {
	keys := make(shape, 0, len(common)+len(spec.Settings))
	for _, k := range common {
		if k.name == "type" {
			k.value = schema{"const": spec.Type}
			k.doc = strings.TrimSpace(spec.Title + ". " + spec.Summary)
		}
		keys = append(keys, k)
	}
	for _, s := range settingsOf(spec) {
		if !slices.Contains(common.names(), s.Name) {
			keys = append(keys, settingKey(s))
		}
	}
	return keys.object()
}

func settingKey(s connector.Setting) key {
	doc := s.Doc
	if s.Secret {
		doc += " A secret: use ${env:NAME} or ${file:path}."
	}
	if s.Type == connector.TypeCEL && len(s.Vars) > 0 {
		doc += " A CEL expression over " + words(s.Vars) + "."
	}
	v := settingValue(s)
	if s.Default != "" {
		v["default"] = defaultValue(s)
	}
	if s.Example != "" && s.Type != connector.TypeGroup {
		v["examples"] = []string{s.Example}
	}
	return key{name: s.Name, doc: strings.TrimSpace(doc), value: v, required: s.Required}
}

// settingValue takes what the loader takes. A key without a value counts as left out, so null stands beside every optional type.
func settingValue(s connector.Setting) schema {
	var v schema
	switch s.Type {
	case connector.TypeInt:
		v = schema{"anyOf": []any{schema{"type": "integer"}, referenceText()}}
	case connector.TypeBool:
		v = boolValue()
	case connector.TypeDuration:
		v = patternText(durationPattern)
	case connector.TypeSize:
		v = schema{"anyOf": []any{schema{"type": "integer", "minimum": 0}, schema{"type": "string", "pattern": sizePattern}, referenceText()}}
	case connector.TypeMap:
		v = mapOf(textValue())
	case connector.TypeList:
		v = textList()
	case connector.TypeGroup:
		keys := make(shape, len(s.Fields))
		for i, f := range s.Fields {
			keys[i] = settingKey(f)
		}
		v = keys.object()
	case connector.TypeCEL:
		v = exactText()
	default: // text
		v = textValue()
		if len(s.Enum) > 0 {
			v = schema{"anyOf": []any{choice(s.Enum...), referenceText()}}
		}
	}
	if s.Required {
		return v
	}
	return schema{"anyOf": []any{v, schema{"type": "null"}}}
}

func defaultValue(s connector.Setting) any {
	switch s.Type {
	case connector.TypeInt:
		if i, err := strconv.ParseInt(s.Default, 10, 64); err == nil {
			return i
		}
	case connector.TypeBool:
		return s.Default == "true"
	case connector.TypeList:
		return strings.Split(s.Default, ",")
	case connector.TypeString, connector.TypeDuration, connector.TypeSize, connector.TypeMap, connector.TypeGroup, connector.TypeCEL:
	}
	return s.Default
}
