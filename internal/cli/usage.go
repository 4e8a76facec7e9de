package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	f := fault.New(fault.UsageUnknown, "there is no command %q", name).WithFix("`%s --help` lists the commands", cmd.CommandPath())
	if near := project.Suggest(name, names); near != "" {
		f.WithFix("did you mean `%s %s`?", cmd.CommandPath(), near)
	}
	return f
}

func unknownFlag(cmd *cobra.Command, err error) error {
	f := fault.New(fault.UsageUnknown, "calling %s: %v", cmd.CommandPath(), err).WithFix("see `%s --help`", cmd.CommandPath())
	var missing *pflag.NotExistError
	if errors.As(err, &missing) && missing.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := project.Suggest(missing.GetSpecifiedName(), names); near != "" {
			f.WithFix("did you mean `--%s`?", near)
		}
	}
	return f
}

// between takes at least least and at most most arguments; most < 0 means any number.
func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fault.New(fault.UsageUnknown, "calling %s: an argument is missing", cmd.CommandPath()).WithFix("write `%s`, for instance `%s`", cmd.UseLine(), firstExample(cmd))
		case most >= 0 && len(args) > most:
			return fault.New(fault.UsageUnknown, "calling %s: %q is too much", cmd.CommandPath(), args[most]).WithFix("write `%s`", cmd.UseLine())
		}
		return nil
	}
}

func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return line
}

// notOneOf refuses a word that is none of those allowed.
func notOneOf(what, word string, allowed []string) *fault.Error {
	f := fault.New(fault.UsageUnknown, "%s: %q is not known", what, word).WithFix("use one of %s", strings.Join(allowed, ", "))
	if near := project.Suggest(word, allowed); near != "" {
		f.WithFix("did you mean `%s`?", near)
	}
	return f
}
