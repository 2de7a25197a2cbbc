// Package sim is the adapter for the simulated hypervisor simhv, to which it
// talks over HTTP only, and the reference for the contract of package
// providers. It imports providers, models and the wire format, never simhv.
package sim

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Kind is the kind of providers that this adapter serves.
const Kind providers.Kind = "sim"

// The options that a provider of this kind may have; each is a Go duration.
const (
	// OptionCallTimeout bounds one call to the hypervisor; default
	// providers.CallTimeout, at most 10 minutes.
	OptionCallTimeout = "call_timeout"
	// OptionLoginCooldown is how long a refused login is remembered before the
	// next try; default 5 s, at most 10 minutes.
	OptionLoginCooldown = "login_cooldown"
)

const (
	defaultLoginCooldown = 5 * time.Second
	maxOption            = 10 * time.Minute
)

// Factory makes adapters of this kind.
func Factory() providers.Factory {
	return providers.Factory{
		Kind: Kind,
		Open: func(_ context.Context, cfg providers.Config) (providers.Provider, error) {
			p, err := open(cfg)
			if err != nil {
				return nil, err // not p: a nil *Provider would be an interface that is not nil
			}
			return p, nil
		},
	}
}

// Provider is one simulated hypervisor.
type Provider struct {
	installationID string
	base           string // URL, with the prefix of the operations
	userAgent      string
	callTimeout    time.Duration
	http           *http.Client
	session        *session
	closed         atomic.Bool
}

var (
	_ providers.Provider     = (*Provider)(nil)
	_ providers.Suspender    = (*Provider)(nil)
	_ providers.Resizer      = (*Provider)(nil)
	_ providers.Rebuilder    = (*Provider)(nil)
	_ providers.Cloner       = (*Provider)(nil)
	_ providers.Snapshotter  = (*Provider)(nil)
	_ providers.Migrator     = (*Provider)(nil)
	_ providers.DiskAttacher = (*Provider)(nil)
	_ providers.NICAttacher  = (*Provider)(nil)
	_ providers.Consoler     = (*Provider)(nil)
)

func open(cfg providers.Config) (*Provider, error) {
	base, err := baseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.InstallationID == "" {
		return nil, fail("Open", providers.InvalidArgument, nil, "the installation ID is required")
	}
	p := &Provider{
		installationID: cfg.InstallationID,
		base:           base,
		userAgent:      "hcp-sim/1 (" + printable(cfg.ProviderID) + ")",
		callTimeout:    providers.CallTimeout,
		http:           newHTTPClient(),
	}
	cooldown := defaultLoginCooldown
	for name, value := range cfg.Options {
		var into *time.Duration
		switch name {
		case OptionCallTimeout:
			into = &p.callTimeout
		case OptionLoginCooldown:
			into = &cooldown
		default:
			return nil, fail("Open", providers.InvalidArgument, nil, fmt.Sprintf("there is no option %q", name))
		}
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || d > maxOption {
			return nil, fail("Open", providers.InvalidArgument, err, fmt.Sprintf("the option %q must be a duration of up to 10m", name))
		}
		*into = d
	}
	p.session = newSession(cooldown, p.login(cfg.Credentials))
	return p, nil
}

// baseURL refuses what cannot be an endpoint. The error never repeats the URL,
// which may hold a password.
func baseURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fail("Open", providers.InvalidArgument, nil, "the URL must be http://host:port or https://host:port")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fail("Open", providers.InvalidArgument, nil, "the URL must not hold credentials, a query or a fragment")
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// printable keeps what may stand in a header.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("()\\", r) {
			return -1
		}
		return r
	}, s)
}

// capabilities are those of the contract that the hypervisor names: the adapter
// implements whatever a simulated hypervisor can do.
func capabilities(named []string) []models.Capability {
	return slices.DeleteFunc(models.Capabilities(), func(c models.Capability) bool { return !slices.Contains(named, string(c)) })
}

// Close gives back the connections.
func (p *Provider) Close() error {
	if !p.closed.Swap(true) {
		p.http.CloseIdleConnections()
	}
	return nil
}
