package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/policies"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// maxIdempotencyKey bounds an Idempotency-Key.
	maxIdempotencyKey = 128
	// handlerTimeout bounds what a handler waits for, so that a client hears of
	// a database that hangs.
	handlerTimeout = 15 * time.Second
	// badBearer is the challenge to who brought a token that does not count.
	badBearer = `Bearer realm="hcp", error="invalid_token"` //nolint:gosec // a challenge of RFC 6750, not a credential
)

// guard is the chain in front of every operation, in this order: token, rate,
// path parameters, plane, permission, body, validation. Nothing of a request is read
// before its author is known, and nothing is written by the chain.
type guard struct {
	verifier *auth.Verifier
	enforcer *policies.Enforcer
	throttle *throttle
	filter   *openapi3filter.Options
}

func newGuard(v *auth.Verifier, e *policies.Enforcer, t *throttle) *guard {
	return &guard{verifier: v, enforcer: e, throttle: t, filter: &openapi3filter.Options{
		MultiError: true, KeepValidatedValue: true, RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // the token is verified long before
	}}
}

// middleware is the chain of one operation.
func (g *guard) middleware(op *operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			info := requestOf(r.Context())
			info.Operation = op
			principal, err := g.authenticate(r)
			if err != nil {
				return err
			}
			info.Principal = principal
			if p := g.throttle.admit(c.Response().Header(), principal); p != nil {
				return p
			}
			params, p := pathParams(c, op)
			if p != nil {
				return p
			}
			if info.Projects, err = g.authorize(r.Context(), op, principal, params); err != nil {
				return err
			}
			if err := g.read(c, op, info); err != nil {
				return err
			}
			if err := g.validate(c.Request(), info, params); err != nil {
				return err
			}
			info.Lease = func(ctx context.Context) (err error) {
				info.Projects, err = g.renew(r.WithContext(ctx), op, params)
				return err
			}
			ctx, cancel := lifetime(c, op)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
}

// renew decides anew, as if the request came now.
func (g *guard) renew(r *http.Request, op *operation, params map[string]string) ([]string, error) {
	principal, err := g.authenticate(r)
	if err != nil {
		return nil, err
	}
	return g.authorize(r.Context(), op, principal, params)
}

// authenticate verifies the bearer token, and that the key behind a service
// account's token was not withdrawn since. Where too many were refused already,
// only a token passes that is known to be good.
func (g *guard) authenticate(r *http.Request) (auth.Principal, error) {
	token, err := auth.Bearer(r)
	if p := g.throttle.blocked(r); p != nil && (err != nil || !g.verifier.Known(token)) {
		return auth.Principal{}, p
	}
	if err != nil {
		g.throttle.refused(r)
		return auth.Principal{}, unauthenticated(err, `Bearer realm="hcp"`)
	}
	p, err := g.verifier.Verify(r.Context(), token)
	if err != nil {
		g.throttle.refused(r)
		return auth.Principal{}, unauthenticated(err, badBearer)
	}
	live, err := g.keyLive(r.Context(), p)
	if err != nil {
		return auth.Principal{}, err
	}
	if !live {
		g.throttle.refused(r)
		return auth.Principal{}, withdrawn()
	}
	return p, nil
}

// keyLive says whether the key that a service account's token was made with, and
// the account, still count. Other tokens have none.
func (g *guard) keyLive(ctx context.Context, p auth.Principal) (bool, error) {
	if p.KeyID == "" {
		return true, nil
	}
	return g.enforcer.KeyLive(ctx, p.KeyID)
}

func withdrawn() *problem {
	return unauthenticated(&auth.Error{Reason: "the token's service account or its key was withdrawn"}, badBearer)
}

// unauthenticated is the 401 for a refused token, with the challenge of RFC 6750.
func unauthenticated(err error, challenge string) *problem {
	code, detail := CodeUnauthenticated, "the token is not valid"
	var refused *auth.Error
	if errors.As(err, &refused) {
		detail = refused.Reason
		if refused.Expired {
			code = CodeTokenExpired
		}
	}
	p := newProblem(code, detail)
	p.header = map[string]string{"WWW-Authenticate": challenge}
	return p
}

// pathParams returns the path parameters. What cannot be an ID names nothing.
func pathParams(c echo.Context, op *operation) (map[string]string, *problem) {
	names, values := c.ParamNames(), c.ParamValues()
	params := make(map[string]string, len(names))
	for i, name := range names {
		if pattern := op.pathParams[name]; pattern == nil || !pattern.MatchString(values[i]) {
			return nil, notFound()
		}
		params[name] = values[i]
	}
	return params, nil
}

// read takes in the body and the Idempotency-Key.
func (g *guard) read(c echo.Context, op *operation, info *request) error {
	if !op.mutates {
		if r := c.Request(); r.ContentLength > 0 {
			return newProblem(CodeInvalidArgument, "a "+r.Method+" request takes no body")
		}
		return nil
	}
	if values, has := c.Request().Header["Idempotency-Key"]; has {
		if len(values) != 1 || values[0] == "" || len(values[0]) > maxIdempotencyKey || !visibleASCII(values[0]) {
			return newProblem(CodeInvalidArgument, "the Idempotency-Key must be 1 to 128 visible ASCII characters",
				fieldError{Pointer: "/header/Idempotency-Key", Detail: "must be 1 to 128 visible ASCII characters"})
		}
		info.Key = values[0]
	}
	var err error
	info.Body, err = strictBody(c, maxBody)
	return err
}

// validate holds the request against the API's description.
func (g *guard) validate(r *http.Request, info *request, params map[string]string) error {
	op := info.Operation
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: op.route, Options: g.filter}
	if r.URL.RawQuery != "" {
		query, p := queryOf(r.URL.RawQuery, op)
		if p != nil {
			return p
		}
		in.QueryParams = query
		info.Filters = filtersOf(query)
	}
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
		return fromValidation(err)
	}
	return nil
}

// queryOf parses the query and refuses parameters that the operation does not have.
func queryOf(raw string, op *operation) (url.Values, *problem) {
	query, err := url.ParseQuery(raw) // URL.Query drops malformed pairs silently
	if err != nil {
		return nil, newProblem(CodeInvalidArgument, "the query is malformed")
	}
	for name, values := range query {
		at := pointer([]string{"query", name})
		if _, known := op.query[name]; !known {
			return nil, newProblem(CodeUnknownField, "unknown query parameter", fieldError{Pointer: at, Detail: "unknown parameter"})
		}
		if len(values) > 1 && !op.query[name].many {
			return nil, newProblem(CodeInvalidArgument, "a query parameter is there twice", fieldError{Pointer: at, Detail: "must be there once"})
		}
		for _, v := range values {
			if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
				return nil, newProblem(CodeInvalidArgument, "the query is malformed", fieldError{Pointer: at, Detail: "must be UTF-8 without NUL characters"})
			}
		}
	}
	return query, nil
}

// filtersOf is the canonical form of what narrows and orders a list: the query
// without what only tells the page.
func filtersOf(query url.Values) string {
	rest := maps.Clone(query)
	delete(rest, "page_token")
	delete(rest, "limit")
	return rest.Encode()
}
