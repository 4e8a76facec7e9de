package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

type sandboxResult struct {
	Type     string         `json:"type"`
	Role     string         `json:"role"` // source or destination
	Addr     string         `json:"addr"`
	Settings map[string]any `json:"settings"` // as they stand in a project file

	trouble string // an example of a fault it takes
}

// nested turns settings with dotted names into what stands in a project file, typed as the connector declares them.
func nested(declared []connector.Setting, flat map[string]string) map[string]any {
	out := map[string]any{}
	for name, text := range flat {
		first, rest, deeper := strings.Cut(name, ".")
		var kind connector.SettingType
		var below []connector.Setting
		for _, s := range declared {
			if s.Name == first {
				kind, below = s.Type, s.Fields
			}
		}
		if deeper {
			part := nested(below, map[string]string{rest: text})
			if have, ok := out[first].(map[string]any); ok {
				maps.Copy(have, part)
				part = have
			}
			out[first] = part
			continue
		}
		out[name] = text
		if kind == "" && (text == "true" || text == "false") { // a setting all HTTP connectors have
			kind = connector.TypeBool
		}
		switch kind {
		case connector.TypeBool:
			out[name] = text == "true"
		case connector.TypeInt:
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				out[name] = n
			}
		case connector.TypeString, connector.TypeDuration, connector.TypeSize, connector.TypeMap, connector.TypeList, connector.TypeGroup, connector.TypeCEL:
		}
	}
	return out
}

func yaml(p *printer, indent string, settings map[string]any) {
	for _, k := range keys(settings) {
		if below, ok := settings[k].(map[string]any); ok {
			p.line("%s%s:", indent, k)
			yaml(p, indent+"  ", below)
			continue
		}
		p.line("%s%s: %s", indent, k, scalar(settings[k]))
	}
}

// scalar writes a value as YAML reads it back: in quotes where its first character would mean something else.
func scalar(v any) string {
	s := fmt.Sprint(v)
	if strings.ContainsAny(s, "\n\t") {
		return strconv.Quote(s)
	}
	if strings.IndexAny(s, "{}[]&*!|>'\"%@`#,?-") == 0 || strings.Contains(s, ": ") || strings.Contains(s, " #") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}

// misbehave is a fault that every stand-in of an HTTP service knows.
const misbehave = `{"status":503,"times":3,"retry_after":"2"}`

// trouble is an example of a fault a stand-in takes.
func trouble(s connector.Sandbox) string {
	if own, ok := s.(interface{ Trouble() string }); ok { // one that does not speak HTTP
		return own.Trouble()
	}
	return misbehave
}

func (r *sandboxResult) text(p *printer) {
	p.line("%s stands in on %s; in upwell.yml:", r.Type, r.Addr)
	p.blank()
	p.line("%ss:", r.Role)
	p.line("  %s:", r.Type)
	p.line("    type: %s", r.Type)
	yaml(p, "    ", r.Settings)
	p.blank()
	p.line("what it holds:  curl http://%s/_sandbox/records/OBJECT", r.Addr)
	p.line("misbehave:      curl -d '%s' http://%s/_sandbox/faults", r.trouble, r.Addr)
	p.line("Ctrl-C ends it.")
}

func (a *app) sandboxCommand() *cobra.Command {
	listen := "127.0.0.1:0"
	cmd := &cobra.Command{
		Use:   "sandbox NAME",
		Short: "Start a stand-in server of a tool or a warehouse",
		Long: `Starts a local stand-in of a tool and prints the settings that connect to it, for trying things without an account. NAME is a connector
(see ` + "`upwell connectors`" + `). It holds records in memory, refuses what the tool refuses, and ends with Ctrl-C.

GET /_sandbox/records/OBJECT shows what it holds, POST /_sandbox/faults injects faults.`,
		Example: "  upwell sandbox salesforce\n  upwell sandbox salesforce --listen 127.0.0.1:9000 --json",
		Args:    between(1, 1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return words(a.sandboxes()...)(cmd, args, start)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.sandbox(cmd.Context(), args[0], listen) },
	}
	cmd.Flags().StringVar(&listen, "listen", listen, "address to listen on; port 0 picks a free one")
	return cmd
}

// loopback reports whether only this machine reaches an address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// sandboxes lists the connectors that have a stand-in.
func (a *app) sandboxes() []string {
	var out []string
	for _, c := range a.destinations {
		if c.Sandbox != nil {
			out = append(out, c.Spec.Type)
		}
	}
	for _, c := range a.sources {
		if c.Sandbox != nil {
			out = append(out, c.Spec.Type)
		}
	}
	return out
}

// standIn is a connector's stand-in.
type standIn struct {
	spec  connector.Spec
	role  string
	start func(ctx context.Context, listen string) (connector.Sandbox, error)
}

// findStandIn looks for a connector's stand-in, the destination's first; known is false when there is no such connector.
func (a *app) findStandIn(name string) (s standIn, known bool) {
	if c, ok := a.Destination(name); ok {
		s, known = standIn{c.Spec, "destination", c.Sandbox}, true
	}
	if c, ok := a.Source(name); ok && s.start == nil {
		s, known = standIn{c.Spec, "source", c.Sandbox}, true
	}
	return s, known
}

func (a *app) sandbox(ctx context.Context, name, listen string) (err error) {
	c, ok := a.findStandIn(name)
	if !ok {
		f := fault.New(fault.NotFound, "there is no connector %q", name).WithFix("use one of %s", strings.Join(a.sandboxes(), ", "))
		if near := project.Suggest(name, a.sandboxes()); near != "" {
			f.WithFix("did you mean `%s`?", near)
		}
		return f
	}
	if c.start == nil {
		return fault.New(fault.NotFound, "%s has no stand-in server", name).WithFix("use one of %s", strings.Join(a.sandboxes(), ", "))
	}
	s, err := c.start(ctx, listen)
	var own *fault.Error
	switch {
	case errors.As(err, &own): // it says what it lacks, as that of Redshift does
		return own
	case err != nil:
		return fault.Wrap(fault.UsageUnknown, err, "starting the stand-in of %s on %s", name, listen).WithFix("name a free address with --listen")
	}
	a.graceful.Store(true)
	return errors.Join(a.serveSandbox(ctx, c, s), s.Close())
}

// serveSandbox prints how to reach the stand-in and waits until it is interrupted.
func (a *app) serveSandbox(ctx context.Context, c standIn, s connector.Sandbox) error {
	if !loopback(s.Addr()) {
		a.tell(func(p *printer) {
			p.line("%s: other machines can reach %s, and read what it holds", p.paint(yellow, "warning"), s.Addr())
		})
	}
	if err := a.show(&sandboxResult{c.spec.Type, c.role, s.Addr(), nested(c.spec.Settings, s.Settings()), trouble(s)}); err != nil {
		return err
	}
	select {
	case <-a.stop:
	case <-ctx.Done():
	}
	return nil
}
