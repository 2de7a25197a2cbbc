package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/server/docs"
)

// The reference page in a real browser: its scripts run under its own policy,
// and show the routes of all planes.
func TestReferencePageInABrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium is not installed: apt-get install -y chromium")
	}
	assets, err := docs.Embedded()
	require.NoError(t, err)
	if !docs.Built(assets) {
		missing(t, "the reference page is not built: go tool -modfile=tools/go.mod task web")
	}
	p := start(t, t.TempDir())
	status, body := do(t, http.DefaultClient, request(t, http.MethodGet, p.APIURL+"/docs"))
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, "not built")

	profile := t.TempDir()
	open := func(at string, args ...string) (page, console string) {
		args = append(args, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr", "--user-data-dir="+profile,
			"--window-size=1400,1600", "--virtual-time-budget=20000", p.APIURL+"/docs"+at)
		cmd := exec.CommandContext(t.Context(), chromium, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s", stderr.String())
		return string(out), stderr.String()
	}
	var page, console string
	eventually(t, jobLimit, func() error {
		page, console = open("#/tenant/createVM", "--dump-dom")
		for _, want := range []string{"/tenant/v1/projects/{projectId}/vms", "/common/v1/error-codes", "/ops/v1/providers", "Authorize", "flavor_id", "web-1"} {
			if !strings.Contains(strings.ReplaceAll(page, "<wbr>", ""), want) {
				return fmt.Errorf("the page does not show %q: %d bytes", want, len(page))
			}
		}
		return nil
	})
	require.NotContains(t, console, "Content Security Policy", "the page needs what its policy forbids")
	require.NotContains(t, console, "Uncaught")
	if dir := artifacts(t); dir != "" {
		open("", "--screenshot=" + filepath.Join(dir, "docs.png"))
	}
}
