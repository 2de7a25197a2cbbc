package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

const (
	// maxAnswer bounds an answer in bytes: a page of 1000 VMs is about 1 MiB.
	maxAnswer = 16 << 20
	// idleConns is how many connections are kept: about as many activities as a
	// worker runs at once on one provider.
	idleConns   = 256
	dialTimeout = 5 * time.Second
)

func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			MaxIdleConns:        idleConns,
			MaxIdleConnsPerHost: idleConns,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		},
		// The token goes to nobody but the endpoint.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call makes one call under the session, and logs in once more where the
// session has expired. A refused call had no effect, so it may be repeated.
func (p *Provider) call(ctx context.Context, op, operation string, in, out any) *providers.Error {
	if err := p.usable(ctx, op); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.callTimeout)
	defer cancel()
	token, err := p.session.get(ctx, op, "")
	if err != nil {
		return err
	}
	err = p.post(ctx, op, operation, token, in, out)
	if err == nil || err.Code != providers.Unauthenticated {
		return err
	}
	if token, err = p.session.get(ctx, op, token); err != nil {
		return err
	}
	err = p.post(ctx, op, operation, token, in, out)
	if err != nil && err.Code == providers.Unauthenticated {
		p.session.refuse(token, err)
	}
	return err
}

// usable refuses calls that need not be tried.
func (p *Provider) usable(ctx context.Context, op string) *providers.Error {
	if p.closed.Load() {
		return fail(op, providers.Unavailable, nil, "the provider was closed")
	}
	if err := ctx.Err(); err != nil {
		return unreached(op, err)
	}
	return nil
}

// login returns what the session logs in by. It has a deadline of its own, as
// it serves more callers than the one that started it.
func (p *Provider) login(c models.Credentials) func(context.Context) (string, *providers.Error) {
	return func(ctx context.Context) (string, *providers.Error) {
		ctx, cancel := context.WithTimeout(ctx, p.callTimeout)
		defer cancel()
		var out wire.LoginResponse
		in := wire.LoginRequest{Username: c.Username, Password: c.Password}
		if err := p.post(ctx, "Login", wire.OpLogin, "", in, &out); err != nil {
			return "", err
		}
		if out.Token == "" {
			return "", misunderstood("Login", errors.New("a login without a token"))
		}
		return out.Token, nil
	}
}

// post makes one HTTP call. Where out is a stream, the call's connection becomes
// it, and outlives ctx.
func (p *Provider) post(ctx context.Context, op, operation, token string, in, out any) *providers.Error {
	body, err := json.Marshal(in)
	if err != nil {
		return fail(op, providers.Internal, err, "the request cannot be written")
	}
	if len(body) > wire.MaxBody {
		return fail(op, providers.InvalidArgument, nil, "the request is too large")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+wire.Prefix+operation, bytes.NewReader(body))
	if err != nil {
		return fail(op, providers.Internal, err, "the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", p.userAgent)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	into, isStream := out.(*stream)
	if isStream {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", wire.UpgradeConsole)
	}
	res, err := p.http.Do(req)
	if err != nil {
		return unreached(op, err)
	}
	if isStream && res.StatusCode == http.StatusSwitchingProtocols {
		return into.upgraded(op, res)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return unreached(op, err)
	}
	if res.StatusCode != http.StatusOK {
		r := &refusal{Status: res.StatusCode}
		var e wire.Error
		if json.Unmarshal(answer, &e) == nil { // else it is not the hypervisor's: the status decides
			r.Code, r.Message = e.Code, e.Message
		}
		return refused(op, r, res.Header.Get("Retry-After"))
	}
	if isStream {
		return misunderstood(op, errors.New("it did not switch to a console"))
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return misunderstood(op, err)
	}
	return nil
}
