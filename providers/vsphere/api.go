package vsphere

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The REST API of a vCenter. It has sessions of its own, which are made with the
// credentials of the SOAP API's, and by the same rules.
const (
	apiPath      = "/rest"
	apiSession   = apiPath + "/com/vmware/cis/session"
	apiToken     = "vmware-api-session-id" //nolint:gosec // the name of a header
	apiByHeader  = "vmware-use-header-authn"
	maxAPIAnswer = 16 << 20 // bytes
)

// apiCall is one call of the REST API. Where body is nil there is none, and what it
// answers is decoded into out.
type apiCall struct {
	method string
	path   string // below apiPath
	query  url.Values
	body   any
	out    any
}

// newAPISession is the session of the REST API. It shares the transport with the SOAP
// API's, and what is known of the credentials.
func newAPISession(cfg settings, soap *session) *session {
	s := &session{
		timeout: cfg.callTimeout, transport: soap.transport, refusal: soap.refusal, stopped: make(chan struct{}),
	}
	base := url.URL{Scheme: cfg.endpoint.Scheme, Host: cfg.endpoint.Host, Path: apiSession}
	s.login = func(ctx context.Context) (*ticket, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String(), nil)
		if err != nil {
			return nil, err
		}
		req.SetBasicAuth(cfg.credentials.Username, cfg.credentials.Password)
		req.Header.Set(apiByHeader, "true")
		t := &ticket{}
		return t, exchange(s.transport, req, &t.token)
	}
	s.logout = func(ctx context.Context, t *ticket) {
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, base.String(), nil)
		if err != nil {
			return
		}
		req.Header.Set(apiToken, t.token)
		_ = exchange(s.transport, req, nil) // a session that cannot be ended ends by age
	}
	return s
}

// ask makes a call of the REST API, within the call timeout where ctx has no deadline.
// One that is refused because its session has ended is repeated, once, with the
// session that follows.
func (p *Provider) ask(ctx context.Context, op string, call apiCall) *providers.Error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.callTimeout)
		defer cancel()
	}
	// Credentials that are wrong are found out by the SOAP API alone.
	if _, err := p.client(ctx, op); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		t, err := p.api.take(ctx)
		if err != nil {
			return classify(op, err)
		}
		err = p.send(ctx, t, call)
		if again := p.api.settle(t, err); !again || attempt == 1 {
			return classify(op, err)
		}
	}
}

func (p *Provider) send(ctx context.Context, t *ticket, call apiCall) error {
	var body io.Reader
	if call.body != nil {
		raw, err := json.Marshal(call.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	at := url.URL{Scheme: p.cfg.endpoint.Scheme, Host: p.cfg.endpoint.Host, Path: apiPath + call.path, RawQuery: call.query.Encode()}
	req, err := http.NewRequestWithContext(ctx, call.method, at.String(), body)
	if err != nil {
		return err
	}
	req.Header.Set(apiToken, t.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return exchange(p.session.transport, req, call.out)
}

// exchange sends a request, and decodes its answer's value into out.
func exchange(t *transport, req *http.Request, out any) error {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	res, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAPIAnswer))
	_ = res.Body.Close()
	switch {
	case err != nil:
		return err
	case res.StatusCode < http.StatusOK || res.StatusCode >= http.StatusMultipleChoices:
		return apiErrorOf(res.StatusCode, raw)
	case out == nil:
		return nil
	}
	value := struct {
		Value any `json:"value"`
	}{out}
	if err := json.Unmarshal(raw, &value); err != nil {
		return fmt.Errorf("%w: %w", errNotUnderstood, err)
	}
	return nil
}
