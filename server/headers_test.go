package server_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/server"
)

func TestSecurityHeaders(t *testing.T) {
	w := onSQLite(t)
	for name, res := range map[string]reply{
		"an answer":    w.do(t, owner(), http.MethodGet, vmsPath, nil),
		"a refusal":    w.send(t, http.MethodGet, vmsPath, nil),
		"health":       w.send(t, http.MethodGet, "/livez", nil),
		"nothing":      w.send(t, http.MethodGet, "/", nil),
		"a wrong path": w.send(t, http.MethodGet, "/api/hcp/@x", nil),
		"no method":    w.send(t, http.MethodTrace, vmsPath, nil),
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
			require.Equal(t, "DENY", res.Header.Get("X-Frame-Options"))
			require.Equal(t, "no-referrer", res.Header.Get("Referrer-Policy"))
			require.Equal(t, "same-origin", res.Header.Get("Cross-Origin-Resource-Policy"))
			require.Equal(t, "default-src 'none'; frame-ancestors 'none'", res.Header.Get("Content-Security-Policy"))
			require.Empty(t, res.Header.Get("Server"))
			require.Empty(t, res.Header.Get("Strict-Transport-Security"), "over plain HTTP it means nothing")
			require.NotEmpty(t, res.Header.Get("X-Request-Id"))
		})
	}
	require.Equal(t, "private, no-cache", w.do(t, owner(), http.MethodGet, vmsPath, nil).Header.Get("Cache-Control"))
	require.Equal(t, "no-store", w.do(t, owner(), http.MethodPost, vmsPath, createBody("a")).Header.Get("Cache-Control"))
}

func TestStrictTransportSecurity(t *testing.T) {
	w := onSQLite(t)
	get := func(over *tls.ConnectionState) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil)
		r.TLS = over
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Header().Get("Strict-Transport-Security")
	}
	require.Empty(t, get(nil))
	require.Equal(t, "max-age=31536000", get(&tls.ConnectionState{}))
	w.rebuilt(t, func(d *server.Deps) { d.Config.HTTPS = true })
	require.Equal(t, "max-age=31536000", get(nil), "TLS ends before the process")
}

func TestNoOtherOriginIsAllowedByDefault(t *testing.T) {
	w := onSQLite(t)
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		res := w.do(t, owner(), method, vmsPath, nil, "Origin", "https://console.example", "Access-Control-Request-Method", "GET")
		require.Empty(t, res.Header.Values("Access-Control-Allow-Origin"))
		require.Empty(t, res.Header.Values("Access-Control-Allow-Methods"))
	}
}

func TestAllowedOrigins(t *testing.T) {
	const allowed = "https://console.example"
	w := onSQLite(t)
	w.rebuilt(t, func(d *server.Deps) { d.Config.CORSOrigins = []string{allowed, "http://127.0.0.1:5173"} })
	before := w.state(t)

	t.Run("a preflight", func(t *testing.T) {
		res := w.send(t, http.MethodOptions, vmsPath, nil, "Origin", allowed, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
		require.Equal(t, http.StatusNoContent, res.StatusCode)
		require.Equal(t, allowed, res.Header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, res.Header.Get("Access-Control-Allow-Methods"), "POST")
		require.Contains(t, res.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
		require.Empty(t, res.Header.Values("Access-Control-Allow-Credentials"))
		require.Equal(t, []string{"Origin"}, res.Header.Values("Vary"))
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	})
	t.Run("a request", func(t *testing.T) {
		res := w.do(t, owner(), http.MethodGet, vmsPath, nil, "Origin", allowed)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, allowed, res.Header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, res.Header.Get("Access-Control-Expose-Headers"), "ETag")
		require.Empty(t, res.Header.Values("Access-Control-Allow-Credentials"))
	})
	t.Run("a refusal can be read too", func(t *testing.T) {
		res := w.send(t, http.MethodGet, vmsPath, nil, "Origin", allowed)
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
		require.Equal(t, allowed, res.Header.Get("Access-Control-Allow-Origin"))
	})
	for name, headers := range map[string][]string{
		"a stranger":            {"Origin", "https://evil.example"},
		"a longer name":         {"Origin", "https://console.example.evil.example"},
		"a prefix":              {"Origin", "https://console.exampl"},
		"another scheme":        {"Origin", "http://console.example"},
		"another port":          {"Origin", "https://console.example:8443"},
		"other case":            {"Origin", "https://CONSOLE.example"},
		"null":                  {"Origin", "null"},
		"empty":                 {"Origin", ""},
		"two":                   {"Origin", allowed, "Origin", "https://evil.example"},
		"no origin":             {},
		"a forged host":         {"Origin", "https://evil.example", "Host", "console.example", "X-Forwarded-Host", "console.example"},
		"the host as an origin": {"Origin", "http://example.com"}, // httptest's host
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodOptions} {
				res := w.send(t, method, vmsPath, nil, append(headers, "Access-Control-Request-Method", "GET")...)
				require.Empty(t, res.Header.Values("Access-Control-Allow-Origin"))
				require.Empty(t, res.Header.Values("Access-Control-Allow-Methods"))
				require.Equal(t, []string{"Origin"}, res.Header.Values("Vary"), "a cache must not mix the answers up")
			}
		})
	}
	t.Run("the API alone", func(t *testing.T) {
		for _, path := range []string{"/livez", "/metrics", "/temporal/", "/docs", "/api/hcp", "/api/hcpx/y"} {
			res := w.send(t, http.MethodGet, path, nil, "Origin", allowed)
			require.Empty(t, res.Header.Values("Access-Control-Allow-Origin"), path)
		}
	})
	require.Equal(t, before, w.state(t))
}
