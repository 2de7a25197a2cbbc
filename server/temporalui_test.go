package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/server"
	"github.com/hypervisor-control-plane/hcp/server/webui"
)

// TestTemporalUI: the UI is the operators', and an auditor changes nothing.
func TestTemporalUI(t *testing.T) {
	w := onSQLite(t)
	reached := 0
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		reached++
		_, _ = io.WriteString(rw, r.URL.Path)
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	public, err := url.Parse("http://127.0.0.1:8080")
	require.NoError(t, err)
	w.deps.WebUI, err = webui.New(webui.Options{Upstream: target, PublicURL: public, Authenticate: server.TemporalUIAccess(w.deps.Auth, w.deps.Enforcer)})
	require.NoError(t, err)
	w.deps.Registry = nil
	s, err := server.New(w.deps)
	require.NoError(t, err)
	w.handler = s.Handler()

	auditor := who{plane: admin().plane, roles: []string{"auditor"}}
	nobody := who{plane: admin().plane, roles: []string{"nobody"}}
	require.Equal(t, http.StatusUnauthorized, w.send(t, http.MethodGet, "/temporal/namespaces", nil).StatusCode)
	require.Equal(t, http.StatusUnauthorized, w.send(t, http.MethodGet, "/temporal/namespaces", nil, "Authorization", "Bearer forged").StatusCode)
	require.Equal(t, http.StatusForbidden, w.do(t, owner(), http.MethodGet, "/temporal/namespaces", nil).StatusCode)
	require.Equal(t, http.StatusForbidden, w.do(t, nobody, http.MethodGet, "/temporal/namespaces", nil).StatusCode)
	require.Equal(t, http.StatusForbidden, w.do(t, auditor, http.MethodPost, "/temporal/api/v1/terminate", nil).StatusCode)
	require.Zero(t, reached)

	res := w.do(t, auditor, http.MethodGet, "/temporal/namespaces", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "/temporal/namespaces", string(res.body))
	for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "X-Request-Id", "Referrer-Policy"} {
		require.Len(t, res.Header.Values(name), 1, name)
	}
	require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodPost, "/temporal/api/v1/terminate", nil).StatusCode)
	require.Equal(t, http.StatusCreated, w.do(t, auditor, http.MethodPost, "/temporal/login", nil).StatusCode)
	require.Contains(t, w.logs.String(), `"operation":"temporalUI"`)
}
