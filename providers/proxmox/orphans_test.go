package proxmox_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

const gib = 1 << 30

// TestForeignVolumesAreLeftAlone has volumes without a guest at VMIDs where our
// VM could be made: nothing proves that they are ours.
func TestForeignVolumesAreLeftAlone(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	// Every VMID is a candidate, and all but the last have a foreign volume.
	c.options["vmid_range"] = "200-203"
	p, req := c.open(t), coreRequest()
	target := providers.Target{VMID: req.VMID}
	var foreign []string
	for vmid := 200; vmid < 203; vmid++ {
		id, err := c.pve.AddVolume("shared", "pve1", vmid, gib)
		require.NoError(t, err)
		foreign = append(foreign, id)
	}
	none := func() {
		t.Helper()
		left, err := p.Leftovers(t.Context(), req.VMID)
		require.NoError(t, err)
		require.Empty(t, left)
		require.Subset(t, c.volumes(t, "shared"), foreign)
	}
	none()
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), target) })
	none()
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, providers.VMRef("203"), vm.Ref, "its VMID is one that nothing has")
	require.Subset(t, c.volumes(t, "shared"), foreign)
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	for _, o := range left {
		require.NotContains(t, foreign, o.Ref)
	}
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), target) })
	none()
	require.Len(t, c.volumes(t, "shared"), 2+len(foreign), "the template's, and the foreign ones")
}

// TestWhatBelongsToOurVMGoesWithIt gives our VM a volume that its configuration
// does not name: it came after the VM, which holds the VMID.
func TestWhatBelongsToOurVMGoesWithIt(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	vmid, err := strconv.Atoi(string(vm.Ref))
	require.NoError(t, err)
	unnamed, err := c.pve.AddVolume("shared", "pve1", vmid, gib)
	require.NoError(t, err)
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Contains(t, left, providers.Object{Type: "volume", Ref: unnamed})
	settle(t, p, func() (providers.TaskRef, error) {
		return p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	})
	require.Len(t, c.volumes(t, "shared"), 2, "only the template's volumes are left")
}
