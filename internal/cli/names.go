package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/state"
)

func keys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// completion is what cobra asks for the words that may follow.
type completion = func(cmd *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective)

// completeNames offers names of the project; most is how many arguments the command takes, < 0 any number.
func (a *app) completeNames(most int, names func(*project.Project) []string) completion {
	return func(_ *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		p, err := a.load(project.WithoutSecrets())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(names(p), args, start), cobra.ShellCompDirectiveNoFileComp
	}
}

// offer leaves out what is on the command line already.
func offer(names, args []string, start string) []cobra.Completion {
	var out []cobra.Completion
	for _, n := range names {
		if strings.HasPrefix(n, start) && !slices.Contains(args, n) {
			out = append(out, n)
		}
	}
	return out
}

func syncNames(p *project.Project) []string { return keys(p.Syncs) }

func sourceNames(p *project.Project) []string { return keys(p.Sources) }

func modelNames(p *project.Project) []string { return keys(p.Models) }

// completeRuns offers the newest runs.
func (a *app) completeRuns(_ *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx := context.Background()
	p, err := a.load(project.WithoutSecrets())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := state.Read(ctx, p)
	if err != nil || s.Store == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.Close() //nolint:errcheck // a completion has nobody to tell
	runs, err := s.Store.Runs(ctx, "", 50)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	out := offer([]string{"latest"}, args, start)
	for i := range runs {
		if strings.HasPrefix(runs[i].ID, start) {
			out = append(out, cobra.CompletionWithDesc(runs[i].ID, runs[i].Sync+" "+string(runs[i].Status)))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func words(list ...string) completion {
	return func(_ *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return offer(list, args, start), cobra.ShellCompDirectiveNoFileComp
	}
}
