package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/ratelimit"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/server"
)

// rebuilt serves the same world under another configuration.
func (w *world) rebuilt(t testing.TB, change func(*server.Deps)) {
	t.Helper()
	w.deps.Registry = nil
	change(&w.deps)
	s, err := server.New(w.deps)
	require.NoError(t, err)
	w.server, w.handler = s, s.Handler()
}

func limited(t testing.TB, limits server.RateLimits) *world {
	t.Helper()
	w := onSQLite(t)
	w.rebuilt(t, func(d *server.Deps) { d.Config.RateLimits = limits })
	return w
}

// slow is a rate that gives nothing back within a test.
func slow(burst int) ratelimit.Rate { return ratelimit.Rate{PerSecond: 1. / 3600, Burst: burst} }

func as(role, tenant string) who {
	return who{plane: auth.PlaneTenant, tenant: tenant, roles: []string{role}}
}

func TestRateLimitOfASubject(t *testing.T) {
	w := limited(t, server.RateLimits{Subject: slow(3)})
	for i := range 3 {
		res := w.do(t, owner(), http.MethodGet, vmsPath, nil)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "3", res.Header.Get("RateLimit-Limit"))
		require.Equal(t, strconv.Itoa(2-i), res.Header.Get("RateLimit-Remaining"))
		require.NotEmpty(t, res.Header.Get("RateLimit-Reset"))
	}
	res := w.do(t, owner(), http.MethodGet, vmsPath, nil)
	require.Equal(t, true, res.requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")["retryable"])
	require.Equal(t, "0", res.Header.Get("RateLimit-Remaining"))
	wait, err := strconv.Atoi(res.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 3600, wait, 5)

	// Another principal, and the same subject on another plane, have their own.
	require.Equal(t, http.StatusOK, w.do(t, as("viewer", storetest.Tenant), http.MethodGet, vmsPath, nil).StatusCode)
	require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, opsBase+"/vms", nil).StatusCode)
}

func TestRateLimitOfATenant(t *testing.T) {
	w := limited(t, server.RateLimits{Subject: slow(3), Tenant: slow(4)})
	get := func(p who) reply { return w.do(t, p, http.MethodGet, commonBase+"/version", nil) }
	for range 2 {
		require.Equal(t, http.StatusOK, get(as("owner", storetest.Tenant)).StatusCode)
		require.Equal(t, http.StatusOK, get(as("viewer", storetest.Tenant)).StatusCode)
	}
	res := get(as("operator", storetest.Tenant))
	require.Contains(t, res.requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")["detail"], "tenant")
	require.Equal(t, "4", res.Header.Get("RateLimit-Limit"), "the limit that was met is told")
	require.Equal(t, http.StatusOK, get(as("operator", storetest.OtherTenant)).StatusCode)
	require.Equal(t, "3", get(admin()).Header.Get("RateLimit-Limit"), "operators have no tenant")
}

// TestRefusedRequestsCountToo: what is refused later in the chain is no way
// around the limit.
func TestRefusedRequestsCountToo(t *testing.T) {
	w := limited(t, server.RateLimits{Subject: slow(3)})
	w.do(t, owner(), http.MethodGet, opsBase+"/vms", nil).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
	w.do(t, owner(), http.MethodGet, vmsPath+"/a%20b", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	w.do(t, owner(), http.MethodPost, vmsPath, "{").requireProblem(t, http.StatusBadRequest, "MALFORMED_JSON")
	w.do(t, owner(), http.MethodPost, vmsPath, "{").requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")
}

// TestATooFastRequestTakesNoIdempotencyKey: the key works once the limit allows.
func TestATooFastRequestTakesNoIdempotencyKey(t *testing.T) {
	w := limited(t, server.RateLimits{Subject: slow(1)})
	require.Equal(t, http.StatusOK, w.do(t, owner(), http.MethodGet, vmsPath, nil).StatusCode)
	before := w.state(t)
	create := func() reply {
		return w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Idempotency-Key", "k")
	}
	create().requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")
	require.Equal(t, before, w.state(t))
	require.Empty(t, w.dispatcher.jobs())

	w.rebuilt(t, func(d *server.Deps) { d.Config.RateLimits = server.RateLimits{} })
	res := create()
	require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
	require.Empty(t, res.Header.Get("Idempotency-Replayed"))
}

func TestNoLimitsNoHeaders(t *testing.T) {
	w := onSQLite(t)
	res := w.do(t, owner(), http.MethodGet, vmsPath, nil)
	require.NotContains(t, res.Header, "Ratelimit-Limit")
	require.Equal(t, []any{}, w.do(t, owner(), http.MethodGet, commonBase+"/limits", nil).json(t)["rate_limits"])
}

func TestLimitsAreShown(t *testing.T) {
	w := limited(t, server.RateLimits{Subject: ratelimit.Rate{PerSecond: 2.5, Burst: 10}, Source: ratelimit.Rate{PerSecond: 1, Burst: 5}})
	require.Equal(t, []any{
		map[string]any{"scope": "subject", "requests_per_second": 2.5, "burst": 10.},
		map[string]any{"scope": "source", "requests_per_second": 1., "burst": 5.},
	}, w.do(t, owner(), http.MethodGet, commonBase+"/limits", nil).json(t)["rate_limits"])
}

// TestTokenGuessing: an address that sends refused tokens is soon not listened
// to, while those who are known from there, and all others, are served.
func TestTokenGuessing(t *testing.T) {
	w := limited(t, server.RateLimits{Source: slow(3)})
	guess := func(address, authorization, path string, forwarded ...string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.RemoteAddr = address
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Result()
	}
	good := "Bearer " + w.token(t, owner())
	require.Equal(t, http.StatusOK, guess("192.0.2.1:1000", good, vmsPath).StatusCode)
	for i, authorization := range []string{"Bearer abc", "", "Basic YTpi"} {
		require.Equal(t, http.StatusUnauthorized, guess(fmt.Sprintf("192.0.2.1:%d", 2000+i), authorization, vmsPath).StatusCode)
	}
	res := guess("192.0.2.1:3000", "Bearer abc", vmsPath)
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	require.Equal(t, http.StatusTooManyRequests, guess("192.0.2.1:3000", "Bearer abc", "/metrics").StatusCode)
	require.Equal(t, http.StatusTooManyRequests, guess("192.0.2.1:3000", "", vmsPath, "198.51.100.9").StatusCode, "anybody can write X-Forwarded-For")

	require.Equal(t, http.StatusOK, guess("192.0.2.1:3000", good, vmsPath).StatusCode, "a token that was verified before")
	require.Equal(t, http.StatusOK, guess("192.0.2.1:3000", "", "/livez").StatusCode)
	fresh := "Bearer " + w.token(t, as("viewer", storetest.Tenant))
	require.Equal(t, http.StatusTooManyRequests, guess("192.0.2.1:3000", fresh, vmsPath).StatusCode, "nothing is verified for this address")
	require.Equal(t, http.StatusOK, guess("192.0.2.2:3000", fresh, vmsPath).StatusCode)
}

// TestTokenGuessingBehindAProxy: the proxy's word counts where it is ours.
func TestTokenGuessingBehindAProxy(t *testing.T) {
	w := onSQLite(t)
	w.rebuilt(t, func(d *server.Deps) {
		d.Config.RateLimits = server.RateLimits{Source: slow(1)}
		d.Config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	get := func(forwarded string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, vmsPath, nil)
		r.RemoteAddr = "192.0.2.1:1000"
		r.Header.Set("X-Forwarded-For", forwarded)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Code
	}
	require.Equal(t, http.StatusUnauthorized, get("198.51.100.1"))
	require.Equal(t, http.StatusTooManyRequests, get("198.51.100.1"))
	require.Equal(t, http.StatusTooManyRequests, get("203.0.113.7, 198.51.100.1"), "what the client wrote before the proxy's entry")
	require.Equal(t, http.StatusUnauthorized, get("198.51.100.2"))
}
