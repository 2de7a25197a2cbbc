package credential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/private"
)

// ErrNoLogin is in the chain of the error for a context without credentials.
var ErrNoLogin = errors.New("not logged in")

// Static is a token that cannot be renewed.
type Static string

// Token returns the token.
func (s Static) Token(context.Context) (string, error) { return string(s), nil }

// Renew fails.
func (Static) Renew(context.Context) (string, error) {
	return "", errors.New("the token has expired, and there is no way to renew it")
}

// Cached exchanges a context's secret for access tokens, and keeps each in a
// file until shortly before it expires.
type Cached struct {
	Name    string // of the context
	Context config.Context
	Vault   Vault
	Dir     string // of the access tokens
	HTTP    *http.Client
	Now     func() time.Time
}

// margin is how long before its end a token is no longer used.
const margin = 30 * time.Second

type cachedToken struct {
	For       string    `json:"for"` // who it was made for, hashed
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Token returns the kept token or exchanges a new one.
func (c *Cached) Token(ctx context.Context) (string, error) {
	raw, err := private.Read(c.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var kept cachedToken
	if err == nil && json.Unmarshal(raw, &kept) == nil && kept.For == c.identity() && c.Now().Add(margin).Before(kept.ExpiresAt) {
		return kept.Token, nil
	}
	return c.Renew(ctx)
}

// Renew exchanges a new token.
func (c *Cached) Renew(ctx context.Context) (string, error) {
	var t token
	var err error
	if c.Context.Auth.Method == config.MethodDevice {
		t, err = c.refresh(ctx)
	} else {
		t, err = c.exchange(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("context %s: %w", c.Name, err)
	}
	return t.AccessToken, c.keep(t)
}

// keep writes an access token down.
func (c *Cached) keep(t token) error {
	if t.AccessToken == "" {
		return errors.New("the issuer's answer holds no access token")
	}
	raw, err := json.Marshal(cachedToken{For: c.identity(), Token: t.AccessToken, ExpiresAt: c.Now().Add(t.lifetime())})
	if err != nil {
		return err
	}
	return private.Write(c.path(), raw)
}

// exchange is the client credentials grant (RFC 6749, section 4.4) with the
// server's own token endpoint.
func (c *Cached) exchange(ctx context.Context) (t token, err error) {
	endpoint := strings.TrimRight(c.Context.Server, "/") + "/oauth2/token"
	if err := checkEndpoint(endpoint, c.Context.AllowHTTP); err != nil {
		return t, err
	}
	secret, err := c.Vault.Get(c.Name, SecretClient)
	if err != nil {
		return t, errors.Join(ErrNoLogin, err)
	}
	err = post(ctx, c.HTTP, endpoint, url.Values{"grant_type": {"client_credentials"}}, c.Context.Auth.ClientID, secret, &t)
	return t, err
}

// refresh is the refresh token grant (RFC 6749, section 6).
func (c *Cached) refresh(ctx context.Context) (t token, err error) {
	old, err := c.Vault.Get(c.Name, SecretRefresh)
	if err != nil {
		return t, errors.Join(ErrNoLogin, err)
	}
	m, err := discover(ctx, c.HTTP, c.Context.Auth.Issuer, c.Context.AllowHTTP)
	if err != nil {
		return t, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old}, "client_id": {c.Context.Auth.ClientID}}
	if err := post(ctx, c.HTTP, m.TokenEndpoint, form, "", "", &t); err != nil {
		if e, ok := errors.AsType[*OAuthError](err); ok && e.Code == "invalid_grant" {
			return t, errors.Join(ErrNoLogin, err)
		}
		return t, err
	}
	if t.RefreshToken != "" && t.RefreshToken != old { // rotated
		_, err = c.Vault.Set(c.Name, SecretRefresh, t.RefreshToken)
	}
	return t, err
}

// Forget removes the kept access token.
func (c *Cached) Forget() error { return private.Remove(c.path()) }

func (c *Cached) path() string { return filepath.Join(c.Dir, c.Name+".json") }

// identity changes with everything that makes a token another one.
func (c *Cached) identity() string {
	a := c.Context.Auth
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Context.Server, c.Context.Plane, a.Method, a.Issuer, a.ClientID, a.Audience, strings.Join(a.Scopes, " ")}, "\x00")))
	return hex.EncodeToString(sum[:])
}
