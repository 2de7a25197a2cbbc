package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
)

// answers is a server that gives one answer after the other, the last for ever.
type answers struct {
	*httptest.Server
	statuses []int
	bodies   []string // that came
	codes    []string // in the answers
}

func newAnswers(t *testing.T, statuses ...int) *answers {
	t.Helper()
	a := &answers{statuses: statuses}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		status := a.statuses[min(len(a.bodies), len(a.statuses)-1)]
		a.bodies = append(a.bodies, string(raw))
		if status == 0 { // cut the connection
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		w.WriteHeader(status)
		if status == http.StatusConflict {
			_, _ = io.WriteString(w, `{"code":"`+a.codes[min(len(a.bodies), len(a.codes))-1]+`"}`)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *answers) send(t *testing.T, method string, key bool) (status int, ambiguous bool, pauses []time.Duration, err error) {
	t.Helper()
	r := &transport.Retry{
		Next: http.DefaultTransport, Policy: transport.Policy{Attempts: 5, Base: time.Second, Cap: 4 * time.Second, MaxAfter: time.Minute},
		Sleep: func(_ context.Context, d time.Duration) error {
			pauses = append(pauses, d)
			return nil
		},
	}
	ctx, fate := transport.Follow(t.Context())
	req, err := http.NewRequestWithContext(ctx, method, a.URL, strings.NewReader("body"))
	require.NoError(t, err)
	if key {
		req.Header.Set(transport.HeaderIdempotencyKey, "k")
	}
	resp, err := (&http.Client{Transport: r}).Do(req)
	if err != nil {
		return 0, fate.Ambiguous(), pauses, err
	}
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, fate.Ambiguous(), pauses, nil
}

func TestRetry(t *testing.T) {
	for name, c := range map[string]struct {
		method    string
		key       bool
		statuses  []int
		codes     []string
		want      int // status, 0 for an error
		attempts  int
		ambiguous bool
	}{
		"at once":                    {"POST", true, []int{202}, nil, 202, 1, false},
		"unavailable":                {"POST", true, []int{503, 502, 504, 202}, nil, 202, 4, false},
		"cut, then there":            {"POST", true, []int{0, 0, 202}, nil, 202, 3, false},
		"cut for ever":               {"POST", true, []int{0}, nil, 0, 5, true},
		"cut, then refused":          {"POST", true, []int{0, 403}, nil, 403, 2, false},
		"cut, then unavailable":      {"POST", true, []int{0, 503}, nil, 503, 5, true},
		"unavailable for ever":       {"POST", true, []int{503}, nil, 503, 5, false},
		"gateway for ever":           {"POST", true, []int{504}, nil, 504, 5, true},
		"broken":                     {"POST", true, []int{500}, nil, 500, 1, true},
		"no key, cut":                {"POST", false, []int{0, 202}, nil, 0, 1, true},
		"no key, put":                {"PUT", false, []int{0, 200}, nil, 0, 1, true},
		"get needs no key":           {"GET", false, []int{0, 200}, nil, 200, 2, false},
		"first one being accepted":   {"POST", true, []int{0, 409, 202}, []string{"", "IDEMPOTENCY_IN_PROGRESS"}, 202, 3, false},
		"another conflict":           {"POST", true, []int{0, 409}, []string{"", "NAME_CONFLICT"}, 409, 2, false},
		"client errors are answers":  {"POST", true, []int{422}, nil, 422, 1, false},
		"too many requests, at last": {"DELETE", true, []int{429, 204}, nil, 204, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAnswers(t, c.statuses...)
			a.codes = c.codes
			status, ambiguous, pauses, err := a.send(t, c.method, c.key)
			require.Equal(t, c.want, status)
			require.Equal(t, c.want == 0, err != nil)
			require.Len(t, a.bodies, c.attempts)
			require.Equal(t, c.ambiguous, ambiguous)
			for i, p := range pauses { // half is fixed, half is random
				full := min(4*time.Second, time.Second<<i)
				require.GreaterOrEqual(t, p, full/2)
				require.LessOrEqual(t, p, full)
			}
			for _, body := range a.bodies {
				require.Equal(t, "body", body, "each attempt bears the whole body")
			}
		})
	}
}

// A server that asks for more patience than there is gets none.
func TestLongRetryAfterIsNotWaitedFor(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(s.Close)
	r := &transport.Retry{Next: http.DefaultTransport, Policy: transport.DefaultPolicy()}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	resp, err := r.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 1, calls)
}

func TestSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, transport.Sleep(ctx, time.Hour), context.Canceled)
	require.NoError(t, transport.Sleep(t.Context(), time.Microsecond))
}

// source counts its tokens.
type source struct {
	renewed int
	err     error
}

func (s *source) Token(context.Context) (string, error) { return "old", s.err }

func (s *source) Renew(context.Context) (string, error) {
	s.renewed++
	return "new", nil
}

func TestAuthorize(t *testing.T) {
	for name, c := range map[string]struct {
		body    string
		renewed int
		want    int
	}{"expired": {`{"code":"TOKEN_EXPIRED"}`, 1, 401}, "unknown": {`{"code":"UNAUTHENTICATED"}`, 0, 401}, "not ours": {`<html>`, 0, 401}} {
		t.Run(name, func(t *testing.T) {
			var tokens []string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				tokens = append(tokens, req.Header.Get("Authorization"))
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(s.Close)
			src := &source{}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
			require.NoError(t, err)
			resp, err := (&transport.Authorize{Next: http.DefaultTransport, Source: src}).RoundTrip(req)
			require.NoError(t, err)
			raw, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, c.body, string(raw), "the body can still be read")
			require.Equal(t, c.renewed, src.renewed, "once, and only for an expired token")
			require.Len(t, tokens, c.renewed+1)
			require.Empty(t, req.Header.Get("Authorization"), "the caller's request is left as it was")
		})
	}
	broken := errors.New("no token")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1", nil)
	require.NoError(t, err)
	_, err = (&http.Client{Transport: &transport.Authorize{Next: http.DefaultTransport, Source: &source{err: broken}}}).Do(req) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, broken)
}

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"plain", "with space", "it's", "$HOME", "`id`", "", "a\"b", "ü", "a;b", "*", "~", "#x", "!x", "\n"} {
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "printf %s "+transport.ShellQuote(s)).Output()
		require.NoError(t, err)
		require.Equal(t, s, string(out))
	}
}

func TestCurlRedacts(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://x/a?b=c&d=e", strings.NewReader(`{"name":"it's","credentials":{"password":"pw","username":"u"},"list":[{"token":"tk"}]}`))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer abc")
	line, err := transport.Curl(req)
	require.NoError(t, err)
	for _, secret := range []string{"abc", "pw", "tk"} {
		require.NotContains(t, line, secret)
	}
	out, err := exec.CommandContext(t.Context(), "bash", "-c", "curl() { printf '%s\\n' \"$@\"; }; HCP_TOKEN=T; "+line).Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "Authorization: Bearer T\n")
	require.Contains(t, string(out), `"name":"it's"`)
	require.Equal(t, "[not JSON: withheld]", string(transport.Redact([]byte("password=x"))))
}
