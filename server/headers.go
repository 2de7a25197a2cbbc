package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// apiPolicy is for answers that are no pages. A handler that serves pages
// replaces it.
const apiPolicy = "default-src 'none'; frame-ancestors 'none'"

// secure sets the headers that every answer bears.
func (s *Server) secure(h http.Header, r *http.Request, requestID string) {
	h.Set("X-Request-Id", requestID)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", apiPolicy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.TLS != nil || s.config.HTTPS {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

const (
	corsMethods = "GET, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, traceparent, tracestate"
	corsExposed = "ETag, Idempotency-Replayed, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, WWW-Authenticate, X-Request-Id"
	// corsMaxAge is for how many seconds a browser may remember a preflight.
	corsMaxAge = "600"
)

// cors lets pages of the configured origins read what the API answers. Nothing
// but an exact match with the configuration counts, Host least of all, and
// cookies never cross: the token is the only credential.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	if len(s.config.CORSOrigins) == 0 {
		return next
	}
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		if !strings.HasPrefix(r.URL.Path, apiBase+"/") {
			return next(c)
		}
		h.Add("Vary", "Origin")
		origins := r.Header["Origin"]
		if len(origins) != 1 || !slices.Contains(s.config.CORSOrigins, origins[0]) {
			return next(c)
		}
		h.Set("Access-Control-Allow-Origin", origins[0])
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			h.Set("Access-Control-Expose-Headers", corsExposed)
			return next(c)
		}
		requestOf(r.Context()).Operation = &operation{ID: "preflight"}
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
		return c.NoContent(http.StatusNoContent)
	}
}
