package command

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
)

// target is what a command is for.
type target struct {
	name    string // of the context; empty for none
	context config.Context
	project string // as it was given: a name or an ID; may be empty
	source  transport.Source
}

// chosen is the name of the context in use, "" for none.
func (a *App) chosen(f config.File) string {
	return firstOf(a.flags.context, a.Env("HCP_CONTEXT"), f.Current)
}

// target puts flags, environment and context together, in this order of
// precedence.
func (a *App) target() (target, error) {
	dirs, err := a.dirs()
	if err != nil {
		return target{}, err
	}
	file, err := config.Load(dirs.File())
	if err != nil {
		return target{}, err
	}
	t := target{name: a.chosen(file)}
	server := firstOf(a.flags.server, a.Env("HCP_SERVER"))
	if t.name != "" {
		c, ok := file.Contexts[t.name]
		if !ok {
			return t, fail.Usagef("there is no context %s", t.name).Then("See what there is: hcpctl context list")
		}
		t.context = c
	}
	if server != "" && server != t.context.Server {
		// The context's secrets are for the context's server alone.
		t.name = ""
		t.context = config.Context{Server: server, Plane: firstOf(t.context.Plane, config.PlaneTenant), AllowHTTP: a.Env("HCP_ALLOW_HTTP") == "1"}
	}
	if t.context.Server == "" {
		return t, fail.Usagef("no server is chosen").Then("Make a context: hcpctl context set NAME --server URL; or set HCP_SERVER.")
	}
	if err := t.context.Check(); err != nil {
		return t, fail.Usagef("%v", err)
	}
	t.project = firstOf(a.flags.project, a.Env("HCP_PROJECT"), t.context.Project)
	t.source, err = a.source(t, dirs)
	return t, err
}

// source is how the target is authenticated. HCP_TOKEN wins.
func (a *App) source(t target, dirs config.Dirs) (transport.Source, error) {
	if token := strings.TrimSpace(a.Env("HCP_TOKEN")); token != "" {
		return credential.Static(token), nil
	}
	if a.flags.showCurl {
		return credential.Static(""), nil // nothing is sent
	}
	switch t.context.Auth.Method {
	case config.MethodToken:
		token, err := a.vault(dirs).Get(t.name, credential.SecretToken)
		if err != nil {
			return nil, notLoggedIn(fmt.Errorf("%w: %w", credential.ErrNoLogin, err))
		}
		return credential.Static(token), nil
	case config.MethodClientCredentials, config.MethodDevice:
		return a.cached(t.name, t.context, dirs)
	}
	return credential.Static(""), nil
}

// cached is the source of a context whose tokens are exchanged.
func (a *App) cached(name string, c config.Context, dirs config.Dirs) (*credential.Cached, error) {
	base, err := a.network(c)
	if err != nil {
		return nil, err
	}
	s := credential.NewCached(name, c, a.vault(dirs), dirs.Tokens())
	s.HTTP = &http.Client{Transport: base, Timeout: 30 * time.Second, CheckRedirect: noRedirect}
	s.Now = a.Now
	return s, nil
}

// noRedirect keeps secrets with the host that they were meant for.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Limits of a connection. A long poll is answered after at most a minute.
const headerTimeout = 75 * time.Second

// network is the way to the network for a context.
func (a *App) network(c config.Context) (http.RoundTripper, error) {
	if a.Net != nil {
		return a.Net, nil
	}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport, nil
	}
	base = base.Clone()
	base.ResponseHeaderTimeout = headerTimeout
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file of the context: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", c.CAFile)
		}
		base.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return base, nil
}

// again is a command of hcpctl that goes to the same target.
func (a *App) again(words ...string) string {
	parts := []string{"hcpctl"}
	for _, f := range []struct{ flag, value string }{{"--context", a.flags.context}, {"--server", a.flags.server}, {"--project", a.flags.project}} {
		if f.value != "" {
			parts = append(parts, f.flag, transport.ShellQuote(f.value))
		}
	}
	for _, w := range words {
		parts = append(parts, transport.ShellQuote(w))
	}
	return strings.Join(parts, " ")
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
