package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// connectorsResult lists connectors; one connector is described in full.
type connectorsResult struct {
	Connectors []connectorDoc `json:"connectors"`
	full       bool
}

type connectorDoc struct {
	Type       string              `json:"type"`
	Title      string              `json:"title"`
	Summary    string              `json:"summary"`
	Role       string              `json:"role"` // source | destination
	APIVersion string              `json:"api_version,omitempty"`
	Modes      []connector.Mode    `json:"modes,omitempty"`
	Removed    []connector.Removal `json:"removed,omitempty"`
	Sandbox    bool                `json:"sandbox"`
	FreeObject bool                `json:"any_object,omitempty"`
	Settings   []settingDoc        `json:"settings,omitempty"`
}

type settingDoc struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Secret   bool     `json:"secret"`
	Default  string   `json:"default,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	Doc      string   `json:"doc"`
	Example  string   `json:"example,omitempty"`
}

func newConnectorDoc(role string, s connector.Spec, full bool) connectorDoc {
	d := connectorDoc{
		Type: s.Type, Title: s.Title, Summary: s.Summary, Role: role, APIVersion: s.APIVersion, Modes: s.Modes, Removed: s.Removed,
		Sandbox: s.Sandbox, FreeObject: s.FreeObject,
	}
	if full {
		d.Settings = settingDocs("", s.Settings)
	}
	return d
}

func settingDocs(prefix string, settings []connector.Setting) []settingDoc {
	var out []settingDoc
	for _, s := range settings {
		out = append(out, settingDoc{prefix + s.Name, string(s.Type), s.Required, s.Secret, s.Default, s.Enum, s.Doc, s.Example})
		out = append(out, settingDocs(prefix+s.Name+".", s.Fields)...)
	}
	return out
}

func (r *connectorsResult) text(p *printer) {
	if !r.full {
		var rows [][]cell
		for _, c := range r.Connectors {
			rows = append(rows, []cell{left(c.Role), painted(bold, c.Type), left(c.Summary)})
		}
		p.table("", []string{"ROLE", "TYPE", ""}, rows)
		return
	}
	for i, c := range r.Connectors {
		if i > 0 {
			p.blank()
		}
		c.text(p)
	}
}

func (c *connectorDoc) text(p *printer) {
	p.line("%s (%s)  %s", p.paint(bold, c.Type), c.Role, c.Title)
	p.line("  %s", c.Summary)
	if c.APIVersion != "" {
		p.line("  API version: %s", c.APIVersion)
	}
	if len(c.Modes) > 0 {
		p.line("  modes: %s", joined(c.Modes))
	}
	if len(c.Removed) > 0 {
		p.line("  removed: %s", joined(c.Removed))
	}
	if c.FreeObject {
		p.line("  objects: any name")
	}
	if c.Sandbox {
		p.line("  try it without an account: upwell sandbox %s", c.Type)
	}
	var rows [][]cell
	for _, s := range c.Settings {
		var notes []string
		if s.Required {
			notes = append(notes, "required")
		}
		if s.Secret {
			notes = append(notes, "secret")
		}
		if s.Default != "" {
			notes = append(notes, "default "+s.Default)
		}
		if len(s.Enum) > 0 {
			notes = append(notes, strings.Join(s.Enum, " | "))
		}
		rows = append(rows, []cell{left(s.Name), left(s.Type), left(strings.Join(notes, ", ")), left(s.Doc)})
	}
	p.line("  settings:")
	p.table("    ", nil, rows)
}

func joined[T ~string](list []T) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = string(v)
	}
	return strings.Join(parts, ", ")
}

func (a *app) connectorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "connectors [NAME]",
		Short: "List connectors, or describe one",
		Long: `Lists the connectors, or shows the settings and modes of one. NAME may also be a destination of the project: then it is reached, and its
objects are listed with what can be done with them and their limits.`,
		Example:           "  upwell connectors\n  upwell connectors salesforce\n  upwell connectors crm   # a destination of the project",
		Args:              between(0, 1),
		ValidArgsFunction: a.completeConnectors,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &connectorsResult{Connectors: []connectorDoc{}, full: len(args) == 1}
			take := func(role string, s connector.Spec) {
				if !r.full || s.Type == args[0] {
					r.Connectors = append(r.Connectors, newConnectorDoc(role, s, r.full))
				}
			}
			for _, c := range a.sources {
				take("source", c.Spec)
			}
			for _, c := range a.destinations {
				take("destination", c.Spec)
			}
			if len(r.Connectors) == 0 {
				return a.objects(cmd.Context(), args[0])
			}
			return a.show(r)
		},
	}
}

func (a *app) types() []string {
	var out []string
	for _, c := range a.sources {
		out = append(out, c.Spec.Type)
	}
	for _, c := range a.destinations {
		out = append(out, c.Spec.Type)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (a *app) completeConnectors(_ *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := a.types()
	if p, err := a.load(project.WithoutSecrets()); err == nil {
		names = append(names, keys(p.Destinations)...)
	}
	return offer(names, nil, start), cobra.ShellCompDirectiveNoFileComp
}

// objectsResult lists the objects of one destination of the project.
type objectsResult struct {
	Destination string      `json:"destination"`
	Type        string      `json:"type"`
	Account     string      `json:"account"`
	Limits      []limitDoc  `json:"limits"`
	Objects     []objectDoc `json:"objects"`
}

type limitDoc struct {
	Name     string  `json:"name"`
	Group    string  `json:"group,omitempty"`
	Requests int64   `json:"requests"`
	Seconds  float64 `json:"per_seconds"`
}

type objectDoc struct {
	Name       string         `json:"name"`
	Label      string         `json:"label,omitempty"`
	Kind       string         `json:"kind"`
	Keys       [][]string     `json:"keys,omitempty"`
	Operations []operationDoc `json:"operations"`
	Fields     []fieldDoc     `json:"fields,omitempty"`
}

type operationDoc struct {
	Op          string `json:"op"`
	MaxRows     int    `json:"max_rows"`
	MaxBytes    int    `json:"max_bytes,omitempty"`
	Concurrency int    `json:"concurrency"`
}

type fieldDoc struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// objects reaches a destination of the project and lists its objects.
func (a *app) objects(ctx context.Context, name string) (err error) {
	p, err := a.load()
	var conn *project.Connection
	known := a.types()
	switch {
	case err == nil:
		conn = p.Destinations[name]
		known = append(known, keys(p.Destinations)...)
	case !fault.Is(err, fault.ProjectNotFound): // NAME may be one of the project's, which cannot be told
		return err
	}
	if conn == nil {
		f := fault.New(fault.NotFound, "there is neither a connector nor a destination %q", name).WithFix("`upwell connectors` lists the connectors")
		if near := project.Suggest(name, known); near != "" {
			f.WithFix("did you mean `%s`?", near)
		}
		return f
	}
	d, spec, err := a.engine(p, nil).OpenDestination(ctx, conn, connector.OpenGate{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	account, err := d.Check(ctx)
	if err != nil {
		return placed(err, conn)
	}
	objects, err := d.Objects(ctx, nil)
	if err != nil {
		return placed(err, conn)
	}
	r := &objectsResult{Destination: name, Type: spec.Type, Account: account.Name, Limits: []limitDoc{}, Objects: []objectDoc{}}
	for _, w := range account.Windows {
		r.Limits = append(r.Limits, limitDoc{w.Name, string(w.Group), w.Requests, w.Per.Seconds()})
	}
	for i := range objects {
		r.Objects = append(r.Objects, newObjectDoc(&objects[i]))
	}
	return a.show(r)
}

func newObjectDoc(o *connector.Object) objectDoc {
	d := objectDoc{Name: o.Name, Label: o.Label, Kind: string(o.Kind), Keys: o.Keys, Operations: []operationDoc{}}
	for _, op := range keys(o.Ops) {
		x := o.Ops[op]
		d.Operations = append(d.Operations, operationDoc{string(op), max(1, x.MaxRows), x.MaxBytes, max(1, x.Concurrency)})
	}
	for _, f := range o.Fields {
		d.Fields = append(d.Fields, fieldDoc{f.Name, f.Kind.String()})
	}
	return d
}

func (r *objectsResult) text(p *printer) {
	p.line("%s (%s)  %s", p.paint(bold, r.Destination), r.Type, clean(r.Account))
	for _, l := range r.Limits {
		p.line("  limit %s: %s per %g s", l.Name, plural(l.Requests, "request"), l.Seconds)
	}
	if len(r.Objects) == 0 {
		p.line("  takes any object")
		return
	}
	var rows [][]cell
	for _, o := range r.Objects {
		var ops []string
		for _, op := range o.Operations {
			ops = append(ops, fmt.Sprintf("%s (%s a request)", op.Op, plural(int64(op.MaxRows), "row")))
		}
		rows = append(rows, []cell{left(clean(o.Name)), left(o.Kind), left(strings.Join(ops, ", "))})
	}
	p.table("  ", []string{"OBJECT", "KIND", "OPERATIONS"}, rows)
}
