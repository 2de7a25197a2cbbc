package proxmox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// errClosed says that the provider was closed.
var errClosed = errors.New("the provider is closed")

// errNotReached says that a request had no effect on any host.
var errNotReached = errors.New("no host of the cluster can be reached")

// errAnswerLost says that the connection broke after a request that changes
// something.
var errAnswerLost = errors.New("the answer was lost")

// transport is what lies under the client library: it puts a host of the cluster
// and the credentials into every request, and turns every refusal into an
// *apiError before the library makes one text of different ones.
//
// An http.Client with it serves for websockets too.
type transport struct {
	hosts   []*url.URL
	first   atomic.Uint32 // the host that answered last
	http    *http.Transport
	session *session
	closed  atomic.Bool
}

func newTransport(s settings) *transport {
	t := &transport{
		hosts: s.hosts,
		http: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: s.connectTimeout}).DialContext,
			TLSClientConfig:     s.trust.Config(),
			TLSHandshakeTimeout: s.connectTimeout,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     4 * time.Second, // the API's own is 5 s
			// HTTP/2 has no text in its status line, which is where the API says
			// what went wrong, and no websockets.
			ForceAttemptHTTP2: false,
		},
	}
	t.session = &session{
		credentials: s.credentials, login: t.logIn, coolDown: s.coolDown, timeout: s.callTimeout, now: time.Now,
	}
	return t
}

func (t *transport) close() {
	t.closed.Store(true)
	t.http.CloseIdleConnections()
}

// maxLogins is how often one call is repeated with another ticket.
const maxLogins = 2

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		p, err := t.session.take(req.Context())
		if err != nil {
			return nil, err
		}
		res, err := t.send(req, body, func(r *http.Request) { t.session.sign(r, p) })
		if again := t.session.settle(p, err); !again || attempt == maxLogins {
			return res, err
		}
	}
}

// readBody takes a request's body, so that it can be sent more than once.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer func() { _ = req.Body.Close() }()
	return io.ReadAll(req.Body)
}

// send tries the hosts in turn. It goes on to the next one where the request
// changes nothing, or surely did not reach the host.
func (t *transport) send(req *http.Request, body []byte, sign func(*http.Request)) (*http.Response, error) {
	var failure error
	first := t.first.Load()
	for i := range uint32(len(t.hosts)) { //nolint:gosec // a handful
		if t.closed.Load() {
			return nil, errClosed
		}
		at := (first + i) % uint32(len(t.hosts)) //nolint:gosec // a handful
		res, sent, err := t.sendTo(t.hosts[at], req, body, sign)
		if err == nil {
			t.first.Store(at)
			if res.StatusCode >= http.StatusBadRequest {
				return nil, readRefusal(res)
			}
			return res, nil
		}
		if failure == nil || trust.IsRefusal(failure) {
			failure = err
		}
		if req.Context().Err() != nil {
			// A host that does not answer is not asked first the next time.
			t.first.CompareAndSwap(first, (at+1)%uint32(len(t.hosts))) //nolint:gosec // a handful
			return nil, err
		}
		if sent && req.Method != http.MethodGet {
			return nil, fmt.Errorf("%w: %w", errAnswerLost, err)
		}
	}
	return nil, fmt.Errorf("%w: %w", errNotReached, failure)
}

// sendTo sends a request to one host. sent is false if surely none of it arrived.
func (t *transport) sendTo(host *url.URL, req *http.Request, body []byte, sign func(*http.Request)) (res *http.Response, sent bool, err error) {
	var wrote atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true) },
	})
	out := req.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.Host = host.Scheme, host.Host, host.Host
	if body != nil {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = int64(len(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	sign(out)
	res, err = t.http.RoundTrip(out)
	return res, wrote.Load(), err
}

// logIn is a login of the session.
func (t *transport) logIn(ctx context.Context, secret string) (ticket, error) {
	form := url.Values{"username": {t.session.credentials.Username}, "password": {secret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cluster.invalid/api2/json/access/ticket", nil)
	if err != nil {
		return ticket{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := t.send(req, []byte(form.Encode()), func(*http.Request) {})
	if err != nil {
		return ticket{}, err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Data struct {
			Ticket              string `json:"ticket"`
			CSRFPreventionToken string `json:"CSRFPreventionToken"`
			NeedTFA             int    `json:"NeedTFA"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxRefusal)).Decode(&answer); err != nil {
		return ticket{}, fmt.Errorf("the answer to the login is not understood: %w", err)
	}
	if answer.Data.NeedTFA != 0 || strings.HasPrefix(answer.Data.Ticket, "PVE:!tfa!") {
		return ticket{}, &apiError{Status: http.StatusUnauthorized, Reason: "the user has a second factor: use an API token"}
	}
	return ticket{value: answer.Data.Ticket, csrf: answer.Data.CSRFPreventionToken}, nil
}

// maxRefusal bounds what is read of a refusal.
const maxRefusal = 1 << 20

func readRefusal(res *http.Response) error {
	defer func() { _ = res.Body.Close() }()
	e := &apiError{Status: res.StatusCode}
	_, e.Reason, _ = strings.Cut(res.Status, " ")
	e.Reason = strings.TrimSpace(e.Reason)
	var body struct {
		Message string            `json:"message"`
		Errors  map[string]string `json:"errors"`
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil || json.Unmarshal(raw, &body) != nil {
		return e // the status line says it
	}
	e.Errors = body.Errors
	if m := strings.TrimSpace(body.Message); m != "" {
		e.Reason = m
	}
	return e
}
