package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// contextFlags are the settings of a context.
type contextFlags struct {
	plane, caFile              string
	allowHTTP                  bool
	clientID, issuer, audience string
	scopes                     []string
	tokenFile, secretFile      string
}

func (a *App) contextSet() *cobra.Command {
	var s contextFlags
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Make or change a context, and use it where there is no other", Args: cobra.ExactArgs(1),
		Long: "Make or change a context, and use it where there is no other. What is not named stays.\n\n" +
			"It is authenticated by a token (--token-file), by a key of a service account (--client-id, --client-secret-file), or by a person's login\n" +
			"(--issuer, --client-id, then hcpctl login). Secrets are read from files, - is standard input: command lines are seen by others.",
		Example: "  hcpctl context set example --server http://127.0.0.1:8080 --token-file token.txt\n" +
			"  hcpctl context set ci --server https://hcp.example.com --client-id 0198c2de-0000-7000-8000-000000000001 --client-secret-file secret.txt\n" +
			"  hcpctl context set ops --server https://hcp.example.com --plane ops --issuer https://login.example.com --client-id hcpctl",
		RunE: func(cmd *cobra.Command, args []string) error { return a.setContext(cmd, args[0], s) },
	}
	f := cmd.Flags()
	// --server and --project are flags of every command; here they are stored.
	f.StringVar(&s.plane, "plane", "", "tenant or ops (default tenant)")
	f.StringVar(&s.caFile, "ca-file", "", "PEM file of the authority that signed the server's certificate")
	f.BoolVar(&s.allowHTTP, "allow-http", false, "send tokens readably over the network")
	f.StringVar(&s.clientID, "client-id", "", "client_id of a service account's key, or of hcpctl with the issuer")
	f.StringVar(&s.issuer, "issuer", "", "OIDC issuer of the login")
	f.StringVar(&s.audience, "audience", "", "audience to ask the issuer for")
	f.StringSliceVar(&s.scopes, "scope", nil, "scopes to ask the issuer for (default openid,offline_access)")
	f.StringVar(&s.tokenFile, "token-file", "", "file of a token; - is standard input")
	f.StringVar(&s.secretFile, "client-secret-file", "", "file of the secret of a service account's key; - is standard input")
	cmd.MarkFlagsMutuallyExclusive("token-file", "client-secret-file")
	cmd.MarkFlagsMutuallyExclusive("token-file", "issuer")
	cmd.MarkFlagsMutuallyExclusive("client-secret-file", "issuer")
	cmd.ValidArgsFunction = a.completeContext
	completeChoices(cmd, "plane", []string{config.PlaneTenant, config.PlaneOps})
	return cmd
}

func (a *App) setContext(cmd *cobra.Command, name string, s contextFlags) error {
	if err := config.CheckName(name); err != nil {
		return fail.Usagef("%v", err)
	}
	var secret string
	if path := firstOf(s.tokenFile, s.secretFile); path != "" {
		var err error
		if secret, err = a.secretInput(path); err != nil {
			return err
		}
	}
	return a.edit(func(f *config.File) error {
		old := f.Contexts[name]
		c := a.changedContext(cmd, old, s)
		if err := c.Check(); err != nil {
			return fail.Usagef("%v", err)
		}
		if old.Server != "" && old.Server != c.Server && secret == "" {
			// The secrets were meant for the old server.
			if err := a.forget(name, old); err != nil {
				return err
			}
		}
		if secret != "" {
			if err := a.keepSecret(name, s, secret); err != nil {
				return err
			}
		}
		f.Contexts[name] = c
		if f.Current == "" {
			f.Current = name
		}
		return nil
	})
}

// keepSecret stores the secret of a context, and says where.
func (a *App) keepSecret(name string, s contextFlags, secret string) error {
	d, err := a.dirs()
	if err != nil {
		return err
	}
	kind := credential.SecretToken
	if s.secretFile != "" {
		kind = credential.SecretClient
	}
	where, err := a.vault(d).Set(name, kind, secret)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stderr, "The secret is kept in %s.\n", where)
	return err
}

// changedContext lays the flags over the context as it was.
func (a *App) changedContext(cmd *cobra.Command, c config.Context, s contextFlags) config.Context {
	set := func(flag string, to *string, value string) {
		if cmd.Flags().Changed(flag) {
			*to = value
		}
	}
	set("server", &c.Server, a.flags.server)
	set("project", &c.Project, a.flags.project)
	set("plane", &c.Plane, s.plane)
	set("ca-file", &c.CAFile, s.caFile)
	set("client-id", &c.Auth.ClientID, s.clientID)
	set("issuer", &c.Auth.Issuer, s.issuer)
	set("audience", &c.Auth.Audience, s.audience)
	if cmd.Flags().Changed("scope") {
		c.Auth.Scopes = s.scopes
	}
	if cmd.Flags().Changed("allow-http") {
		c.AllowHTTP = s.allowHTTP
	}
	if c.Plane == "" {
		c.Plane = config.PlaneTenant
	}
	switch {
	case s.tokenFile != "":
		c.Auth = config.Auth{Method: config.MethodToken}
	case s.secretFile != "":
		c.Auth = config.Auth{Method: config.MethodClientCredentials, ClientID: c.Auth.ClientID}
	case s.issuer != "":
		c.Auth.Method = config.MethodDevice
	}
	return c
}
