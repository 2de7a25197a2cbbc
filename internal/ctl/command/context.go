package command

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func (a *App) contextCommand() *cobra.Command {
	cmd := group("context", "Contexts: server, plane, project and login", a.contextList(), a.contextShow(), a.contextUse(), a.contextSet(), a.contextDelete())
	cmd.Long = "Contexts: server, plane, project and login. They are kept in a file that only you can read; secrets are in the keyring where there is one, else in another such file."
	return cmd
}

// edit changes the file of contexts.
func (a *App) edit(change func(*config.File) error) error {
	d, err := a.dirs()
	if err != nil {
		return err
	}
	f, err := config.Load(d.File())
	if err != nil {
		return err
	}
	if err := change(&f); err != nil {
		return err
	}
	return f.Save(d.File())
}

func contextResource() output.Resource {
	return output.Resource{Kind: "context", Columns: []output.Column{
		{Header: "current", Path: "current"},
		{Header: "name", Path: "name"},
		{Header: "server", Path: "server"},
		{Header: "plane", Path: "plane"},
		{Header: "project", Path: "project"},
		{Header: "login", Path: "auth.method"},
		{Header: "client_id", Path: "auth.client_id", Wide: true},
		{Header: "issuer", Path: "auth.issuer", Wide: true},
	}}
}

// contextJSON is a context as it is printed.
func contextJSON(name string, current bool, c config.Context) (json.RawMessage, error) {
	return json.Marshal(struct {
		Name    string `json:"name"`
		Current bool   `json:"current"`
		config.Context
	}{name, current, c})
}

func (a *App) contextList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the contexts", Args: cobra.NoArgs, Example: "  hcpctl context list",
		RunE: func(*cobra.Command, []string) error {
			p, f, err := a.contexts()
			if err != nil {
				return err
			}
			var rows []json.RawMessage
			for _, name := range contextNames(f) {
				row, err := contextJSON(name, name == a.chosen(f), f.Contexts[name])
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			return p.List(contextResource(), rows)
		},
	}
}

func (a *App) contexts() (*output.Printer, config.File, error) {
	p, err := a.printer()
	if err != nil {
		return nil, config.File{}, err
	}
	d, err := a.dirs()
	if err != nil {
		return nil, config.File{}, err
	}
	f, err := config.Load(d.File())
	return p, f, err
}

func (a *App) contextShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show [NAME]", Short: "Show a context, or the one in use", Args: cobra.MaximumNArgs(1), Example: "  hcpctl context show\n  hcpctl context show example",
		RunE: func(_ *cobra.Command, args []string) error {
			p, f, err := a.contexts()
			if err != nil {
				return err
			}
			name := a.chosen(f)
			if len(args) > 0 {
				name = args[0]
			}
			c, ok := f.Contexts[name]
			if !ok {
				return fail.Usagef("there is no context %q", name).Then("See what there is: hcpctl context list")
			}
			row, err := contextJSON(name, name == a.chosen(f), c)
			if err != nil {
				return err
			}
			return p.One(contextResource(), row)
		},
	}
	cmd.ValidArgsFunction = a.completeContext
	return cmd
}

func (a *App) contextUse() *cobra.Command {
	cmd := &cobra.Command{
		Use: "use NAME", Short: "Use a context from now on", Args: cobra.ExactArgs(1), Example: "  hcpctl context use example",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.edit(func(f *config.File) error {
				if _, ok := f.Contexts[args[0]]; !ok {
					return fail.Usagef("there is no context %q", args[0]).Then("See what there is: hcpctl context list")
				}
				f.Current = args[0]
				return nil
			})
		},
	}
	cmd.ValidArgsFunction = a.completeContext
	return cmd
}

func (a *App) contextDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a context with its secrets", Args: cobra.ExactArgs(1), Example: "  hcpctl context delete example --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := a.ask(cmd.Context(), fmt.Sprintf("Delete context %s with its stored secrets?", args[0])); err != nil {
					return err
				}
			}
			return a.edit(func(f *config.File) error {
				c, ok := f.Contexts[args[0]]
				if !ok {
					return fail.Usagef("there is no context %q", args[0])
				}
				if err := a.forget(args[0], c); err != nil {
					return err
				}
				delete(f.Contexts, args[0])
				if f.Current == args[0] {
					f.Current = ""
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.ValidArgsFunction = a.completeContext
	return cmd
}

// forget removes every secret of a context.
func (a *App) forget(name string, c config.Context) error {
	d, err := a.dirs()
	if err != nil {
		return err
	}
	if err := credential.NewCached(name, c, a.vault(d), d.Tokens()).Forget(); err != nil {
		return err
	}
	return a.vault(d).Forget(name)
}

// secretInput reads a secret from a file or standard input.
func (a *App) secretInput(path string) (string, error) {
	raw, err := readInput(path, a.Stdin)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(raw))
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return "", fail.Usagef("%s does not hold one line with a secret", path)
	}
	return s, nil
}
