// Package command is the commands of hcpctl, by noun. It imports the generated
// client and the other packages of hcpctl, nothing else of ours.
package command

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
)

// App is one run of hcpctl, with all that it touches of the world.
type App struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Env     func(string) string
	Keyring credential.Keyring // nil for none
	Net     http.RoundTripper  // nil is the network
	Policy  transport.Policy
	Sleep   func(context.Context, time.Duration) error
	Now     func() time.Time
	Version string
	Browse  func(ctx context.Context, url string) error // opens a page; nil for no browser

	flags globals
}

// globals are the flags of every command.
type globals struct {
	context, server, project string
	output                   string
	columns                  []string
	noHeaders, ascii         bool
	verbose, showCurl        bool
}

// errShown ends a command whose request was shown instead of sent.
var errShown = errors.New("shown, not sent")

// Run runs the command line and returns the exit code.
func (a *App) Run(ctx context.Context) int {
	root := a.Root() //nolint:contextcheck // each command takes the context that it is run with
	root.SetArgs(a.Args)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, errShown) {
		return fail.OK
	}
	fail.Render(a.Stderr, err)
	return fail.Exit(err)
}

// oneLine joins the parts of a joined error.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }

// Root is the tree of commands.
func (a *App) Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "hcpctl",
		Short: "The command line of the Hypervisor Control Plane",
		Long: "The command line of the Hypervisor Control Plane.\n\n" +
			"A command that changes something waits until it has happened; --no-wait does not. Names are accepted wherever IDs are.\n" +
			"Results go to standard output, progress and errors to standard error.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 usage, 3 the job failed and was undone, 4 not authenticated or not allowed,\n" +
			"5 the outcome is not known, 6 the wait is over but the job goes on, 130 interrupted (the job goes on).\n\n" +
			"Environment: HCP_SERVER, HCP_TOKEN, HCP_CONTEXT, HCP_PROJECT, HCP_KEYRING=off, HCP_ALLOW_HTTP=1, NO_COLOR.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       a.Version,
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fail.Usagef("%v", err).Then("See " + cmd.CommandPath() + " --help")
	})
	a.globalFlags(root.PersistentFlags())
	root.AddCommand(
		a.vmCommand(), a.jobCommand(),
		a.imageCommand(), a.flavorCommand(), a.zoneCommand(), a.networkCommand(), a.capabilityCommand(),
		a.projectCommand(), a.quotaCommand(), a.memberCommand(), a.roleCommand(), a.roleBindingCommand(),
		a.serviceAccountCommand(), a.sshKeyCommand(),
		a.whoamiCommand(), a.statusCommand(), a.limitsCommand(), a.versionCommand(), a.errorCodeCommand(),
		a.apiCommand(), a.requestCommand(), a.contextCommand(), a.loginCommand(), a.logoutCommand(), a.opsCommand(), a.manCommand(),
	)
	a.completeGlobals(root)
	prepare(root)
	return root
}

func (a *App) globalFlags(f *pflag.FlagSet) {
	f.StringVar(&a.flags.context, "context", "", "context to use (HCP_CONTEXT)")
	f.StringVar(&a.flags.server, "server", "", "URL of the server (HCP_SERVER)")
	f.StringVarP(&a.flags.project, "project", "p", "", "project, by name or ID (HCP_PROJECT)")
	f.StringVarP(&a.flags.output, "output", "o", output.Table, "table, wide, json, yaml, csv, name, or jsonpath=EXPRESSION")
	f.StringSliceVar(&a.flags.columns, "columns", nil, "columns of table, wide or csv: headers, or paths such as addresses[].ip")
	f.BoolVar(&a.flags.noHeaders, "no-headers", false, "leave the headers out")
	f.BoolVar(&a.flags.ascii, "ascii", false, "draw with ASCII alone")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "log each request, without secrets")
	f.BoolVar(&a.flags.showCurl, "show-curl", false, "print the request as a curl command, without the token, and send nothing")
}

// prepare makes wrong arguments usage errors, and a noun alone show its help.
func prepare(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return fail.Usagef("%v", err).Then("Usage: "+cmd.UseLine(), "See "+cmd.CommandPath()+" --help")
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			e := fail.Usagef("%s has no command %q", cmd.CommandPath(), args[0])
			for _, s := range cmd.SuggestionsFor(args[0]) {
				e.Next = append(e.Next, "Did you mean: "+cmd.CommandPath()+" "+s)
			}
			return e.Then("See " + cmd.CommandPath() + " --help")
		}
		cmd.SuggestionsMinimumDistance = 2
	}
	for _, c := range cmd.Commands() {
		prepare(c)
	}
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(commands...)
	return cmd
}

// printer makes the printer that the flags ask for.
func (a *App) printer() (*output.Printer, error) {
	return output.New(output.Printer{
		W: a.Stdout, Format: a.flags.output, Columns: a.flags.columns, NoHeaders: a.flags.noHeaders,
		Style: terminal.Detect(a.Stdout, a.Env, a.flags.ascii), Now: a.Now(),
	})
}

// logger writes to standard error with -v, else nowhere.
func (a *App) logger() *slog.Logger {
	if !a.flags.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (a *App) dirs() (config.Dirs, error) { return config.FindDirs(a.Env) }

func (a *App) vault(d config.Dirs) credential.Vault {
	v := credential.Vault{Path: d.SecretsFile(), Keyring: a.Keyring}
	if strings.EqualFold(a.Env("HCP_KEYRING"), "off") {
		v.Keyring = nil
	}
	return v
}
