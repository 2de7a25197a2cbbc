package vsphere

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// errClosed says that the provider was closed.
var errClosed = errors.New("the provider is closed")

// errNotReached says that surely nothing of a request arrived.
var errNotReached = errors.New("the server cannot be reached")

// errAnswerLost says that the connection broke after a request went out.
var errAnswerLost = errors.New("the answer was lost")

// statusError is an answer that is none of the API: of a proxy before it, or of a
// server that does not serve yet.
type statusError struct{ Status int }

func (e *statusError) Error() string { return fmt.Sprintf("HTTP status %d", e.Status) }

// transport is what lies under the client library: it tells a request that did not
// arrive from one whose answer was lost.
type transport struct {
	http   connections
	closed atomic.Bool
}

// connections are those to the server.
type connections interface {
	http.RoundTripper
	CloseIdleConnections()
}

func newTransport(s settings) *transport {
	return &transport{http: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: s.connectTimeout}).DialContext,
		TLSClientConfig:     s.trust.Config(),
		TLSHandshakeTimeout: s.connectTimeout,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     time.Minute,
	}}
}

func (t *transport) close() {
	t.closed.Store(true)
	t.http.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.closed.Load() {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errClosed
	}
	var wrote atomic.Bool
	out := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true) },
	}))
	if err := rewindable(out); err != nil {
		return nil, err
	}
	res, err := t.http.RoundTrip(out)
	switch {
	case err != nil && req.Context().Err() != nil, err != nil && trust.IsRefusal(err):
		return nil, err
	case err != nil && wrote.Load():
		return nil, fmt.Errorf("%w: %w", errAnswerLost, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotReached, err)
	case req.Method == http.MethodPost && req.URL.Path == endpointPath && res.StatusCode >= http.StatusBadRequest && res.StatusCode != http.StatusInternalServerError:
		_ = res.Body.Close()
		return nil, &statusError{Status: res.StatusCode}
	}
	res.Body = &answer{ReadCloser: res.Body}
	return res, nil
}

// rewindable lets a call be sent anew over another connection where the idle one
// that was tried is found closed. What is uploaded is not held in memory for that.
func rewindable(req *http.Request) error {
	if req.Method != http.MethodPost || req.Body == nil || req.GetBody != nil {
		return nil
	}
	raw, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return nil
}

// maxRest bounds what is read of an answer behind what was understood of it, in bytes.
const maxRest = 4 << 10

// answer tells an answer that broke off from one that is not understood.
type answer struct{ io.ReadCloser }

func (a *answer) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", errAnswerLost, err)
	}
	return n, err
}

// Close reads the end of the answer, which the client library leaves unread: else its
// connection would not serve another call, and each call would begin with a handshake.
func (a *answer) Close() error {
	_, _ = io.CopyN(io.Discard, a.ReadCloser, maxRest)
	return a.ReadCloser.Close()
}
