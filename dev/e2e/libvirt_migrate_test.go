package e2e_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// A guest moves between two real libvirt daemons that are one provider: live, so
// that it does not notice, and back cold.
func TestMigrationBetweenRealHypervisors(t *testing.T) {
	t.Parallel()
	image := libvirttest.Guest(t)
	first := libvirttest.Start(t)
	second, err := first.LaunchPeer(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Close()) })
	binding, err := first.Image(t.Context(), "guest.qcow2", image, "qcow2")
	require.NoError(t, err)
	before := poolFiles(t, first)
	p := start(t, t.TempDir())
	registerHypervisor(t, p, first, first.ClusterConfig("", second).Options, binding.Ref)
	c, ops := p.tenant(), p.ops()
	a := createGuest(t, c, "traveller")
	c.done(t, a.JobID)
	g := &guest{client: c, hv: first, id: a.VMID}
	g.ready(t, 1)

	nodes := nodesOf(t, ops, "libvirt-1")
	require.Len(t, nodes, 2)
	home := nodeOf(t, ops, a.VMID)
	away := nodes[0]
	if away == home {
		away = nodes[1]
	}
	hosts := map[bool]*libvirttest.Server{true: first, false: second}
	at := func() *libvirttest.Server { return hosts[slices.Contains(domains(t, first), "hcp-"+a.VMID)] }
	origin := at()

	g.hv = origin
	require.Equal(t, "ok", g.says(t, "write luggage"))
	up := g.uptime(t)
	migrate(t, ops, a.VMID, map[string]any{"node_id": away, "mode": "live"})
	require.Equal(t, away, nodeOf(t, ops, a.VMID), "the record names the new node")
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	require.NotSame(t, origin, at())
	require.Len(t, append(domains(t, first), domains(t, second)...), 1, "one copy remains")
	g.hv = at()
	require.Greater(t, g.uptime(t), up, "the guest kept its uptime")
	require.Equal(t, "luggage", g.says(t, "read"))

	var refused problem
	ops.call(t, http.MethodPost, "/ops/v1/vms/"+a.VMID+":migrate", map[string]any{"mode": "cold"}, http.StatusConflict, &refused)
	require.Equal(t, "INVALID_STATE", refused.Code)
	c.done(t, c.verb(t, a.VMID, "stop", map[string]any{"mode": "graceful", "timeout": "PT60S"}).JobID)
	migrate(t, ops, a.VMID, nil) // the scheduler chooses: there is one other node
	require.Equal(t, home, nodeOf(t, ops, a.VMID))
	require.Same(t, origin, at())
	require.Len(t, append(domains(t, first), domains(t, second)...), 1)
	c.done(t, c.verb(t, a.VMID, "start", nil).JobID)
	g.hv = origin
	g.ready(t, 1)
	require.Equal(t, "luggage", g.says(t, "read"))

	c.done(t, c.delete(t, a.VMID).JobID)
	require.Empty(t, domains(t, first))
	require.Empty(t, domains(t, second))
	require.Equal(t, before, poolFiles(t, first))
}

func migrate(t *testing.T, ops client, vmID string, body any) {
	t.Helper()
	var a accepted
	ops.call(t, http.MethodPost, "/ops/v1/vms/"+vmID+":migrate", body, http.StatusAccepted, &a)
	ops.done(t, a.JobID)
}

func nodeOf(t *testing.T, ops client, vmID string) string {
	t.Helper()
	var v struct {
		Ref struct {
			NodeID string `json:"node_id"`
		} `json:"provider_ref"`
	}
	ops.call(t, http.MethodGet, "/ops/v1/vms/"+vmID, nil, http.StatusOK, &v)
	return v.Ref.NodeID
}

// nodesOf are the IDs of a provider's nodes.
func nodesOf(t *testing.T, ops client, provider string) []string {
	t.Helper()
	var list struct {
		Items []struct {
			ID         string `json:"id"`
			ProviderID string `json:"provider_id"`
		} `json:"items"`
	}
	ops.call(t, http.MethodGet, "/ops/v1/nodes?limit=200", nil, http.StatusOK, &list)
	var out []string
	for _, n := range list.Items {
		if n.ProviderID == provider {
			out = append(out, n.ID)
		}
	}
	return out
}
