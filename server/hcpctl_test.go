package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/command"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

// losing serves a handler and cuts the connection instead of giving so many
// answers to POSTs that were carried out.
func losing(t *testing.T, h http.Handler, answers int32) *httptest.Server {
	t.Helper()
	var lost atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost || lost.Add(1) > answers {
			h.ServeHTTP(w, req)
			return
		}
		h.ServeHTTP(httptest.NewRecorder(), req)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// hcpctl runs a command line against a server.
func hcpctl(t *testing.T, url, token, home string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env := map[string]string{"HOME": home, "HCP_SERVER": url, "HCP_TOKEN": token, "HCP_KEYRING": "off"}
	var out, errOut bytes.Buffer
	app := &command.App{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Env: func(name string) string { return env[name] },
		Policy: transport.Policy{Attempts: 4, Base: time.Millisecond, Cap: time.Millisecond},
		Sleep:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() }, Now: time.Now, Version: "test",
	}
	code = app.Run(t.Context())
	return code, out.String(), errOut.String()
}

// An answer that is lost is asked for again with the same key: one VM, one job.
func TestCommandLineRepeatsSafely(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		srv, token, home := losing(t, w.handler, 3), w.token(t, owner()), t.TempDir()
		code, out, errOut := hcpctl(t, srv.URL, token, home, "vm", "create", "web-1", "--image", storetest.Image, "--flavor", storetest.Flavor, "--no-wait", "-o", "json")
		require.Zero(t, code, errOut)
		require.Contains(t, errOut, "retry in")
		var a struct {
			VMID  string `json:"vm_id"`
			JobID string `json:"job_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(out), &a))
		code, out, errOut = hcpctl(t, srv.URL, token, home, "vm", "list", "-o", "name")
		require.Zero(t, code, errOut)
		require.Equal(t, "vm/"+a.VMID+"\n", out)
		code, out, errOut = hcpctl(t, srv.URL, token, home, "job", "list", "-o", "name")
		require.Zero(t, code, errOut)
		require.Equal(t, "job/"+a.JobID+"\n", out)
	})
}

// Every command that only reads the catalog and the inventory is understood by
// the server.
func TestCommandLineReads(t *testing.T) {
	w := onSQLite(t)
	vm := w.ActiveVM(t, "web")
	srv, home := losing(t, w.handler, 0), t.TempDir()
	for line, want := range map[string]string{
		"project list": storetest.Project, "image get " + storetest.Image: storetest.Image, "flavor list": storetest.Flavor, "zone list --sort -name": storetest.Zone,
		"capability list": storetest.Zone, "vm get web": vm.ID, "vm list --status active --power running --name-prefix we --created-after 2020-01-01T00:00:00Z": "web",
		"job list --outcome open": "ID", "version": "1.2.3", "limits": "page_size_max", "error-code OPERATION_IN_PROGRESS": "409", "vm jobs web": "ID", "network list": "ID",
		"api GET /common/v1/version": `"version": "1.2.3"`,
	} {
		code, out, errOut := hcpctl(t, srv.URL, w.token(t, owner()), home, strings.Fields(line)...)
		require.Zero(t, code, "%s: %s", line, errOut)
		require.Contains(t, out, want, line)
	}
	for line, want := range map[string]string{
		"provider list -o wide": storetest.Provider, "vm list": "web", "vm get web": vm.ID, "node list --provider " + storetest.Provider: "ID", "cluster list": "ID",
		"tenant list": storetest.Tenant, "project list --sort created_at": storetest.OtherProject, "zone get " + storetest.Zone: storetest.Zone,
		"flavor get " + storetest.Flavor: "1024", "image list": storetest.Image, "network list": "ID", "job list": "ID",
	} {
		code, out, errOut := hcpctl(t, srv.URL, w.token(t, admin()), home, append([]string{"ops"}, strings.Fields(line)...)...)
		require.Zero(t, code, "ops %s: %s", line, errOut)
		require.Contains(t, out, want, line)
	}
	code, _, errOut := hcpctl(t, srv.URL, w.token(t, owner()), home, "ops", "vm", "list")
	require.Equal(t, 4, code)
	require.Contains(t, errOut, "error[WRONG_PLANE]")
}
