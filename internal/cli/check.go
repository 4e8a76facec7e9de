package cli

import (
	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/project"
)

// checkResult is what linting found, and with --connect what was reached.
type checkResult struct {
	OK       bool           `json:"ok"`
	Project  string         `json:"project,omitempty"`
	Counts   *projectCounts `json:"counts,omitempty"`
	Warnings []*fault.Error `json:"warnings"`
	Checks   []checked      `json:"checks,omitempty"`
	problems
}

type projectCounts struct {
	Sources      int `json:"sources"`
	Destinations int `json:"destinations"`
	Models       int `json:"models"`
	Syncs        int `json:"syncs"`
}

// checked is one thing looked at with --connect.
type checked struct {
	Kind   string       `json:"kind"` // source | model | destination | sync
	Name   string       `json:"name"`
	Status string       `json:"status"` // ok | failed | skipped
	Detail string       `json:"detail,omitempty"`
	Error  *fault.Error `json:"error,omitempty"`
}

func (r *checkResult) text(p *printer) {
	for _, w := range r.Warnings {
		p.fault("warning", w)
	}
	if len(r.Checks) > 0 {
		rows := make([][]cell, len(r.Checks))
		for i, c := range r.Checks {
			s := green
			if c.Status != "ok" {
				s = yellow
			}
			if c.Status == "failed" {
				s = red
			}
			rows[i] = []cell{painted(s, c.Status), left(c.Kind), left(c.Name), left(clean(c.Detail))}
		}
		p.table("", nil, rows)
	}
	r.problems.text(p)
	if c := r.Counts; c != nil && r.OK {
		p.line("%s: %s, %s, %s, %s; %s", p.paint(green, "ok"), plural(int64(c.Sources), "source"), plural(int64(c.Destinations), "destination"),
			plural(int64(c.Models), "model"), plural(int64(c.Syncs), "sync"), plural(int64(len(r.Warnings)), "warning"))
		return
	}
	p.line("%s, %s", plural(int64(len(r.all())), "error"), plural(int64(len(r.Warnings)), "warning"))
}

// governed adds what policies keep from the tools; they are judged on definitions, so nothing is reached for it.
func governed(p *project.Project, r *checkResult) int {
	code := fault.ExitOK
	for _, name := range syncNames(p) {
		for _, f := range govern.Deny(p, p.Syncs[name]) {
			code = worst(code, r.add(f))
		}
	}
	return code
}

func (a *app) checkCommand() *cobra.Command {
	var connect, withoutSecrets bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the project, and with --connect every connection",
		Long: `Checks the project files: unknown keys, wrong types, bad references, each with file, line and the remedy.
Warnings do not fail. What a policy keeps from a destination is an error here too, with the exit code 4 of the run it would hold.
With --connect it also reaches every source and destination, describes every model and compiles every
mapping against the live schemas; it sends nothing.`,
		Example: "  upwell check\n  upwell check --connect\n  upwell check --without-secrets   # where the variables are not set",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if connect && withoutSecrets {
				return fault.New(fault.UsageUnknown, "--connect needs the secrets that --without-secrets leaves out").WithFix("use one of the two")
			}
			var opts []project.Option
			if withoutSecrets {
				opts = append(opts, project.WithoutSecrets())
			}
			r := &checkResult{Warnings: []*fault.Error{}}
			p, err := a.load(opts...)
			code := r.add(err)
			if err == nil {
				r.Project, r.Warnings = p.Name, list(p.Warnings)
				r.Counts = &projectCounts{len(p.Sources), len(p.Destinations), len(p.Models), len(p.Syncs)}
				if connect {
					if code, err = a.checkLive(cmd.Context(), p, r); err != nil {
						return err
					}
				} else {
					code = governed(p, r)
				}
			}
			r.OK = len(r.all()) == 0
			if err := a.show(r); err != nil {
				return err
			}
			return end(code)
		},
	}
	cmd.Flags().BoolVar(&connect, "connect", false, "reach every connection and check mappings against live schemas")
	cmd.Flags().BoolVar(&withoutSecrets, "without-secrets", false, "references that cannot be resolved are warnings")
	return cmd
}
