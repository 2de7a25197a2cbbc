package webui_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/server/webui"
)

const page = `<!doctype html><script>alert("inline")</script><script type="module" src="/temporal/app.js"></script>`

// upstream is a Temporal Web UI that remembers what reached it.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r)
		u.mu.Unlock()
		h := w.Header()
		h.Set("Server", "ui")
		h.Set("Access-Control-Allow-Origin", "*")
		http.SetCookie(w, &http.Cookie{Name: "_csrf", Value: "token"})
		http.SetCookie(w, &http.Cookie{Name: "hcp-temporal", Value: "planted"})
		http.SetCookie(w, &http.Cookie{Name: "__Host-hcp-temporal", Value: "planted"})
		switch r.URL.Path {
		case "/temporal/render":
			h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
			h.Set("Content-Type", "text/html")
		case "/temporal/huge":
			h.Set("Content-Type", "text/html")
			_, _ = w.Write(bytes.Repeat([]byte("a"), 5<<20))
			return
		case "/temporal/api/data":
			h.Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"ok":true}`)
			return
		default:
			h.Set("Content-Type", "text/html; charset=utf-8")
		}
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) last(t *testing.T) *http.Request {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	require.NotEmpty(t, u.seen)
	return u.seen[len(u.seen)-1]
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen)
}

type site struct {
	*webui.Handler
	up   *upstream
	now  time.Time
	logs *bytes.Buffer
}

// newSite is a UI at the public URL. The token "writer" may write, "reader" may
// read, "tenant" may nothing.
func newSite(t *testing.T, publicURL string) *site {
	t.Helper()
	s := &site{up: newUpstream(t), now: time.Unix(1_800_000_000, 0), logs: &bytes.Buffer{}}
	target, err := url.Parse(s.up.URL)
	require.NoError(t, err)
	public, err := url.Parse(publicURL)
	require.NoError(t, err)
	s.Handler, err = webui.New(webui.Options{
		Upstream: target, PublicURL: public, Now: func() time.Time { return s.now }, Logger: slog.New(slog.NewTextHandler(s.logs, nil)),
		Authenticate: func(r *http.Request) (webui.Access, error) {
			switch r.Header.Get("Authorization") {
			case "Bearer writer":
				return webui.Access{Subject: "writer", Write: true}, nil
			case "Bearer reader":
				return webui.Access{Subject: "reader"}, nil
			case "Bearer tenant":
				return webui.Access{}, errors.New("no")
			}
			return webui.Access{}, webui.ErrUnauthenticated
		},
	})
	require.NoError(t, err)
	return s
}

// answer is what came back.
type answer struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

func (a answer) Cookies() []*http.Cookie { return a.cookies }

func (s *site) send(t *testing.T, method, target string, headers ...string) (answer, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	res := rec.Result()
	require.NoError(t, res.Body.Close())
	return answer{StatusCode: rec.Code, Header: res.Header, cookies: res.Cookies()}, rec.Body.String()
}

// login opens a one-time link and returns the session's cookie.
func (s *site) login(t *testing.T, a webui.Access) string {
	t.Helper()
	link, _ := s.IssueTicket(a)
	u, err := url.Parse(link)
	require.NoError(t, err)
	res, body := s.send(t, http.MethodGet, u.RequestURI())
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	require.Len(t, res.Cookies(), 1)
	return res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
}

const local = "http://127.0.0.1:8080"

func TestNobodyEntersWithoutCredentials(t *testing.T) {
	s := newSite(t, local)
	for name, tc := range map[string]struct {
		headers []string
		status  int
	}{
		"nothing":          {nil, 401},
		"a bad token":      {[]string{"Authorization", "Bearer x"}, 401},
		"a tenant":         {[]string{"Authorization", "Bearer tenant"}, 403},
		"a made-up cookie": {[]string{"Cookie", "hcp-temporal=abc"}, 401},
		"an empty cookie":  {[]string{"Cookie", "hcp-temporal="}, 401},
		"identity header":  {[]string{"X-Forwarded-User", "admin", "Remote-User", "admin"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
				res, _ := s.send(t, method, "/temporal/namespaces", tc.headers...)
				require.Equal(t, tc.status, res.StatusCode)
			}
		})
	}
	require.Zero(t, s.up.count())
}

func TestOneTimeLink(t *testing.T) {
	s := newSite(t, local)
	link, expires := s.IssueTicket(webui.Access{Subject: "op", Write: true})
	require.True(t, strings.HasPrefix(link, local+"/temporal/login?ticket="))
	require.Equal(t, s.now.Add(10*time.Minute), expires)
	u, err := url.Parse(link)
	require.NoError(t, err)

	res, _ := s.send(t, http.MethodGet, u.RequestURI(), "Sec-Purpose", "prefetch;prerender")
	require.Equal(t, http.StatusForbidden, res.StatusCode, "a prefetch does not use the link up")
	res, body := s.send(t, http.MethodGet, u.RequestURI())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, body, `url=/temporal/`)
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	cookie := res.Cookies()[0]
	require.Equal(t, "hcp-temporal", cookie.Name)
	require.True(t, cookie.HttpOnly)
	require.False(t, cookie.Secure, "plain http on a loopback address")
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	require.NotContains(t, s.logs.String(), cookie.Value)

	res, _ = s.send(t, http.MethodGet, u.RequestURI())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "a link is good once")
	require.Empty(t, res.Cookies())
	res, _ = s.send(t, http.MethodGet, "/temporal/login?ticket=")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)

	late, _ := s.IssueTicket(webui.Access{})
	s.now = s.now.Add(10 * time.Minute)
	u, err = url.Parse(late)
	require.NoError(t, err)
	res, _ = s.send(t, http.MethodGet, u.RequestURI())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "a link is good for ten minutes")
}

func TestOneLinkManyAtOnce(t *testing.T) {
	s := newSite(t, local)
	link, _ := s.IssueTicket(webui.Access{Subject: "op"})
	u, err := url.Parse(link)
	require.NoError(t, err)
	var wg sync.WaitGroup
	statuses := make(chan int, 16)
	for range 16 {
		wg.Go(func() {
			res, _ := s.send(t, http.MethodGet, u.RequestURI())
			statuses <- res.StatusCode
		})
	}
	wg.Wait()
	close(statuses)
	ok := 0
	for status := range statuses {
		if status == http.StatusOK {
			ok++
		}
	}
	require.Equal(t, 1, ok)
}

func TestCookieOnHTTPS(t *testing.T) {
	s := newSite(t, "https://hcp.example.test")
	link, _ := s.IssueTicket(webui.Access{Subject: "op"})
	u, err := url.Parse(link)
	require.NoError(t, err)
	res, _ := s.send(t, http.MethodGet, u.RequestURI())
	cookie := res.Cookies()[0]
	require.Equal(t, "__Host-hcp-temporal", cookie.Name)
	require.True(t, cookie.Secure)
	require.Equal(t, "/", cookie.Path)
	require.Empty(t, cookie.Domain)
	res, _ = s.send(t, http.MethodGet, "/temporal/", "Cookie", "hcp-temporal="+cookie.Value)
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "only the name that a browser guards")
}

func TestSessionsEnd(t *testing.T) {
	s := newSite(t, local)
	cookie := s.login(t, webui.Access{Subject: "op"})
	get := func() int {
		res, _ := s.send(t, http.MethodGet, "/temporal/", "Cookie", cookie)
		return res.StatusCode
	}
	for range 9 {
		require.Equal(t, http.StatusOK, get())
		s.now = s.now.Add(50 * time.Minute)
	}
	s.now = s.now.Add(40 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, get(), "eight hours are over, however busy it was")

	cookie = s.login(t, webui.Access{Subject: "op"})
	s.now = s.now.Add(time.Hour)
	require.Equal(t, http.StatusUnauthorized, get(), "an hour without use")

	cookie = s.login(t, webui.Access{Subject: "op"})
	res, _ := s.send(t, http.MethodGet, "/temporal/", "Cookie", cookie+"; hcp-temporal=planted")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "two cookies of the name")
}

func TestChangesComeFromOurPages(t *testing.T) {
	s := newSite(t, local)
	cookie := s.login(t, webui.Access{Subject: "op", Write: true})
	for name, tc := range map[string]struct {
		headers []string
		ok      bool
	}{
		"our page":              {[]string{"Origin", local, "Sec-Fetch-Site", "same-origin"}, true},
		"a browser of old":      {[]string{"Origin", local}, true},
		"no origin":             {nil, false},
		"another site":          {[]string{"Origin", "https://evil.example.test", "Sec-Fetch-Site", "cross-site"}, false},
		"another port":          {[]string{"Origin", "http://127.0.0.1:9999", "Sec-Fetch-Site", "same-site"}, false},
		"another scheme":        {[]string{"Origin", "https://127.0.0.1:8080"}, false},
		"a null origin":         {[]string{"Origin", "null"}, false},
		"a lie about the site":  {[]string{"Origin", "https://evil.example.test", "Sec-Fetch-Site", "same-origin"}, false},
		"the truth of the site": {[]string{"Origin", local, "Sec-Fetch-Site", "cross-site"}, false},
		"two origins":           {[]string{"Origin", local, "Origin", "https://evil.example.test"}, false},
		"a forged host":         {[]string{"Origin", "http://evil.example.test", "X-Forwarded-Host", "evil.example.test"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.up.count()
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
				res, _ := s.send(t, method, "/temporal/api/data", append([]string{"Cookie", cookie}, tc.headers...)...)
				require.Equal(t, map[bool]int{true: 200, false: 403}[tc.ok], res.StatusCode)
			}
			require.Equal(t, map[bool]int{true: 4, false: 0}[tc.ok], s.up.count()-before)
		})
	}
	for name, tc := range map[string]struct {
		headers []string
		status  int
	}{
		"a link from elsewhere":     {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		"a frame elsewhere":         {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		"a script elsewhere":        {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, 403},
		"a fetch of a sister's":     {[]string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 403},
		"typed into the address":    {[]string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, 200},
		"a script of our own pages": {[]string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			res, _ := s.send(t, http.MethodGet, "/temporal/", append([]string{"Cookie", cookie}, tc.headers...)...)
			require.Equal(t, tc.status, res.StatusCode)
		})
	}
}

func TestReadersOnlyRead(t *testing.T) {
	s := newSite(t, local)
	cookie := s.login(t, webui.Access{Subject: "auditor"})
	ours := []string{"Origin", local, "Sec-Fetch-Site", "same-origin"}
	for _, credentials := range [][]string{{"Cookie", cookie}, {"Authorization", "Bearer reader"}} {
		before := s.up.count()
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			res, _ := s.send(t, method, "/temporal/api/data", append(credentials, ours...)...)
			require.Equal(t, http.StatusForbidden, res.StatusCode)
		}
		require.Equal(t, before, s.up.count())
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			res, _ := s.send(t, method, "/temporal/api/data", append(credentials, ours...)...)
			require.Equal(t, http.StatusOK, res.StatusCode)
		}
	}
	res, _ := s.send(t, http.MethodPost, "/temporal/api/data", "Authorization", "Bearer writer")
	require.Equal(t, http.StatusOK, res.StatusCode, "a token is no cookie: there is nothing to forge")
}

func TestOnlyHarmlessHeadersReachTheUI(t *testing.T) {
	s := newSite(t, local)
	cookie := s.login(t, webui.Access{Subject: "op", Write: true})
	_, _ = s.send(t, http.MethodPost, "/temporal/api/data?x=1&y=a%2Fb", "Cookie", cookie+"; _csrf=abc", "Origin", local,
		"X-Csrf-Token", "abc", "Content-Type", "application/json", "Accept", "application/json",
		"X-Forwarded-For", "1.2.3.4", "X-Forwarded-User", "admin", "X-Forwarded-Host", "evil", "Forwarded", "for=1.2.3.4", "X-Real-Ip", "1.2.3.4",
		"Remote-User", "admin", "Authorization-Extras", "x", "Proxy-Authorization", "x", "Temporal-Namespace", "x", "Caller-Type", "operator",
		"Connection", "Upgrade, X-Secret", "Upgrade", "websocket", "X-Secret", "x", "Te", "trailers")
	got := s.up.last(t)
	require.Equal(t, "/temporal/api/data", got.URL.Path)
	require.Equal(t, "x=1&y=a%2Fb", got.URL.RawQuery)
	require.Equal(t, "_csrf=abc", got.Header.Get("Cookie"))
	require.Equal(t, "abc", got.Header.Get("X-Csrf-Token"))
	for name := range got.Header {
		require.Contains(t, []string{"Accept", "Content-Type", "Cookie", "Origin", "X-Csrf-Token", "User-Agent", "Content-Length", "Accept-Encoding"}, name)
	}
	require.NotContains(t, got.Host, "evil")

	_, _ = s.send(t, http.MethodGet, "/temporal/api/data", "Authorization", "Bearer writer")
	require.Empty(t, s.up.last(t).Header.Get("Authorization"))
}

func TestAnswersAreGuarded(t *testing.T) {
	s := newSite(t, local)
	cookie := s.login(t, webui.Access{Subject: "op"})
	res, body := s.send(t, http.MethodGet, "/temporal/", "Cookie", cookie)
	require.Equal(t, page, body)
	policies := res.Header.Values("Content-Security-Policy")
	require.Len(t, policies, 1)
	sum := sha256.Sum256([]byte(`alert("inline")`))
	require.Contains(t, policies[0], "script-src 'self' 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	require.NotContains(t, policies[0], "script-src 'self' 'unsafe")
	require.Contains(t, policies[0], "frame-ancestors 'none'")
	require.Equal(t, "DENY", res.Header.Get("X-Frame-Options"))
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	require.Empty(t, res.Header.Get("Server"))
	require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
	for _, c := range res.Cookies() {
		require.NotEqual(t, "hcp-temporal", c.Name, "the UI must not replace our session")
	}
	require.Len(t, res.Cookies(), 2)

	res, _ = s.send(t, http.MethodGet, "/temporal/render", "Cookie", cookie)
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "sandbox")
	require.Equal(t, "SAMEORIGIN", res.Header.Get("X-Frame-Options"))

	res, _ = s.send(t, http.MethodGet, "/temporal/huge", "Cookie", cookie)
	require.Equal(t, http.StatusBadGateway, res.StatusCode)

	s.up.Close()
	res, body = s.send(t, http.MethodGet, "/temporal/", "Cookie", cookie)
	require.Equal(t, http.StatusBadGateway, res.StatusCode)
	require.NotContains(t, body, "127.0.0.1")
}

func TestALinkForAToken(t *testing.T) {
	s := newSite(t, local)
	for authorization, status := range map[string]int{"": 401, "Bearer x": 401, "Bearer tenant": 403, "Bearer reader": 201} {
		var headers []string
		if authorization != "" {
			headers = []string{"Authorization", authorization}
		}
		res, body := s.send(t, http.MethodPost, "/temporal/login", headers...)
		require.Equal(t, status, res.StatusCode)
		if status != http.StatusCreated {
			continue
		}
		var made struct {
			URL       string    `json:"url"`
			ExpiresAt time.Time `json:"expires_at"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &made))
		require.True(t, made.ExpiresAt.After(s.now))
		u, err := url.Parse(made.URL)
		require.NoError(t, err)
		res, _ = s.send(t, http.MethodGet, u.RequestURI())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	// A session makes no links: it would outlive itself.
	cookie := s.login(t, webui.Access{Subject: "op", Write: true})
	res, _ := s.send(t, http.MethodPost, "/temporal/login", "Cookie", cookie, "Origin", local)
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	res, _ = s.send(t, http.MethodDelete, "/temporal/login", "Authorization", "Bearer writer")
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
}

func TestTicketsAreBounded(t *testing.T) {
	s := newSite(t, local)
	first, _ := s.IssueTicket(webui.Access{Subject: "first"})
	var last string
	for range 64 {
		s.now = s.now.Add(time.Millisecond)
		last, _ = s.IssueTicket(webui.Access{Subject: "next"})
	}
	for link, status := range map[string]int{first: 401, last: 200} {
		u, err := url.Parse(link)
		require.NoError(t, err)
		res, _ := s.send(t, http.MethodGet, u.RequestURI())
		require.Equal(t, status, res.StatusCode)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	up, err := url.Parse("http://127.0.0.1:1")
	require.NoError(t, err)
	ftp, err := url.Parse("ftp://x")
	require.NoError(t, err)
	authenticate := func(*http.Request) (webui.Access, error) { return webui.Access{}, nil }
	for name, o := range map[string]webui.Options{
		"no upstream":     {PublicURL: up, Authenticate: authenticate},
		"no public URL":   {Upstream: up, Authenticate: authenticate},
		"no door":         {Upstream: up, PublicURL: up},
		"a strange URL":   {Upstream: up, PublicURL: ftp, Authenticate: authenticate},
		"a strange place": {Upstream: up, PublicURL: up, Authenticate: authenticate, Prefix: "temporal"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := webui.New(o)
			require.Error(t, err)
		})
	}
}
