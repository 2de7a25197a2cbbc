package proxmox_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// TestALocalTemplateStaysOnItsNode asks for a VM on a node that does not have the
// template's disk. Where each node has a template with the name, its own is taken.
func TestALocalTemplateStaysOnItsNode(t *testing.T) {
	t.Parallel()
	template := func(vmid int, name, node string) proxmoxsim.Template {
		return proxmoxsim.Template{VMID: vmid, Name: name, Node: node, Storage: "local-lvm", DiskGiB: 2, VCPUs: 1, MemoryMiB: 256}
	}
	c := startCluster(t, proxmoxsim.Options{Templates: []proxmoxsim.Template{
		template(9000, "lone", "pve1"), template(9001, "each", "pve1"), template(9002, "each", "pve2"),
	}})
	p := c.open(t)
	for _, mode := range []models.CloneMode{"", models.CloneFull} {
		for _, ref := range []string{"9000", "lone", "9001"} {
			req := coreRequest()
			req.Node, req.Image = "pve2", models.ImageBinding{Ref: ref, CloneMode: mode}
			_, _, err := p.CreateVM(t.Context(), req)
			require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err), ref)
		}
	}
	all, err := c.VMs(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)

	req := coreRequest()
	req.Node, req.Image.Ref = "pve2", "each"
	_, vm := made(t, p, req)
	require.Equal(t, "pve2", vm.Node)
	req = coreRequest()
	req.Node, req.Image.Ref = "pve3", "each"
	_, _, err = p.CreateVM(t.Context(), req)
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err))
}

// TestALocalStorageIsNotForAnotherNode has a full clone go to a storage that the
// target node does not share with the template's.
func TestALocalStorageIsNotForAnotherNode(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	c.options["storage"] = "local-lvm"
	req := coreRequest()
	req.Node, req.Image.CloneMode = "pve2", models.CloneFull
	_, _, err := c.open(t).CreateVM(t.Context(), req)
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err))
}

// poolCluster has a pool, and an account whose roles are given by path.
func poolCluster(t *testing.T, grants map[string]string) (*cluster, func() *proxmox.Provider) {
	t.Helper()
	c := startCluster(t, proxmoxsim.Options{
		Pools: []string{"ours", "theirs"},
		Roles: map[string][]string{
			"Look":  {"Datastore.AllocateSpace", "Datastore.Audit", "SDN.Use", "Sys.Audit", "VM.Audit"},
			"Clone": {"VM.Audit", "VM.Clone"},
		},
		Users: withRoot(proxmoxsim.User{ID: "hcp@pve", Grants: grants, Tokens: []proxmoxsim.Token{{Name: "hcp", Secret: "secret"}}}),
	})
	c.options["pool"] = "ours"
	return c, func() *proxmox.Provider { return c.openAs(t, "hcp@pve!hcp=secret") }
}

// withRoot are the user and the one of proxmoxsim.DefaultToken.
func withRoot(u proxmoxsim.User) []proxmoxsim.User {
	_, secret, _ := strings.Cut(proxmoxsim.DefaultToken, "=")
	return []proxmoxsim.User{u, {ID: "root@pam", Tokens: []proxmoxsim.Token{{Name: "hcp", Secret: secret}}}}
}

// TestVMsAreInThePool makes, clones and removes VMs with an account that may change
// nothing but what is in the pool.
func TestVMsAreInThePool(t *testing.T) {
	t.Parallel()
	c, open := poolCluster(t, map[string]string{"/": "Look", "/vms/9000": "Clone", "/pool/ours": "PVEVMAdmin"})
	p, twin := open(), coreRequest()
	info, err := p.Info(t.Context())
	require.NoError(t, err)
	require.Contains(t, info.Capabilities, models.CapClone)
	source, _ := made(t, p, coreRequest())
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CloneVM(t.Context(), source, twin)
		return task, err
	})
	require.Equal(t, []string{"ours", "ours"}, c.pools(t))
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), source) })
	for _, id := range []string{source.VMID, twin.VMID} {
		settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), providers.Target{VMID: id}) })
	}
	require.Empty(t, c.pools(t))
	require.Len(t, c.volumes(t, "shared"), 2, "only the template's volumes are left")
}

// pools are those of the VMs, in no order.
func (c *cluster) pools(t *testing.T) []string {
	t.Helper()
	var rows []struct {
		Pool     string `json:"pool"`
		Template int    `json:"template"`
	}
	c.read(t, "/cluster/resources?type=vm", &rows)
	out := []string{}
	for _, r := range rows {
		if r.Template == 0 {
			out = append(out, r.Pool)
		}
	}
	return out
}

// TestAPoolOfOthers is refused, and one that is not there.
func TestAPoolOfOthers(t *testing.T) {
	t.Parallel()
	c, open := poolCluster(t, map[string]string{"/": "Look", "/vms/9000": "Clone", "/pool/theirs": "PVEVMAdmin"})
	_, _, err := open().CreateVM(t.Context(), coreRequest())
	require.Equal(t, providers.PermissionDenied, providers.CodeOf(err))
	c.options["pool"] = "nowhere"
	_, _, err = c.open(t).CreateVM(t.Context(), coreRequest())
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err))
	require.Empty(t, c.pools(t))
}
