package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
)

// answerLimit bounds what is read of an issuer's answer.
const answerLimit = 1 << 20

// defaultLifetime is assumed of a token whose answer names none.
const defaultLifetime = 5 * time.Minute

// token is the answer of a token endpoint.
type token struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
}

func (t token) lifetime() time.Duration {
	if t.ExpiresIn <= 0 {
		return defaultLifetime
	}
	return time.Duration(t.ExpiresIn) * time.Second
}

// OAuthError is an error of a token endpoint (RFC 6749, section 5.2).
type OAuthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Status      int    `json:"-"`
}

// Error says what the issuer said.
func (e *OAuthError) Error() string {
	switch {
	case e.Code == "":
		return fmt.Sprintf("the issuer answered %d", e.Status)
	case e.Description != "":
		return fmt.Sprintf("the issuer answered %s: %s", e.Code, e.Description)
	}
	return "the issuer answered " + e.Code
}

// ErrEndpoint is returned for an endpoint to which secrets must not be sent.
var ErrEndpoint = errors.New("is neither https nor on this machine")

// checkEndpoint refuses to send secrets readably across a network.
func checkEndpoint(endpoint string, allowHTTP bool) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no URL", endpoint)
	}
	if u.Scheme == "https" || (u.Scheme == "http" && (allowHTTP || config.Loopback(u.Hostname()))) {
		return nil
	}
	return fmt.Errorf("%s %w", endpoint, ErrEndpoint)
}

// post sends a form and decodes the answer. id and secret, where there are
// any, are sent as HTTP Basic, which every server must know.
func post(ctx context.Context, c *http.Client, endpoint string, form url.Values, id, secret string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return do(c, req, out)
}

func do(c *http.Client, req *http.Request, out any) error {
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		e := &OAuthError{Status: resp.StatusCode}
		if json.Unmarshal(raw, e) != nil {
			e.Code = "" // something else answered
		}
		return e
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s did not answer JSON", req.URL.Redacted()) // the body may hold a token
	}
	return nil
}

// metadata is as much of an issuer's discovery document as is needed.
type metadata struct {
	Issuer         string `json:"issuer"`
	TokenEndpoint  string `json:"token_endpoint"`
	DeviceEndpoint string `json:"device_authorization_endpoint"`
}

// discover reads the document of an issuer (OpenID Connect Discovery 1.0).
func discover(ctx context.Context, c *http.Client, issuer string, allowHTTP bool) (metadata, error) {
	var m metadata
	if err := checkEndpoint(issuer, allowHTTP); err != nil {
		return m, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return m, err
	}
	if err := do(c, req, &m); err != nil {
		return m, fmt.Errorf("discovery of %s: %w", issuer, err)
	}
	if m.Issuer != issuer {
		return m, fmt.Errorf("discovery of %s: the document is of %q", issuer, m.Issuer)
	}
	return m, checkEndpoint(m.TokenEndpoint, allowHTTP)
}
