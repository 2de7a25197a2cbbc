package e2e_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// coolDown is how long the adapter lets credentials rest that were refused.
const coolDown = 2 * time.Second

// A Proxmox VE cluster in a process of its own, driven from the API alone, over
// TLS that is trusted by its fingerprint: VMs that race for VMIDs, VMs of others
// where ours were, and a console.
func TestProxmox(t *testing.T) {
	t.Parallel()
	hv := startProxmox(t)
	left := hv.look(t)
	p := start(t, t.TempDir())
	registerProxmox(t, p, hv)
	t.Run("30 at once", func(t *testing.T) { proxmoxRace(t, p, hv) })
	t.Run("a VM that runs is deleted", func(t *testing.T) { proxmoxDelete(t, p, hv) })
	t.Run("others are where ours was", func(t *testing.T) { proxmoxStrangers(t, p, hv) })
	t.Run("a console", func(t *testing.T) { proxmoxConsole(t, p) })
	left(p)
}

// The process dies while the cluster clones for it. There is one VM in the end.
func TestProxmoxKilledWhileItClones(t *testing.T) {
	t.Parallel()
	hv := startProxmox(t)
	left := hv.look(t)
	dir := t.TempDir()
	p := start(t, dir)
	registerProxmox(t, p, hv)
	slow := simadmin.Latency{Task: map[string]simadmin.Duration{"create_vm": simadmin.Duration(taskTime)}}
	require.NoError(t, hv.SetLatency(t.Context(), slow))
	a := createOnProxmox(t, p.tenant(), "phoenix")
	eventually(t, jobLimit, func() error { return atWork(t, hv.Admin, "create_vm") })
	p.kill(t)
	stats, err := hv.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.TasksRunning, "the clone goes on without us")
	p = start(t, dir)
	c := p.tenant()
	succeed(t, c, a)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	require.Len(t, marked(t, hv.Admin, a.VMID), 1)
	require.Len(t, hv.all(t), len(hv.strangers)+1, "one VM was made")
	succeed(t, c, c.delete(t, a.VMID))
	left(p)
}

// succeed waits until all jobs have succeeded. A job that ended otherwise ends
// the test at once.
func succeed(t *testing.T, c client, jobs ...accepted) {
	t.Helper()
	for _, a := range jobs {
		j, err := c.tryWait(t.Context(), a.JobID, 3*time.Minute)
		require.NoError(t, err)
		require.Equal(t, "SUCCEEDED", j.State, "%s", j)
	}
}

func createOnProxmox(t *testing.T, c client, name string) accepted {
	t.Helper()
	var a accepted
	c.call(t, http.MethodPost, c.vms(), proxmoxBody(name), http.StatusAccepted, &a)
	return a
}

func proxmoxBody(name string) map[string]any {
	return map[string]any{
		"name": name, "image_id": "debian", "flavor_id": "pve-small",
		"networks": []map[string]any{{"network_id": "pve-net"}}, "placement": map[string]any{"zone": "pve-zone"},
	}
}

// registerProxmox makes the cluster known, as an operator does.
func registerProxmox(t *testing.T, p *instance, hv *proxmoxCluster) {
	t.Helper()
	ops := p.ops()
	made := func(path string, body map[string]any) {
		ops.call(t, http.MethodPost, "/ops/v1/"+path, body, http.StatusCreated, nil)
	}
	made("zones", map[string]any{"id": "pve-zone", "name": "Proxmox"})
	var sync accepted
	ops.call(t, http.MethodPost, "/ops/v1/providers", map[string]any{
		"id": "pve", "name": "Proxmox VE", "kind": "proxmox", "url": hv.URL, "zone_id": "pve-zone",
		"options": map[string]string{
			"fingerprint": hv.fingerprint, "vmid_range": vmidRange, "credential_cool_down": coolDown.String(),
		},
		"credentials": map[string]any{"token": proxmoxsim.DefaultToken},
	}, http.StatusAccepted, &sync)
	ops.done(t, sync.JobID)
	made("images", map[string]any{
		"id": "debian", "name": "Debian", "bindings": []map[string]any{{"provider_id": "pve", "ref": "debian-12"}},
	})
	made("flavors", map[string]any{"id": "pve-small", "name": "Small on Proxmox VE", "vcpus": 1, "memory_mib": 256, "disk_gib": 3})
	made("networks", map[string]any{
		"id": "pve-net", "name": "Bridge", "bindings": []map[string]any{{"provider_id": "pve", "ref": "vmbr0.20"}},
	})
	ops.setQuota(t, stack.DemoProject, map[string]any{"vms": 2 * racing, "vcpus": 2 * racing})
}

// proxmoxCluster is a simulated cluster that runs as a process of its own: its
// admin side, and its API as an operator of the cluster uses it.
type proxmoxCluster struct {
	simadmin.Admin
	fingerprint string
	// strangers are other people's VMs that are there from the start, two of them
	// in the range of VMIDs that ours are made in.
	strangers []simadmin.VM
}

func startProxmox(t *testing.T) *proxmoxCluster {
	t.Helper()
	cmd := exec.Command(binary, "sim", "--kind", "proxmox", "--listen", "127.0.0.1:0", "--task-delay", "50ms")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(stdout)
	said := func(prefix string) string {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		value, ok := strings.CutPrefix(strings.TrimSpace(line), prefix)
		require.True(t, ok, line)
		return value
	}
	hv := &proxmoxCluster{Admin: simadmin.Admin{URL: said("simulated Proxmox VE cluster ")}, fingerprint: said("fingerprint ")}
	require.True(t, strings.HasPrefix(hv.URL, "https://"), hv.URL)
	hv.Client = trusting(t, hv.fingerprint)
	hv.strangers = hv.strangersAt(t, "200", "217", "300")
	return hv
}

// look remembers what is on the cluster. What it returns demands that nothing
// was added and nobody's VM touched.
func (hv *proxmoxCluster) look(t *testing.T) (left func(p *instance)) {
	t.Helper()
	volumes := hv.volumes(t)
	return func(p *instance) {
		t.Helper()
		requireForeign(t, hv.Admin, hv.strangers)
		require.Len(t, hv.all(t), len(hv.strangers), "nothing of ours is left")
		require.Equal(t, volumes, hv.volumes(t), "no volume of ours is left")
		require.Zero(t, reservations(t, p, ""))
	}
}

// trusting is a client that trusts the one certificate with a fingerprint.
func trusting(t *testing.T, fingerprint string) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // the fingerprint is checked below
		VerifyConnection: func(cs tls.ConnectionState) error {
			sum := sha256.Sum256(cs.PeerCertificates[0].Raw)
			if got := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":"); got != fingerprint {
				return fmt.Errorf("another certificate: %s", got)
			}
			return nil
		},
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (hv *proxmoxCluster) all(t *testing.T) []simadmin.VM {
	t.Helper()
	all, err := hv.VMs(t.Context())
	require.NoError(t, err)
	return all
}

// calls are the adapters' calls after a number.
func (hv *proxmoxCluster) calls(t *testing.T, since uint64) []simadmin.Call {
	t.Helper()
	calls, err := hv.Calls(t.Context(), since)
	require.NoError(t, err)
	return calls
}

// seq is the number of the last call.
func (hv *proxmoxCluster) seq(t *testing.T) uint64 {
	t.Helper()
	calls := hv.calls(t, 0)
	require.NotEmpty(t, calls)
	return calls[len(calls)-1].Seq
}

// volumes lists what all storages hold.
func (hv *proxmoxCluster) volumes(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, node := range []string{"pve1", "pve2", "pve3"} {
		for _, storage := range []string{"local", "local-lvm", "shared"} {
			var rows []struct {
				ID string `json:"volid"`
			}
			hv.get(t, "/nodes/"+node+"/storage/"+storage+"/content", &rows)
			for _, v := range rows {
				out = append(out, node+" "+v.ID)
			}
		}
	}
	slices.Sort(out)
	return out
}
