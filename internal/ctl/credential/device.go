package credential

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
)

// Prompt is what a person has to open to log in.
type Prompt struct {
	URL      string // where the code is typed
	Complete string // the same with the code in it; may be empty
	Code     string
	Until    time.Time
}

// device is the answer of the device authorization endpoint (RFC 8628,
// section 3.2).
type device struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int    `json:"expires_in"` // seconds
	Interval                int    `json:"interval"`   // seconds
}

// Intervals of the polling (RFC 8628, section 3.5).
const (
	defaultInterval = 5 * time.Second
	slowDown        = 5 * time.Second
)

// Login runs the device flow (RFC 8628): show is told what the person has to
// open, sleep waits between the polls. Afterwards the access token is kept and
// the refresh token stored; where says in what.
func (c *Cached) Login(ctx context.Context, show func(Prompt) error, sleep func(context.Context, time.Duration) error) (where string, err error) {
	m, err := discover(ctx, c.HTTP, c.Context.Auth.Issuer, c.Context.AllowHTTP)
	if err != nil {
		return "", err
	}
	if m.DeviceEndpoint == "" {
		return "", fmt.Errorf("%s offers no device login", c.Context.Auth.Issuer)
	}
	if err := checkEndpoint(m.DeviceEndpoint, c.Context.AllowHTTP); err != nil {
		return "", err
	}
	d, err := c.authorizeDevice(ctx, m)
	if err != nil {
		return "", err
	}
	until := c.Now().Add(time.Duration(d.ExpiresIn) * time.Second)
	if err := show(Prompt{URL: d.VerificationURI, Complete: d.VerificationURIComplete, Code: d.UserCode, Until: until}); err != nil {
		return "", err
	}
	t, err := c.poll(ctx, m, d, until, sleep)
	if err != nil {
		return "", err
	}
	if err := c.keep(t); err != nil {
		return "", err
	}
	if t.RefreshToken == "" {
		return "", nil // the login lasts as long as the access token
	}
	return c.Vault.Set(c.Name, SecretRefresh, t.RefreshToken)
}

func (c *Cached) authorizeDevice(ctx context.Context, m metadata) (d device, err error) {
	scopes := c.Context.Auth.Scopes
	if len(scopes) == 0 {
		scopes = []string{"openid", "offline_access"}
	}
	form := url.Values{"client_id": {c.Context.Auth.ClientID}, "scope": {strings.Join(scopes, " ")}}
	if c.Context.Auth.Audience != "" {
		form.Set("audience", c.Context.Auth.Audience)
	}
	if err := post(ctx, c.HTTP, m.DeviceEndpoint, form, "", "", &d); err != nil {
		return d, err
	}
	if d.DeviceCode == "" || d.UserCode == "" || d.VerificationURI == "" || d.ExpiresIn <= 0 {
		return d, errors.New("the issuer's answer to the device login is incomplete")
	}
	for _, u := range []string{d.VerificationURI, d.VerificationURIComplete} {
		if err := checkEndpoint(u, c.Context.AllowHTTP); u != "" && err != nil {
			return d, err
		}
	}
	return d, nil
}

// poll asks for the token until the person has decided.
func (c *Cached) poll(ctx context.Context, m metadata, d device, until time.Time, sleep func(context.Context, time.Duration) error) (token, error) {
	interval := defaultInterval
	if d.Interval > 0 {
		interval = time.Duration(d.Interval) * time.Second
	}
	form := url.Values{
		"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
		"device_code": {d.DeviceCode}, "client_id": {c.Context.Auth.ClientID},
	}
	for c.Now().Before(until) {
		if err := sleep(ctx, interval); err != nil {
			return token{}, err
		}
		var t token
		err := post(ctx, c.HTTP, m.TokenEndpoint, form, "", "", &t)
		if err == nil {
			return t, nil
		}
		e, ok := errors.AsType[*OAuthError](err)
		switch {
		case !ok && ctx.Err() == nil:
			interval *= 2 // RFC 8628: back off after a connection time-out
		case !ok:
			return token{}, err
		case e.Code == "authorization_pending":
		case e.Code == "slow_down":
			interval += slowDown
		case e.Code == "access_denied":
			return token{}, errors.New("the login was refused")
		case e.Code == "expired_token":
			return token{}, errors.New("the code has expired; log in again")
		default:
			return token{}, err
		}
	}
	return token{}, errors.New("nobody logged in before the code expired; log in again")
}

// NewCached is the source of a context whose tokens are exchanged.
func NewCached(name string, c config.Context, v Vault, dir string) *Cached {
	return &Cached{Name: name, Context: c, Vault: v, Dir: dir, Now: time.Now}
}
