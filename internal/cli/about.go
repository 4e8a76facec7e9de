package cli

import (
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/project"
)

type versionResult struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (r *versionResult) text(p *printer) {
	p.line("upwell %s (%s, %s/%s)", r.Version, r.Go, r.OS, r.Arch)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Example: "  upwell version\n  upwell version --json", Args: between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return a.show(&versionResult{Version, runtime.Version(), runtime.GOOS, runtime.GOARCH})
		},
	}
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of project files",
		Long: `Prints the JSON Schema of project files, for editors. A file takes it with a first line like
  # yaml-language-server: $schema=.upwell/schema.json`,
		Example: "  upwell schema > .upwell/schema.json",
		Args:    between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			b, err := project.Schema(a.registry())
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(b)
			return err
		},
	}
}

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:     "completion SHELL",
		Short:   "Print a script that completes commands and names in a shell",
		Long:    "Prints a completion script for bash, zsh, fish or powershell. It completes commands, flags, and the names of syncs, models and runs.",
		Example: "  source <(upwell completion bash)\n  upwell completion zsh > \"${fpath[1]}/_upwell\"",
		Args:    between(1, 1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return words(shells...)(cmd, args, start)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			write, ok := map[string]func(io.Writer) error{
				"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
				"zsh":  root.GenZshCompletion,
				"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },

				"powershell": root.GenPowerShellCompletionWithDesc,
			}[args[0]]
			if !ok {
				return notOneOf("completing for a shell", args[0], shells)
			}
			return write(a.stdout)
		},
	}
}
