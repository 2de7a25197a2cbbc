package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/issuer"
)

// readyTimeout bounds all checks of /readyz together.
const readyTimeout = 2 * time.Second

// rootRoute is a route outside of the API's description. Those of the common
// plane are on every listener.
type rootRoute struct {
	method, path string
	plane        plane
	handler      echo.HandlerFunc
}

// rootRoutes is the table of the routes outside of the API's description.
func (s *Server) rootRoutes(d Deps) []rootRoute {
	routes := []rootRoute{
		{http.MethodGet, "/livez", planeCommon, s.named("livez", s.livez)},
		{http.MethodGet, "/readyz", planeCommon, s.named("readyz", s.readyz)},
		{http.MethodGet, "/metrics", planeOps, s.named("metrics", s.serveMetrics)},
	}
	routes = append(routes, s.consoleRoutes()...)
	if d.Issuer != nil {
		routes = append(routes, rootRoute{http.MethodGet, "/.well-known/jwks.json", planeTenant, s.named("jwks", jwks(d.Issuer))})
	}
	if d.Issuer != nil && d.Accounts != nil {
		endpoint := &tokenEndpoint{exchange: issuer.NewExchange(d.Issuer, d.Accounts), sources: sourceAddresses{d.Config.TrustedProxies}}
		routes = append(routes, rootRoute{http.MethodPost, "/oauth2/token", planeTenant, s.named("token", endpoint.serve)})
	}
	if d.WebUI != nil {
		ui := s.named("temporalUI", func(c echo.Context) error {
			r := c.Request()
			guess := r.Header.Get("Authorization") != "" // a session's cookie costs nothing to check
			if p := s.guard.throttle.blocked(r); p != nil && guess {
				return p
			}
			c.Response().Header().Del("Content-Security-Policy")
			d.WebUI.ServeHTTP(c.Response(), r)
			if guess && c.Response().Status == http.StatusUnauthorized {
				s.guard.throttle.refused(r)
			}
			return nil
		})
		for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
			routes = append(routes, rootRoute{m, "/temporal/*", planeOps, ui})
		}
	}
	return routes
}

// Permissions of what the API's description does not name.
const (
	permissionMetrics       = "metrics.read"
	permissionTemporalRead  = "temporal.read"
	permissionTemporalWrite = "temporal.write"
)

// named gives a root route its name in log and metrics.
func (s *Server) named(id string, h echo.HandlerFunc) echo.HandlerFunc {
	op := &operation{ID: id}
	return func(c echo.Context) error {
		requestOf(c.Request().Context()).Operation = op
		return h(c)
	}
}

// livez says that the process serves.
func (*Server) livez(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readyz says whether the server can do its work, and for each thing that it
// needs whether that is well. Causes stay in the log.
func (s *Server) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	checks := []struct {
		name  string
		check func(context.Context) error
	}{
		{"database", s.store.Ping},
		{"schema", s.store.CheckSchema},
		{"temporal", func(ctx context.Context) error {
			_, err := s.temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
			return err
		}},
	}
	status, result := http.StatusOK, make(map[string]string, len(checks))
	if s.drain.begun() {
		status, checks = http.StatusServiceUnavailable, nil
		result["draining"] = "unavailable"
	}
	for _, one := range checks {
		result[one.name] = "ok"
		if err := one.check(ctx); err != nil {
			status, result[one.name] = http.StatusServiceUnavailable, "unavailable"
			s.logger.WarnContext(ctx, "not ready", "check", one.name, "error", err)
		}
	}
	body, err := json.Marshal(map[string]any{"ready": status == http.StatusOK, "checks": result})
	if err != nil {
		return err
	}
	return c.JSONBlob(status, body)
}

// serveMetrics shows the metrics to operators, or, where the installation says
// so, to everybody who can connect.
func (s *Server) serveMetrics(c echo.Context) error {
	if !s.config.PublicMetrics {
		principal, err := s.guard.authenticate(c.Request())
		if err != nil {
			return err
		}
		op := &operation{ID: "metrics", Plane: planeOps, Permission: permissionMetrics}
		if _, err := s.guard.authorize(c.Request().Context(), op, principal, nil); err != nil {
			return err
		}
	}
	promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(c.Response(), c.Request())
	return nil
}
