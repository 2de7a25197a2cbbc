// Package transport is how hcpctl sends requests: authorised, repeated where
// that is safe, logged without secrets. It imports nothing of ours.
package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

// Headers of the API.
const (
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderRequestID      = "X-Request-Id"
)

// Policy bounds the repeats of one request.
type Policy struct {
	Attempts int           // in all
	Base     time.Duration // the first pause; each further one is twice as long
	Cap      time.Duration // the longest pause of our own
	MaxAfter time.Duration // the longest Retry-After that is waited for
}

// DefaultPolicy is what a person at a terminal has patience for.
func DefaultPolicy() Policy {
	return Policy{Attempts: 6, Base: 250 * time.Millisecond, Cap: 8 * time.Second, MaxAfter: 2 * time.Minute}
}

// Again is told before a request is repeated.
type Again struct {
	Attempt int // the one that failed, from 1
	Of      int
	Pause   time.Duration
	Reason  string
}

// Retry repeats requests that failed for a while: connection errors, 429, 502,
// 503, 504 and 409 IDEMPOTENCY_IN_PROGRESS. A request that changes something is
// repeated after it may have arrived only when it bears an Idempotency-Key,
// always with the same one.
type Retry struct {
	Next   http.RoundTripper
	Policy Policy
	Sleep  func(context.Context, time.Duration) error // nil waits for the wall clock
	Now    func() time.Time                           // nil is time.Now
	Notify func(Again)                                // nil is told nothing
}

type fateKey struct{}

// Fate is what is known of a request after it failed.
type Fate struct{ open atomic.Bool }

// Ambiguous reports whether the request may have been carried out although no
// answer says so.
func (f *Fate) Ambiguous() bool { return f.open.Load() }

// Follow returns a context whose requests report to the fate.
func Follow(ctx context.Context) (context.Context, *Fate) {
	f := &Fate{}
	return context.WithValue(ctx, fateKey{}, f), f
}

// RoundTrip implements http.RoundTripper.
func (r *Retry) RoundTrip(req *http.Request) (*http.Response, error) {
	fate, ok := req.Context().Value(fateKey{}).(*Fate)
	if !ok {
		fate = &Fate{}
	}
	for attempt := 1; ; attempt++ {
		resp, sent, err := r.once(req, attempt)
		if err != nil && sent {
			fate.open.Store(true)
		}
		if err == nil {
			settle(fate, resp)
		}
		reason, after := r.why(resp, err)
		if reason == "" || attempt >= r.Policy.Attempts || !repeatable(req, sent) || after > r.Policy.MaxAfter {
			return resp, err
		}
		if resp != nil {
			drain(resp.Body)
		}
		pause := max(after, r.backoff(attempt))
		if r.Notify != nil {
			r.Notify(Again{Attempt: attempt, Of: r.Policy.Attempts, Pause: pause, Reason: reason})
		}
		if err := r.sleep(req.Context(), pause); err != nil {
			return nil, err
		}
	}
}

// once sends the request; sent is whether a part of it may have left.
func (r *Retry) once(req *http.Request, attempt int) (resp *http.Response, sent bool, err error) {
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	try := req.Clone(httptrace.WithClientTrace(req.Context(), trace))
	if attempt > 1 && req.GetBody != nil {
		if try.Body, err = req.GetBody(); err != nil {
			return nil, false, err
		}
	}
	resp, err = r.Next.RoundTrip(try)
	return resp, connected.Load(), err
}

// settle notes what an answer says about this attempt and those before it: a
// gateway does not know and neither does a server that broke, a refusal for the
// moment says nothing of the attempt before, everything else answers for the
// key.
func settle(fate *Fate, resp *http.Response) {
	switch resp.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		fate.open.Store(true)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
	case http.StatusConflict:
		fate.open.Store(inProgress(resp))
	default:
		fate.open.Store(false)
	}
}

// why names the reason to repeat, "" for none, and the pause that was asked for.
func (r *Retry) why(resp *http.Response, err error) (string, time.Duration) {
	if err != nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return "", 0
		}
		return "no connection to the server", 0
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return "too many requests", r.after(resp)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "the server is not available", r.after(resp)
	case http.StatusConflict:
		if inProgress(resp) {
			return "the first attempt is still being accepted", r.after(resp)
		}
	}
	return "", 0
}

// after reads Retry-After: seconds, or a date.
func (r *Retry) after(resp *http.Response) time.Duration {
	v := resp.Header.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s >= 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		now := time.Now
		if r.Now != nil {
			now = r.Now
		}
		return max(0, at.Sub(now()))
	}
	return 0
}

// backoff doubles from Base to Cap; the random half keeps callers apart.
func (r *Retry) backoff(attempt int) time.Duration {
	d := min(r.Policy.Cap, r.Policy.Base<<min(attempt-1, 20))
	return d/2 + rand.N(d/2+1) //nolint:gosec // not a secret
}

func (r *Retry) sleep(ctx context.Context, d time.Duration) error {
	if r.Sleep != nil {
		return r.Sleep(ctx, d)
	}
	return Sleep(ctx, d)
}

// Sleep waits for d or the end of ctx, whose error it returns.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repeatable says whether the request may be sent again.
func repeatable(req *http.Request, sent bool) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return !sent || req.Header.Get(HeaderIdempotencyKey) != ""
}

// inProgress reports 409 IDEMPOTENCY_IN_PROGRESS; the body can be read again.
func inProgress(resp *http.Response) bool { return code(resp) == "IDEMPOTENCY_IN_PROGRESS" }

// peekLimit bounds what is read of an error's body to find its code.
const peekLimit = 64 << 10

// code is the API's code of an error, "" without one; the body stays readable.
func code(resp *http.Response) string {
	head, err := io.ReadAll(io.LimitReader(resp.Body, peekLimit))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	var p struct {
		Code string `json:"code"`
	}
	if err != nil || json.Unmarshal(head, &p) != nil {
		return ""
	}
	return p.Code
}

// drain lets the connection be used again.
func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, peekLimit)) // a failure costs only the connection
	_ = body.Close()
}
