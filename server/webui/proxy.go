package webui

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPage bounds a page of the UI, in bytes.
	maxPage = 4 << 20
	// upstreamTimeout bounds how long the UI may take to begin an answer. It
	// long-polls Temporal for some pages.
	upstreamTimeout = 70 * time.Second
)

// forwarded lists the request headers that reach the UI. What is not listed
// does not: credentials, identities and addresses that a client may have made up.
func forwarded() []string {
	return []string{
		"Accept", "Accept-Language", "Cache-Control", "Content-Type", "If-Modified-Since", "If-None-Match",
		"Origin", "Range", "Referer", "User-Agent", "X-Csrf-Token",
	}
}

func (h *Handler) newProxy(upstream *url.URL) *httputil.ReverseProxy {
	transport := &http.Transport{
		Proxy:                 nil, // the UI stands beside us
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: upstreamTimeout,
		DisableCompression:    true, // pages are read here
	}
	return &httputil.ReverseProxy{
		Transport:      transport,
		Rewrite:        func(p *httputil.ProxyRequest) { h.rewrite(p, upstream) },
		ModifyResponse: h.protect,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			h.warn(r.Context(), "the Temporal Web UI does not answer", err)
			guardPage(w.Header())
			http.Error(w, "The Temporal Web UI does not answer.", http.StatusBadGateway)
		},
	}
}

// rewrite addresses the UI and leaves all headers behind but those that it needs.
func (h *Handler) rewrite(p *httputil.ProxyRequest, upstream *url.URL) {
	out := p.Out
	out.URL.Scheme, out.URL.Host = upstream.Scheme, upstream.Host
	out.Host = upstream.Host
	header := make(http.Header, len(forwarded()))
	for _, name := range forwarded() {
		if values := p.In.Header.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	out.Header = header
	for _, c := range p.In.Cookies() { // the UI's own, as for its CSRF token
		if c.Name != h.cookieName() {
			out.AddCookie(c)
		}
	}
}

// protect sets the headers of the UI's answers. Only the page's own inline
// scripts may run, each named by its hash.
func (h *Handler) protect(resp *http.Response) error {
	header := resp.Header
	for _, name := range []string{"Server", "X-Powered-By", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "X-Request-Id"} {
		header.Del(name)
	}
	guardAnswer(header)
	h.keepCookie(header)
	if strings.Contains(header.Get("Content-Security-Policy"), "sandbox") { // a document that the UI shows in a frame of its own
		header.Set("X-Frame-Options", "SAMEORIGIN")
		return nil
	}
	scripts := ""
	if strings.HasPrefix(header.Get("Content-Type"), "text/html") && resp.Request.Method == http.MethodGet {
		page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return err
		}
		if len(page) > maxPage {
			return errors.New("webui: a page of the upstream is too large")
		}
		scripts = inlineScripts(page)
		resp.Body = io.NopCloser(bytes.NewReader(page))
		resp.ContentLength = int64(len(page))
		header.Set("Content-Length", strconv.Itoa(len(page)))
	}
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'"+scripts+"; worker-src 'self' blob:; "+
		"style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; manifest-src 'self' data:; "+
		"frame-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'")
	return nil
}

// keepCookie drops cookies of the UI that would take the place of ours.
func (h *Handler) keepCookie(header http.Header) {
	cookies := header.Values("Set-Cookie")
	header.Del("Set-Cookie")
	for _, c := range cookies {
		if name, _, _ := strings.Cut(c, "="); strings.TrimSpace(name) != h.cookieName() {
			header.Add("Set-Cookie", c)
		}
	}
}

// inlineScripts lists the sources for a policy that allows the page's inline
// scripts as they are (CSP level 3, section 8.3).
func inlineScripts(page []byte) string {
	var b strings.Builder
	for _, m := range regexp.MustCompile(`(?is)<script(?:\s[^>]*)?>(.+?)</script>`).FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(m[1])
		b.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	return b.String()
}
