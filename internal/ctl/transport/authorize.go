package transport

import (
	"context"
	"net/http"
)

// Source gives bearer tokens. The empty token sends none.
type Source interface {
	// Token returns a token that is thought to be valid.
	Token(ctx context.Context) (string, error)
	// Renew returns another token in place of an expired one.
	Renew(ctx context.Context) (string, error)
}

// Authorize adds the token to each request. A token that the server calls
// expired is renewed once.
type Authorize struct {
	Next   http.RoundTripper
	Source Source
}

// RoundTrip implements http.RoundTripper.
func (a *Authorize) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := a.Source.Token(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := a.Next.RoundTrip(bear(req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized || code(resp) != "TOKEN_EXPIRED" {
		return resp, err
	}
	again := req
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return resp, nil
		}
		again = req.Clone(req.Context())
		if again.Body, err = req.GetBody(); err != nil {
			return resp, nil //nolint:nilerr // the first answer stands
		}
	}
	if token, err = a.Source.Renew(req.Context()); err != nil {
		closeBody(again)
		return resp, nil //nolint:nilerr // the server's 401 says more than that the renewal failed
	}
	drain(resp.Body)
	return a.Next.RoundTrip(bear(again, token))
}

func bear(req *http.Request, token string) *http.Request {
	if token == "" {
		return req
	}
	out := req.Clone(req.Context())
	out.Header.Set("Authorization", "Bearer "+token)
	return out
}

// closeBody is what a RoundTripper owes for a request that it does not send.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
