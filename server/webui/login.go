package webui

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// IssueTicket makes a one-time link into the UI, good for ten minutes. The
// link is a secret: whoever opens it first has the access.
func (h *Handler) IssueTicket(a Access) (link string, expires time.Time) {
	now := h.now()
	secret := h.tickets.add(a, now, ticketLife)
	return h.origin + h.prefix + "login?ticket=" + url.QueryEscape(secret), now.Add(ticketLife)
}

// login makes a link for an operator's token (POST), and a session for a link (GET).
func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		h.issue(w, r)
	case http.MethodGet:
		h.redeem(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "Only GET and POST are known here.", http.StatusMethodNotAllowed)
	}
}

func (h *Handler) issue(w http.ResponseWriter, r *http.Request) {
	access, err := h.authenticate(r)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", `Bearer realm="hcp"`)
		http.Error(w, "An operator's token is needed.", http.StatusUnauthorized)
		return
	case err != nil:
		http.Error(w, "Your role may not use the Temporal Web UI.", http.StatusForbidden)
		return
	case !h.sameSite(r, false):
		http.Error(w, "The request comes from another site.", http.StatusForbidden)
		return
	}
	link, expires := h.IssueTicket(access)
	body, err := json.Marshal(map[string]any{"url": link, "expires_at": expires.UTC().Format(time.RFC3339)})
	if err != nil {
		h.warn(r.Context(), "a link could not be answered", err)
		http.Error(w, "The link could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	if _, err := w.Write(body); err != nil {
		h.warn(r.Context(), "a link could not be answered", err)
	}
}

// redeem consumes a ticket. The answer is a page that goes on by itself, not a
// redirect: a redirect belongs to the site that the link was opened from, and
// the browser would keep a strict cookie back.
func (h *Handler) redeem(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || r.Header.Get("Purpose") == "prefetch" {
		http.Error(w, "A one-time link is not fetched ahead.", http.StatusForbidden)
		return
	}
	access, ok := h.tickets.take(r.URL.Query().Get("ticket"), h.now())
	if !ok {
		http.Error(w, "The link was used already, or is too old. Make another one.", http.StatusUnauthorized)
		return
	}
	session := h.sessions.add(access, h.now(), sessionLife)
	http.SetCookie(w, h.cookie(session))
	h.logger.InfoContext(r.Context(), "a session of the Temporal Web UI", "subject", access.Subject, "write", access.Write)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	to := html.EscapeString(h.prefix)
	if _, err := fmt.Fprintf(w, `<!doctype html><title>Temporal Web UI</title><meta http-equiv="refresh" content="0;url=%s"><a href="%s">Go on</a>`, to, to); err != nil {
		h.warn(r.Context(), "a login could not be answered", err)
	}
}

// cookieName is "__Host-…" where the browser can keep that promise: the prefix
// needs a Secure cookie, which not every client sends over plain http, even to
// a loopback address.
func (h *Handler) cookieName() string {
	if h.secure {
		return "__Host-hcp-temporal"
	}
	return "hcp-temporal"
}

func (h *Handler) cookie(value string) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure follows the scheme of the public URL; see cookieName
		Name: h.cookieName(), Value: value, Path: "/", MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, Secure: h.secure, SameSite: http.SameSiteStrictMode,
	}
}
