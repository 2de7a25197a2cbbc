package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The Temporal Web UI shows the very workflow of a job, to operators alone.
func TestWebUI(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	a := p.tenant().create(t, "watched")
	p.tenant().done(t, a.JobID)
	workflow := p.TemporalUIURL + "api/v1/namespaces/default/workflows/" + a.JobID

	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"nobody":   {"", http.StatusUnauthorized},
		"a tenant": {p.TenantToken, http.StatusForbidden},
		"operator": {p.OpsToken, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, http.MethodGet, workflow)
			if c.token != "" {
				req.Header.Set("Authorization", "Bearer "+c.token)
			}
			status, body := do(t, http.DefaultClient, req)
			require.Equal(t, c.want, status, body)
			require.Equal(t, c.want == http.StatusOK, strings.Contains(body, `"CreateVM"`), body)
		})
	}

	t.Run("the banner's link opens it once", func(t *testing.T) {
		browser := newBrowser(t)
		link := bannerLink(t, p)
		status, _ := do(t, browser, request(t, http.MethodGet, link))
		require.Equal(t, http.StatusOK, status)
		status, body := do(t, browser, request(t, http.MethodGet, workflow))
		require.Equal(t, http.StatusOK, status, body)

		stranger := newBrowser(t)
		status, _ = do(t, stranger, request(t, http.MethodGet, link))
		require.Equal(t, http.StatusUnauthorized, status)
		status, _ = do(t, stranger, request(t, http.MethodGet, workflow))
		require.Equal(t, http.StatusUnauthorized, status)
	})
}

// The page itself, in a real browser: with the headers that the proxy sets, its
// scripts must still run.
func TestWebUIInABrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium is not installed: apt-get install -y chromium")
	}
	p := start(t, t.TempDir())
	a := p.tenant().create(t, "seen")
	p.tenant().done(t, a.JobID)

	// A page of ours that opens the link and then the workflow stands for the
	// person who does: the browser's profile keeps the cookie between the two.
	profile := t.TempDir()
	open := func(url string, args ...string) string {
		args = append(args, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
			"--user-data-dir="+profile, "--window-size=1400,1000", url)
		out, err := exec.CommandContext(t.Context(), chromium, args...).Output()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	open(bannerLink(t, p), "--dump-dom")
	workflow := p.TemporalUIURL + "namespaces/default/workflows/" + a.JobID
	var page string
	eventually(t, jobLimit, func() error {
		page = open(workflow, "--dump-dom", "--virtual-time-budget=20000")
		if !strings.Contains(page, a.JobID) || !strings.Contains(page, "CreateVM") || !strings.Contains(strings.ToLower(page), "completed") {
			return fmt.Errorf("the page does not show the workflow: %d bytes", len(page))
		}
		return nil
	})
	if dir := artifacts(t); dir != "" {
		open(workflow, "--screenshot="+filepath.Join(dir, "webui.png"), "--virtual-time-budget=20000")
	}
}

func newBrowser(tb testing.TB) *http.Client {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(tb, err)
	return &http.Client{Jar: jar, Timeout: 30 * time.Second}
}

func bannerLink(tb testing.TB, p *instance) string {
	tb.Helper()
	link := regexp.MustCompile(`http://\S+/temporal/login\?ticket=\S+`).FindString(p.output.String())
	require.NotEmpty(tb, link, p.output)
	_, err := url.Parse(link)
	require.NoError(tb, err)
	return link
}

func request(tb testing.TB, method, url string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, nil)
	require.NoError(tb, err)
	return req
}

func do(tb testing.TB, c *http.Client, req *http.Request) (int, string) {
	tb.Helper()
	resp, err := c.Do(req)
	require.NoError(tb, err)
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	require.NoError(tb, err)
	return resp.StatusCode, string(body)
}
