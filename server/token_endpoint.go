package server

import (
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/models"
)

// maxTokenRequest bounds the body of a token request, in bytes.
const maxTokenRequest = 8 << 10

// jwksMaxAge is how long others may keep our keys: a new one is there for longer
// before it signs.
const jwksMaxAge = 5 * time.Minute

// tokenEndpoint exchanges client credentials for a token. It speaks RFC 6749,
// not the API's own form: any OAuth client can use it.
type tokenEndpoint struct {
	exchange *issuer.Exchange
	sources  sourceAddresses
}

// tokenAnswer is a success (RFC 6749, section 5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

// tokenError is a refusal (RFC 6749, section 5.2).
type tokenError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`

	status int
	retry  time.Duration
}

func invalidRequest(description string) *tokenError {
	return &tokenError{Code: "invalid_request", Description: description, status: http.StatusBadRequest}
}

func (t *tokenEndpoint) serve(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749, section 5.1, demands both
	credentials, refused := t.request(c)
	if refused != nil {
		return refused.write(c)
	}
	token, err := t.exchange.Token(c.Request().Context(), credentials)
	var limited *issuer.LimitedError
	switch {
	case errors.As(err, &limited):
		return (&tokenError{Code: "temporarily_unavailable", Description: "too many attempts have failed", status: http.StatusTooManyRequests, retry: limited.RetryAfter}).write(c)
	case errors.Is(err, issuer.ErrInvalidClient):
		return (&tokenError{Code: "invalid_client", status: http.StatusUnauthorized}).write(c)
	case err != nil:
		if err := (&tokenError{Code: "temporarily_unavailable", status: http.StatusServiceUnavailable, retry: time.Second}).write(c); err != nil {
			return err
		}
		return err // for the log: the answer is sent
	}
	requestOf(c.Request().Context()).Principal = auth.Principal{Issuer: models.OwnIssuer, Subject: token.Account.ID}
	return c.JSON(http.StatusOK, tokenAnswer{AccessToken: token.AccessToken, TokenType: "Bearer", ExpiresIn: int64(token.Lifetime.Seconds())})
}

// request reads the request strictly: one form, each parameter once, and
// the client's credentials in one place.
func (t *tokenEndpoint) request(c echo.Context) (issuer.Credentials, *tokenError) {
	r := c.Request()
	form, refused := tokenForm(c.Response(), r)
	if refused != nil {
		return issuer.Credentials{}, refused
	}
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return issuer.Credentials{}, invalidRequest("grant_type is missing")
	default:
		return issuer.Credentials{}, &tokenError{Code: "unsupported_grant_type", status: http.StatusBadRequest}
	}
	if form.Get("scope") != "" { // a token that can do more than was asked for is not what was asked for
		return issuer.Credentials{}, &tokenError{Code: "invalid_scope", Description: "there are no scopes; roles are bound to the service account", status: http.StatusBadRequest}
	}
	credentials := issuer.Credentials{ClientID: form.Get("client_id"), Secret: form.Get("client_secret"), Address: t.sources.address(r)}
	if _, has := r.Header["Authorization"]; has {
		id, secret, ok := basicClient(r)
		if !ok || credentials.Secret != "" || credentials.ClientID != "" && credentials.ClientID != id {
			return issuer.Credentials{}, invalidRequest("the client's credentials are in the Authorization header or in the body, once")
		}
		credentials.ClientID, credentials.Secret = id, secret
	}
	return credentials, nil
}

// tokenForm reads the body. Nothing may stand in the query, which ends up in logs.
func tokenForm(w http.ResponseWriter, r *http.Request) (url.Values, *tokenError) {
	if r.URL.RawQuery != "" {
		return nil, invalidRequest("parameters are in the body")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("the body must be application/x-www-form-urlencoded")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTokenRequest))
	if tooLarge(err) != nil {
		refused := invalidRequest("the body is too large")
		refused.status = http.StatusRequestEntityTooLarge
		return nil, refused
	}
	if err != nil {
		return nil, invalidRequest("the body ended early")
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, invalidRequest("the body is malformed")
	}
	for _, values := range form {
		if len(values) != 1 {
			return nil, invalidRequest("a parameter is there twice")
		}
	}
	return form, nil
}

// basicClient reads HTTP Basic, in which both halves are form-encoded (RFC
// 6749, section 2.3.1).
func basicClient(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok || len(r.Header["Authorization"]) != 1 {
		return "", "", false
	}
	id, err := url.QueryUnescape(user)
	if err != nil {
		return "", "", false
	}
	secret, err = url.QueryUnescape(password)
	return id, secret, err == nil
}

func (e *tokenError) write(c echo.Context) error {
	h := c.Response().Header()
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="hcp"`)
	}
	if e.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retry.Seconds()))))
	}
	return c.JSON(e.status, e)
}

// jwks publishes the keys that verify our tokens.
func jwks(i *issuer.Issuer) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(jwksMaxAge.Seconds())))
		return c.Blob(http.StatusOK, "application/jwk-set+json", i.JWKS())
	}
}
