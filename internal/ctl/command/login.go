package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// current is the context in use with its name.
func (a *App) current() (string, config.Context, error) {
	d, err := a.dirs()
	if err != nil {
		return "", config.Context{}, err
	}
	f, err := config.Load(d.File())
	if err != nil {
		return "", config.Context{}, err
	}
	name := a.chosen(f)
	c, ok := f.Contexts[name]
	if !ok {
		return "", c, fail.Usagef("no context is chosen").Then("Make one: hcpctl context set NAME --server URL --issuer URL --client-id ID")
	}
	return name, c, nil
}

func (a *App) loginCommand() *cobra.Command {
	return &cobra.Command{
		Use: "login", Short: "Log in with the issuer of the context", Args: cobra.NoArgs,
		Long: "Log in with the issuer of the context: open the address that is shown, on any device, and type the code.\n\n" +
			"The login is renewed by itself as long as the issuer allows.",
		Example: "  hcpctl login --context person",
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, c, err := a.current()
			if err != nil {
				return err
			}
			if c.Auth.Method != config.MethodDevice {
				return fail.Usagef("context %s has no issuer to log in with", name).
					Then("Name one: hcpctl context set " + name + " --issuer URL --client-id ID")
			}
			d, err := a.dirs()
			if err != nil {
				return err
			}
			s, err := a.cached(name, c, d)
			if err != nil {
				return err
			}
			where, err := s.Login(cmd.Context(), a.showPrompt, a.Sleep)
			if err != nil {
				return &fail.Error{Message: oneLine(err), Exit: fail.Auth, Err: err}
			}
			if where == "" {
				_, err = fmt.Fprintln(a.Stderr, "Logged in. The issuer gave no refresh token: the login ends with the access token.")
				return err
			}
			_, err = fmt.Fprintf(a.Stderr, "Logged in. The refresh token is kept in %s.\n", where)
			return err
		},
	}
}

func (a *App) showPrompt(p credential.Prompt) error {
	address := p.URL
	if p.Complete != "" {
		address = p.Complete
	}
	_, err := fmt.Fprintf(a.Stderr, "Open %s\nand confirm the code %s within %s.\n",
		fail.Clean(address), fail.Clean(p.Code), p.Until.Sub(a.Now()).Round(1e9))
	return err
}

func (a *App) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "Remove the secrets of the context", Args: cobra.NoArgs, Example: "  hcpctl logout --context person",
		RunE: func(*cobra.Command, []string) error {
			name, c, err := a.current()
			if err != nil {
				return err
			}
			return a.forget(name, c)
		},
	}
}

// projectUse stores the project with the context.
func (a *App) projectUse() *cobra.Command {
	s := spec{
		ops: "getProject", use: "use PROJECT", short: "Use a project from now on, in this context", refs: []ref{projectRef()}, example: "  hcpctl project use example",
	}
	return a.command(s, func(c *call) error {
		if c.target.name == "" {
			return fail.Usagef("no context is in use that the project could be kept with").Then("Make one: hcpctl context set NAME --server URL")
		}
		return a.edit(func(f *config.File) error {
			x := f.Contexts[c.target.name]
			x.Project = c.ids[0]
			f.Contexts[c.target.name] = x
			return nil
		})
	})
}
