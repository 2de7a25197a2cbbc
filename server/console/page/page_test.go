package page_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/server/console/page"
)

// built stands for what `task web` makes.
func built() fstest.MapFS {
	return fstest.MapFS{
		"manifest.json": {Data: []byte(`{"vnc.js":"vnc-1.js","serial.js":"serial-1.js","console.css":"console-1.css",` +
			`"terminal.css":"terminal-1.css","icon.svg":"icon-1.svg","LICENSES.txt":"LICENSES-1.txt"}`)},
		"vnc-1.js":       {Data: []byte("vnc")},
		"console-1.css":  {Data: []byte("css")},
		"icon-1.svg":     {Data: []byte("<svg/>")},
		"LICENSES-1.txt": {Data: []byte("MIT")},
		"unlisted-1.js":  {Data: []byte("x")},
		".keep":          {},
	}
}

func render(t *testing.T, assets fstest.MapFS, status int, v page.View) *httptest.ResponseRecorder {
	t.Helper()
	p, err := page.New(assets)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	p.Render(w, status, v)
	return w
}

func ready(kind page.Type) page.View {
	return page.View{
		State: page.Ready, Type: kind, Title: "web-1", StreamPath: "/console/abc/stream",
		SessionEndsAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestAConsoleNamesItsScriptAndItsStream(t *testing.T) {
	for kind, c := range map[page.Type]struct{ script, words string }{
		page.VNC: {"/console/assets/vnc-1.js", "Ctrl+Alt+Del"},
		page.Web: {"/console/assets/serial-1.js", "Paste text"},
	} {
		w := render(t, built(), http.StatusOK, ready(kind))
		require.Equal(t, http.StatusOK, w.Code)
		body := w.Body.String()
		require.Contains(t, body, `<script type="module" src="`+c.script+`"></script>`)
		require.Contains(t, body, `data-stream="/console/abc/stream"`)
		require.Contains(t, body, `data-ends="2030-01-02T03:04:05.000Z"`)
		require.Contains(t, body, c.words)
		require.Len(t, regexp.MustCompile(`(?i)<script`).FindAllString(body, -1), 1, "no script but the bundle")
		require.NotRegexp(t, `(?i)\son[a-z]+=|\sstyle=|javascript:`, body)
	}
	v := ready(page.VNC)
	v.SessionEndsAt = time.Time{}
	require.Contains(t, render(t, built(), http.StatusOK, v).Body.String(), `data-ends=""`)
}

func TestThePolicyOfAConsole(t *testing.T) {
	nonce := regexp.MustCompile(`'nonce-([A-Z2-7]{20,})'`)
	seen := map[string]bool{}
	for range 3 {
		w := render(t, built(), http.StatusOK, ready(page.Web))
		found := nonce.FindStringSubmatch(w.Header().Get("Content-Security-Policy"))
		require.NotNil(t, found)
		require.Contains(t, w.Body.String(), `nonce="`+found[1]+`"`)
		require.False(t, seen[found[1]], "a nonce is used once")
		seen[found[1]] = true
	}
	for _, kind := range []page.Type{page.VNC, page.Web} {
		w := render(t, built(), http.StatusOK, ready(kind))
		policy := w.Header().Get("Content-Security-Policy")
		for _, directive := range []string{
			"default-src 'none'", "script-src 'self';", "connect-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
			"require-trusted-types-for 'script'", "trusted-types 'none'",
		} {
			require.Contains(t, policy, directive)
		}
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, kind == page.Web, nonce.MatchString(policy), "the screen needs no style of its own")
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
		} {
			require.Equal(t, want, w.Header().Get(name), name)
		}
		require.Contains(t, w.Header().Get("Permissions-Policy"), "camera=()")
	}
}

func TestANameIsText(t *testing.T) {
	for name, c := range map[string]struct{ title, want, never string }{
		"markup":     {`</h1><script>alert(1)</script>`, `&lt;/h1&gt;&lt;script&gt;alert(1)&lt;/script&gt;`, `<script>alert`},
		"attribute":  {`" onmouseover="alert(1)`, `title="&#34; onmouseover=&#34;alert(1)"`, `onmouseover="alert(1)"`},
		"direction":  {"abc\u202egnp.exe", "abcgnp.exe", "\u202e"},
		"controls":   {"a\x00b\x1bc\nd", "abcd", "\x1b"},
		"not UTF-8":  {"a\xff\xfeb", "ab", "\xff"},
		"very long":  {strings.Repeat("ж", 5000), strings.Repeat("ж", 120) + "…", strings.Repeat("ж", 121)},
		"a template": {"{{.Nonce}}", "{{.Nonce}}", "<no value>"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []page.Type{page.VNC, page.Web} {
				v := ready(kind)
				v.Title = c.title
				body := render(t, built(), http.StatusOK, v).Body.String()
				require.Contains(t, body, c.want)
				require.NotContains(t, body, c.never)
			}
		})
	}
}

func TestAStreamPathIsAnAttribute(t *testing.T) {
	v := ready(page.VNC)
	v.StreamPath = `"><script>alert(1)</script>`
	require.NotContains(t, render(t, built(), http.StatusOK, v).Body.String(), "<script>alert")
}

func TestATicketThatOpensNothing(t *testing.T) {
	for state, c := range map[page.State]struct {
		status int
		words  string
	}{
		page.Gone:    {http.StatusGone, "used up"},
		page.Unknown: {http.StatusNotFound, "no console at this address"},
	} {
		for _, assets := range []fstest.MapFS{built(), {}} {
			w := render(t, assets, c.status, page.View{State: state})
			require.Equal(t, c.status, w.Code)
			require.Contains(t, w.Body.String(), c.words)
			require.NotContains(t, w.Body.String(), "<script")
			require.NotContains(t, w.Header().Get("Content-Security-Policy"), "script-src")
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
}

func TestPagesThatAreNotBuilt(t *testing.T) {
	assets := fstest.MapFS{".keep": {}}
	p, err := page.New(assets)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	p.Render(w, http.StatusOK, ready(page.VNC))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "task web")
	require.NotContains(t, w.Body.String(), "/console/abc", "nothing that uses the ticket up")

	assets["manifest.json"] = &fstest.MapFile{Data: []byte(`{"vnc.js":"vnc-1.js"`)}
	require.False(t, page.Built(assets), "a build that is not whole")
	for name, file := range built() {
		assets[name] = file
	}
	require.True(t, page.Built(assets))
	w = httptest.NewRecorder()
	p.Render(w, http.StatusOK, ready(page.VNC))
	require.Equal(t, http.StatusOK, w.Code, "a build is seen when it is done")
}

func TestAssets(t *testing.T) {
	p, err := page.New(built())
	require.NoError(t, err)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		p.Assets().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	for name, kind := range map[string]string{
		"vnc-1.js": "text/javascript; charset=utf-8", "console-1.css": "text/css; charset=utf-8",
		"icon-1.svg": "image/svg+xml", "LICENSES-1.txt": "text/plain; charset=utf-8",
	} {
		w := get("/console/assets/" + name)
		require.Equal(t, http.StatusOK, w.Code, name)
		require.Equal(t, kind, w.Header().Get("Content-Type"))
		require.Equal(t, "public, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
	require.Equal(t, "vnc", get("/console/assets/vnc-1.js").Body.String())
	for _, name := range []string{"manifest.json", ".keep", "unlisted-1.js", "serial-1.js", "", "vnc.js", "../page.go", "x/vnc-1.js", `..\page.go`} {
		require.Equal(t, http.StatusNotFound, get("/console/assets/"+name).Code, name)
		require.Nil(t, p.Asset(name), name)
	}
}

func TestWhatTheProgramWasBuiltWith(t *testing.T) {
	assets, err := page.Embedded()
	require.NoError(t, err)
	p, err := page.New(assets)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	p.Render(w, http.StatusOK, ready(page.VNC))
	require.Equal(t, page.Built(assets), w.Code == http.StatusOK)
}
