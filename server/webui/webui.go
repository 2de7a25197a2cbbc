// Package webui serves the Temporal Web UI to operators: a reverse proxy with
// a login of its own in front of a UI that has no access control. It knows
// neither tokens nor roles: who may enter is decided by a function that it is
// given. It imports nothing of ours.
package webui

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// Access is what somebody may do in the UI.
type Access struct {
	// Subject is who it is, for the log.
	Subject string
	// Write allows methods that change something; without it the UI is read-only.
	Write bool
}

// ErrUnauthenticated is what Options.Authenticate returns for a request without
// valid credentials; any other error is a refusal.
var ErrUnauthenticated = errors.New("webui: not authenticated")

// Options are what a Handler is made of.
type Options struct {
	// Upstream is the UI, which must serve below Prefix itself (its public path).
	Upstream *url.URL
	// Prefix is where the UI is served; empty is "/temporal/".
	Prefix string
	// PublicURL is the URL that browsers use. Its scheme decides the cookie's
	// attributes, and its origin is the only one that may change anything.
	PublicURL *url.URL
	// Authenticate reads the credentials of an Authorization header.
	Authenticate func(*http.Request) (Access, error)
	Logger       *slog.Logger
	Now          func() time.Time
}

// Handler serves the UI. It keeps its tickets and sessions in memory: behind
// several replicas a browser must stay with one of them.
type Handler struct {
	prefix       string
	origin       string
	secure       bool
	authenticate func(*http.Request) (Access, error)
	logger       *slog.Logger
	now          func() time.Time
	tickets      *vault
	sessions     *vault
	proxy        *httputil.ReverseProxy
}

// New returns a handler for everything below the prefix.
func New(o Options) (*Handler, error) {
	if o.Upstream == nil || o.PublicURL == nil || o.Authenticate == nil {
		return nil, errors.New("webui: an upstream, a public URL and a way to authenticate are needed")
	}
	if o.PublicURL.Scheme != "http" && o.PublicURL.Scheme != "https" || o.PublicURL.Host == "" {
		return nil, errors.New("webui: the public URL must be an http or https URL")
	}
	if o.Prefix == "" {
		o.Prefix = "/temporal/"
	}
	if !strings.HasPrefix(o.Prefix, "/") || !strings.HasSuffix(o.Prefix, "/") {
		return nil, errors.New("webui: the prefix must begin and end with a slash")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{
		prefix: o.Prefix, origin: o.PublicURL.Scheme + "://" + o.PublicURL.Host, secure: o.PublicURL.Scheme == "https",
		authenticate: o.Authenticate, logger: o.Logger, now: o.Now,
		tickets: newVault(maxTickets), sessions: newVault(maxSessions),
	}
	h.proxy = h.newProxy(o.Upstream)
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guardPage(w.Header())
	if r.URL.Path == h.prefix+"login" {
		h.login(w, r)
		return
	}
	access, bySession, err := h.access(r)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", `Bearer realm="hcp"`)
		http.Error(w, "Open the one-time link of "+h.prefix+"login, or send an operator's token.", http.StatusUnauthorized)
		return
	case err != nil:
		http.Error(w, "Your role may not use the Temporal Web UI.", http.StatusForbidden)
		return
	case !h.sameSite(r, bySession):
		http.Error(w, "The request comes from another site.", http.StatusForbidden)
		return
	case !safe(r.Method) && !access.Write:
		http.Error(w, "Your role may only read.", http.StatusForbidden)
		return
	}
	if !safe(r.Method) {
		h.logger.InfoContext(r.Context(), "a change by the Temporal Web UI", "subject", access.Subject, "method", r.Method, "path", r.URL.Path)
	}
	// The proxy adds the answer's headers to those that are there: protect sets them all.
	for _, name := range []string{
		"Content-Security-Policy", "Cache-Control", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy",
		"Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy",
	} {
		w.Header().Del(name)
	}
	h.proxy.ServeHTTP(w, r)
}

// access says who asks. A header goes before a cookie.
func (h *Handler) access(r *http.Request) (a Access, bySession bool, err error) {
	if len(r.Header.Values("Authorization")) > 0 {
		a, err = h.authenticate(r)
		return a, false, err
	}
	cookies := r.CookiesNamed(h.cookieName())
	if len(cookies) != 1 { // two of one name: somebody has planted one
		return Access{}, false, ErrUnauthenticated
	}
	a, ok := h.sessions.get(cookies[0].Value, h.now())
	if !ok {
		return Access{}, false, ErrUnauthenticated
	}
	return a, true, nil
}

// sameSite is the guard against requests that another site makes a browser
// send. A browser says where a change comes from; one that does not is no
// browser that we know, and may change nothing by a cookie.
func (h *Handler) sameSite(r *http.Request, bySession bool) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if safe(r.Method) {
		navigation := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
		return site == "" || site == "same-origin" || site == "none" || navigation
	}
	if site != "" && site != "same-origin" {
		return false
	}
	origins := r.Header.Values("Origin")
	switch len(origins) {
	case 0:
		return !bySession
	case 1:
		return origins[0] == h.origin
	}
	return false
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// guardPage sets the headers of our own small answers.
func guardPage(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	guardAnswer(header)
}

// guardAnswer sets the headers that every answer bears, ours and the UI's.
func guardAnswer(header http.Header) {
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// warn logs what a client is told only in part.
func (h *Handler) warn(ctx context.Context, text string, err error) {
	h.logger.WarnContext(ctx, text, "error", err)
}
