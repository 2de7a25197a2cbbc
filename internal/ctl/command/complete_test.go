package command_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// tab is what the completion offers, without the directive.
func tab(r *rig, words ...string) []string {
	r.tb.Helper()
	got := r.run(append([]string{"__complete"}, words...)...)
	require.Zero(r.tb, got.code)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Equal(r.tb, ":4", lines[len(lines)-1], "file names are no candidates")
	return lines[:len(lines)-1]
}

func TestCompletion(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged([]map[string]any{vm(1, "web-1"), vm(2, "web-2"), vm(3, "db")}))
	require.Equal(t, []string{
		"web-1\t0198c2de-0000-7000-8000-000000000001 RUNNING", "web-2\t0198c2de-0000-7000-8000-000000000002 RUNNING",
	}, tab(r, "vm", "start", "web"))
	require.Len(t, tab(r, "vm", "start", "0198"), 3, "IDs where no name fits")
	require.Equal(t, 1, r.server.Seen()["listVMs"], "the second tab costs nothing")

	r.now = r.now.Add(31 * time.Second)
	tab(r, "vm", "start", "web")
	require.Equal(t, 2, r.server.Seen()["listVMs"], "half a minute is long enough")
	requirePrivate(t, filepath.Join(r.home, ".cache"))

	r.env["HCP_TOKEN"] = "secret-token-2"
	tab(r, "vm", "start", "web")
	require.Equal(t, 3, r.server.Seen()["listVMs"], "another login sees its own")

	require.Empty(t, tab(r, "vm", "start", "web-1", ""), "there is one argument")
	require.Contains(t, tab(r, "vm", "list", "--status", ""), "ERROR")
	require.NotEmpty(t, tab(r, "service-account", "key", "delete", ctltest.SampleID, ""))
	require.NotEmpty(t, tab(r, "vm", "create", "--flavor", ""))
}

// Offline there is silence.
func TestCompletionIsSilentOffline(t *testing.T) {
	r := newRig(t)
	r.env["HCP_SERVER"] = "http://127.0.0.1:1"
	require.Empty(t, tab(r, "vm", "start", ""))
	require.Empty(t, r.slept, "nothing is repeated")
	clear(r.env)
	require.Empty(t, tab(r, "vm", "start", ""))
	require.Empty(t, tab(r, "context", "use", ""))
}

func TestCompletionOfContexts(t *testing.T) {
	r := newRig(t)
	r.ok("context", "set", "dev", "--server", r.server.URL)
	require.Equal(t, []string{"dev\t" + r.server.URL}, tab(r, "context", "use", ""))
	require.Equal(t, []string{"dev\t" + r.server.URL}, tab(r, "--context", ""))
}

// Candidates that nobody will use again do not pile up.
func TestCompletionSweeps(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged([]map[string]any{vm(1, "web-1")}))
	r.now = time.Now()
	tab(r, "vm", "start", "")
	tab(r, "vm", "stop", "")
	r.now = r.now.Add(time.Minute)
	tab(r, "vm", "reboot", "")
	files, err := filepath.Glob(filepath.Join(r.home, ".cache/hcpctl/completion/*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
}
