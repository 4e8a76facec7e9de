package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// notYet are commands people may have read of, which this version has not.
var notYet = map[string]string{
	"serve":   "start runs from cron, CI or an orchestrator: `upwell run`",
	"policy":  "`upwell check` says what policies hold",
	"audit":   "`upwell runs` and `upwell run-log RUN` tell what was done",
	"approve": "look at `upwell plan --out FILE`, then `upwell run --plan FILE` does exactly that",
	"verify":  "`upwell explain SYNC KEY` tells what a record was sent",
	"forget":  "`upwell reset SYNC` forgets a whole sync",
	"grants":  "the pages of docs/connectors say which rights a connection needs",
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if instead, ok := notYet[name]; ok && !cmd.HasParent() {
		return fault.New(fault.UsageUnknown, "this version has no `upwell %s` yet", name).WithFix("%s", instead)
	}
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

// called gives the command a call names, "" when it names none: the first argument that is no flag and no flag's value.
func called(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-C" || args[i] == "--chdir":
			i++
		case args[i] == "--":
			return ""
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}

// helpCommand is cobra's, but for a command that does not exist.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about any command",
		Example: "  upwell help run",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			return words(names...)(cmd, args, start)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if about.HasAvailableSubCommands() && len(rest) > 0 {
				return unknownCommand(about, rest[0])
			}
			return about.Help()
		},
	}
}

func unknownFlag(cmd *cobra.Command, args []string, err error) error {
	if name := called(args); !cmd.HasParent() && name != "" { // the flag may well be one of the command's
		return unknownCommand(cmd, name)
	}
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
