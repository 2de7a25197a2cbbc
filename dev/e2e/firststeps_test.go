package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// One instance serves all first steps: they only look at VMs of their own.
func TestFirstSteps(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	t.Logf("ready after %v", p.ready)

	t.Run("dev.json", func(t *testing.T) { checkInfo(t, p) })
	t.Run("a VM from POST to ACTIVE and back", func(t *testing.T) { lifeOfAVM(t, p) })
	t.Run("the banner's commands work as pasted", func(t *testing.T) { pasteBanner(t, p) })
	t.Run("idempotent replay", func(t *testing.T) { replay(t, p) })
	t.Run("another tenant sees nothing", func(t *testing.T) { otherTenant(t, p) })
	t.Run("minted tokens", func(t *testing.T) { mintedTokens(t, p) })
	t.Run("a second instance is refused", func(t *testing.T) { secondInstance(t, p) })
	t.Run("secrets are private", func(t *testing.T) { privateFiles(t, dir) })

	t.Logf("stopped after %v", p.interrupt(t))
}

func checkInfo(t *testing.T, p *instance) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, "dev.json"))
	require.NoError(t, err)
	var fields map[string]string
	require.NoError(t, json.Unmarshal(raw, &fields))
	want := []string{
		"api_url", "temporal_ui_url", "temporal_address", "simhv_url", "project_id", "tenant_token",
		"other_project_id", "other_tenant_token", "ops_token",
	}
	for _, name := range want {
		require.NotEmpty(t, fields[name], name)
	}
	require.Len(t, fields, len(want))
	require.Equal(t, "http://"+p.addr, p.APIURL)
}

func lifeOfAVM(t *testing.T, p *instance) {
	t.Helper()
	c := p.tenant()
	a := c.create(t, "life")
	j := c.done(t, a.JobID)

	names := make([]string, len(j.Steps))
	for i, s := range j.Steps {
		names[i] = s.Name
		require.Equal(t, "SUCCEEDED", s.State, "%s", j)
	}
	require.Subset(t, names, []string{"ReserveCapacity", "CreateVM", "PowerOnVM"})
	require.Equal(t, 100, j.Progress.Percent)
	require.Equal(t, 1, j.Run)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	require.Equal(t, "running", requireOnHypervisor(t, p, a.VMID).Power)

	again := c.done(t, c.verb(t, a.VMID, "start", nil).JobID)
	require.True(t, again.Result != nil && again.Result.NoOp, "%s", again)

	c.done(t, c.verb(t, a.VMID, "stop", map[string]any{"mode": "graceful_then_force", "timeout": "PT5S"}).JobID)
	requireVM(t, c, a.VMID, "ACTIVE", "STOPPED")
	require.Equal(t, "stopped", requireOnHypervisor(t, p, a.VMID).Power)

	c.done(t, c.verb(t, a.VMID, "start", nil).JobID)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	c.done(t, c.verb(t, a.VMID, "reboot", map[string]any{"mode": "force"}).JobID)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")

	gone := c.delete(t, a.VMID)
	c.done(t, gone.JobID)
	require.Equal(t, "DELETED", c.vm(t, a.VMID).Status)
	requireNotOnHypervisor(t, p, a.VMID)
}

func requireVM(t *testing.T, c client, vmID, status, power string) {
	t.Helper()
	v := c.vm(t, vmID)
	require.Equal(t, status, v.Status, "%+v", v)
	require.Equal(t, power, v.PowerState, "%+v", v)
	require.Empty(t, v.CurrentJobID)
}

// pasteBanner runs what the banner tells to type, in a shell.
func pasteBanner(t *testing.T, p *instance) {
	t.Helper()
	_, script, found := strings.Cut(p.output.String(), "Create a VM, and look at its job:")
	require.True(t, found)
	script, _, found = strings.Cut(script, "Ctrl-C stops it")
	require.True(t, found)

	out := shell(t, script)
	var a accepted
	var shown bool
	for line := range strings.SplitSeq(out, "\n") {
		if strings.Contains(line, `"vm_id"`) {
			require.NoError(t, json.Unmarshal([]byte(line), &a), line)
		}
		shown = shown || a.JobID != "" && strings.Contains(line, `"id":"`+a.JobID+`"`)
	}
	require.True(t, shown, out)
	p.tenant().done(t, a.JobID)
	requireVM(t, p.tenant(), a.VMID, "ACTIVE", "RUNNING")
}

func replay(t *testing.T, p *instance) {
	t.Helper()
	c, key := p.tenant(), map[string]string{"Idempotency-Key": "replay-1"}
	first, err := c.try(t.Context(), http.MethodPost, c.vms(), createBody("replay"), key)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, first.Status, "%s", first.Body)
	second, err := c.try(t.Context(), http.MethodPost, c.vms(), createBody("replay"), key)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, second.Status)
	require.JSONEq(t, string(first.Body), string(second.Body))
	require.Equal(t, "true", second.Header.Get("Idempotency-Replayed"))

	other, err := c.try(t.Context(), http.MethodPost, c.vms(), createBody("replay-other"), key)
	require.NoError(t, err)
	requireProblem(t, other, http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
}

func requireProblem(t *testing.T, r reply, status int, code string) problem {
	t.Helper()
	require.Equal(t, status, r.Status, "%s", r.Body)
	var p problem
	require.NoError(t, json.Unmarshal(r.Body, &p))
	require.Equal(t, code, p.Code, "%s", r.Body)
	return p
}

func otherTenant(t *testing.T, p *instance) {
	t.Helper()
	c := p.tenant()
	a := c.create(t, "mine")
	c.done(t, a.JobID)
	stranger := p.other()
	for _, path := range []string{
		c.vms() + "/" + a.VMID,                  // my project
		stranger.vms() + "/" + a.VMID,           // theirs
		"/tenant/v1/jobs/" + a.JobID,            //
		c.vms() + "/01234567-89ab-cdef-0123-45", // absent: looks the same
	} {
		r, err := stranger.try(t.Context(), http.MethodGet, path, nil, nil)
		require.NoError(t, err)
		requireProblem(t, r, http.StatusNotFound, "NOT_FOUND")
	}
	r, err := stranger.try(t.Context(), http.MethodDelete, c.vms()+"/"+a.VMID, nil, nil)
	require.NoError(t, err)
	requireProblem(t, r, http.StatusNotFound, "NOT_FOUND")
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")

	r, err = c.try(t.Context(), http.MethodGet, "/ops/v1/providers", nil, nil)
	require.NoError(t, err)
	requireProblem(t, r, http.StatusForbidden, "WRONG_PLANE")
}

func mintedTokens(t *testing.T, p *instance) {
	t.Helper()
	token := func(args ...string) string {
		out, stderr, code := command(t, append([]string{"token", "--data-dir", p.dir}, args...)...)
		require.Zero(t, code, stderr)
		return strings.TrimSpace(out)
	}
	viewer := p.tenant()
	viewer.token = token("--plane", "tenant", "--tenant", "demo", "--project", p.ProjectID, "--role", "viewer")
	viewer.call(t, http.MethodGet, viewer.vms(), nil, http.StatusOK, nil)
	r, err := viewer.try(t.Context(), http.MethodPost, viewer.vms(), createBody("denied"), nil)
	require.NoError(t, err)
	requireProblem(t, r, http.StatusForbidden, "PERMISSION_DENIED")

	auditor := p.ops()
	auditor.token = token("--plane", "ops", "--role", "auditor", "--ttl", "5m")
	auditor.call(t, http.MethodGet, "/ops/v1/providers", nil, http.StatusOK, nil)

	_, stderr, code := command(t, "token", "--data-dir", p.dir, "--plane", "tenant", "--role", "viewer")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "needs a tenant")
}

func secondInstance(t *testing.T, p *instance) {
	t.Helper()
	_, stderr, code := command(t, "--addr", freeAddr(t), "--data-dir", p.dir)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "in use by another instance")
	require.Equal(t, 1, strings.Count(strings.TrimSpace(stderr), "\n")+1, stderr)
}

func privateFiles(t *testing.T, dir string) {
	t.Helper()
	secret := []string{"dev.json", "keys/issuer.ed25519", "keys/keyset.json", "keys/page-token.key"}
	for _, name := range secret {
		st, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Zero(t, st.Mode().Perm()&0o077, "%s: %v", name, st.Mode())
	}
}

func TestRefusals(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	taken := freeAddr(t)
	occupy(t, taken)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"port taken":            {[]string{"--addr", taken, "--data-dir", t.TempDir()}, "cannot serve the API on " + taken},
		"not a directory":       {[]string{"--addr", freeAddr(t), "--data-dir", filepath.Join(blocked, "dir")}, "data directory"},
		"reachable by others":   {[]string{"--addr", "0.0.0.0:0", "--data-dir", t.TempDir()}, "not a loopback address"},
		"not an address":        {[]string{"--addr", "8080", "--data-dir", t.TempDir()}, "is not host:port"},
		"token without a state": {[]string{"token", "--plane", "ops", "--role", "admin", "--data-dir", t.TempDir()}, "not a data directory yet"},
		"sim reachable":         {[]string{"sim", "--listen", "0.0.0.0:0"}, "not a loopback address"},
		"unknown sim":           {[]string{"sim", "--kind", "hyperv", "--listen", "127.0.0.1:0"}, "only \"sim\", \"proxmox\" and \"vsphere\" are simulated"},
		"a sim's flag":          {[]string{"sim", "--kind", "vsphere", "--esxi", "--nodes", "2"}, "--nodes does not go with --esxi"},
		"unknown capability":    {[]string{"sim", "--withdraw", "suspend,flying", "--listen", "127.0.0.1:0"}, "there is no capability \"flying\""},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := command(t, c.args...)
			require.Equal(t, 1, code)
			require.Contains(t, stderr, c.want)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)
			require.Empty(t, stdout)
		})
	}
}

func TestEphemeralLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	p := launch(t, "", "--ephemeral")
	eventually(t, readyLimit, func() error { return ready(t, "http://"+p.addr) })
	entries, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	p.interrupt(t)
	entries, err = os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, entries)
}
