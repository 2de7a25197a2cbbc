package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

// facesOf gives the handlers of the three ways to listen.
func facesOf(t *testing.T, w *world) map[string]http.Handler {
	t.Helper()
	withAccount(t, w)
	w.deps.Registry, w.deps.WebUI = nil, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
	s, err := server.New(w.deps)
	require.NoError(t, err)
	return map[string]http.Handler{"tenant": s.TenantHandler(), "ops": s.OpsHandler(), "all": s.Handler()}
}

// TestEachListenerHasItsOwnRoutesOnly tries every route on every listener, as
// each plane's principal: what the listener does not have is answered as a path
// that never was, whoever asks.
func TestEachListenerHasItsOwnRoutesOnly(t *testing.T) {
	w := onSQLite(t)
	vm, job := w.ActiveVM(t, "a"), models.NewID()
	faces := facesOf(t, w)
	routes := w.targets(seededIDs(vm.ID, job))
	routes = append(routes, []target{
		{"metrics", http.MethodGet, "/metrics", "", "ops", nil, false},
		{"temporalUI", http.MethodGet, "/temporal/", "", "ops", nil, false},
		{"token", http.MethodPost, "/oauth2/token", "", "tenant", nil, false},
		{"jwks", http.MethodGet, "/.well-known/jwks.json", "", "tenant", nil, false},
		{"livez", http.MethodGet, "/livez", "", "common", nil, false},
		{"readyz", http.MethodGet, "/readyz", "", "common", nil, false},
	}...)
	for i := range routes { // what is not seeded
		routes[i].path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(routes[i].path, models.NewID())
	}
	blank := func(res reply) map[string]any {
		m := res.json(t)
		delete(m, "request_id")
		delete(m, "instance")
		return m
	}
	hidden, wrong := 0, 0
	for name, handler := range faces {
		w.handler = handler
		absent := map[bool]map[string]any{
			false: blank(w.do(t, admin(), http.MethodGet, "/api/hcp/none/v1/x", nil)),
			true:  blank(w.do(t, admin(), http.MethodPost, "/api/hcp/none/v1/x:start", nil)),
		}
		for _, r := range routes {
			here := name == "all" || r.plane == "common" || r.plane == name
			for plane, p := range map[string]who{"tenant": owner(), "ops": admin()} {
				if !here {
					// A method that the route does not take must not betray it either.
					for _, method := range []string{r.method, http.MethodPatch, http.MethodOptions} {
						res := w.do(t, p, method, r.path, nil)
						require.Equal(t, http.StatusNotFound, res.StatusCode, "%s %s on %s", method, r.path, name)
						require.Equal(t, absent[strings.Contains(r.path, ":")], blank(res), "%s %s on %s", method, r.path, name)
						require.Empty(t, res.Header.Get("Allow"))
						hidden++
					}
					continue
				}
				if r.permission != "" && r.plane != "common" && r.plane != plane {
					w.do(t, p, r.method, r.path, nil).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
					wrong++
				}
			}
		}
		require.Equal(t, http.StatusOK, w.send(t, http.MethodGet, "/livez", nil).StatusCode)
		require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, commonBase+"/version", nil).StatusCode)
		require.Equal(t, http.StatusOK, w.do(t, owner(), http.MethodGet, commonBase+"/version", nil).StatusCode)
	}
	require.Greater(t, hidden, 400)
	require.Greater(t, wrong, 100)
	w.handler = faces["ops"]
	require.Equal(t, http.StatusTeapot, w.send(t, http.MethodGet, "/temporal/", nil).StatusCode)
	require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, "/metrics", nil).StatusCode)
	require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, opsBase+"/vms", nil).StatusCode)
	w.handler = faces["tenant"]
	require.Equal(t, http.StatusOK, w.do(t, owner(), http.MethodGet, vmsPath, nil).StatusCode)
}

// TestTwoListenersStopAsOne: both drain at a stop, and when one fails the other
// does not stay behind.
func TestTwoListenersStopAsOne(t *testing.T) {
	w := onSQLite(t)
	faces := facesOf(t, w)
	endpoint := func(l net.Listener, h http.Handler) server.Endpoint {
		return server.Endpoint{Listener: l, Server: server.HTTPServer(h, w.deps.Logger)}
	}
	get := func(l net.Listener, path string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s%s", l.Addr(), path), nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode, res.Body.Close()
	}
	tenant, ops := listen(t), listen(t)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- server.ServeAll(ctx, 5*time.Second, endpoint(tenant, faces["tenant"]), endpoint(ops, faces["ops"]))
	}()
	for l, want := range map[net.Listener]int{tenant: http.StatusNotFound, ops: http.StatusUnauthorized} {
		status, err := get(l, "/metrics")
		require.NoError(t, err)
		require.Equal(t, want, status)
	}
	stop()
	require.NoError(t, <-stopped)
	for _, l := range []net.Listener{tenant, ops} {
		_, err := get(l, "/livez")
		require.Error(t, err)
	}

	broken, left := listen(t), listen(t)
	require.NoError(t, broken.Close())
	err := server.ServeAll(t.Context(), 5*time.Second, endpoint(broken, faces["tenant"]), endpoint(left, faces["ops"]))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = get(left, "/livez")
	require.Error(t, err)
}
