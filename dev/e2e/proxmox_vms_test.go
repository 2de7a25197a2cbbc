package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// racing is how many VMs are made at one time, in a range of VMIDs that has
// room for few more.
const (
	racing    = 30
	vmidRange = "200-235"
)

// proxmoxRace: each of the VMs gets a VMID of its own, and nobody's is taken.
func proxmoxRace(t *testing.T, p *instance, hv *proxmoxCluster) {
	t.Helper()
	c := p.tenant()
	before := hv.all(t)
	var made [racing]accepted
	var errs [racing]error
	inParallel(racing, racing, func(i int) {
		made[i], errs[i] = c.tryCreate(t.Context(), proxmoxBody(fmt.Sprintf("racing-%d", i)), "")
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	succeed(t, c, made[:]...)
	requireForeign(t, hv.Admin, before)
	natives, names := map[string]bool{}, map[string]bool{}
	for i, a := range made {
		requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
		on := marked(t, hv.Admin, a.VMID)
		require.Len(t, on, 1)
		require.Equal(t, "running", on[0].Power)
		require.Len(t, on[0].Disks, 1)
		require.Equal(t, fmt.Sprintf("racing-%d", i), on[0].Name)
		require.Len(t, on[0].NICs, 1)
		require.Equal(t, "vmbr0.20", on[0].NICs[0].Network)
		natives[on[0].NativeID], names[on[0].Disks[0]] = true, true
	}
	require.Len(t, natives, racing, "each VM has a VMID of its own")
	require.Len(t, names, racing, "each VM has a disk of its own")
	require.Len(t, hv.all(t), len(before)+racing, "each VM was made once")
	gone := make([]accepted, racing)
	for i, a := range made {
		gone[i] = c.delete(t, a.VMID)
	}
	succeed(t, c, gone...)
	require.Len(t, hv.all(t), len(before))
}

// proxmoxDelete: a VM that runs is ended first, and goes with its disks.
func proxmoxDelete(t *testing.T, p *instance, hv *proxmoxCluster) {
	t.Helper()
	c := p.tenant()
	free := hv.volumes(t)
	a := createOnProxmox(t, c, "deleted")
	succeed(t, c, a)
	on := marked(t, hv.Admin, a.VMID)
	require.Len(t, on, 1)
	require.Equal(t, "running", on[0].Power)
	require.Greater(t, len(hv.volumes(t)), len(free))
	require.True(t, slices.ContainsFunc(hv.volumes(t), func(v string) bool { return strings.HasSuffix(v, on[0].Disks[0]) }))
	since := hv.seq(t)
	succeed(t, c, c.delete(t, a.VMID))
	require.Equal(t, "DELETED", c.vm(t, a.VMID).Status)
	require.Empty(t, marked(t, hv.Admin, a.VMID))
	require.Equal(t, free, hv.volumes(t), "its volumes are gone")
	require.Equal(t, []string{"set_power", "delete_vm"}, hv.writesOn(t, on[0].NativeID, since), "ended, and then removed")
	require.Zero(t, reservations(t, p, a.VMID))
}

// proxmoxStrangers: our VM goes behind our back, and somebody else's stands at
// its VMID. Nothing of ours is done to that one.
func proxmoxStrangers(t *testing.T, p *instance, hv *proxmoxCluster) {
	t.Helper()
	c, ops := p.tenant(), p.ops()
	for name, replace := range map[string]func(t *testing.T, vm simadmin.VM) simadmin.VM{
		"a stranger": func(t *testing.T, vm simadmin.VM) simadmin.VM {
			t.Helper()
			require.NoError(t, hv.DeleteVM(t.Context(), vm.NativeID))
			return hv.strangersAt(t, vm.NativeID)[0]
		},
		"a copy of ours": func(t *testing.T, vm simadmin.VM) simadmin.VM {
			t.Helper()
			other := hv.copyTo(t, vm, vm.NativeID)
			require.NotNil(t, other.Mark, "a copy has the mark, and another UUID")
			require.NotEqual(t, vm.UUID, other.UUID)
			return other
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := createOnProxmox(t, c, "replaced")
			succeed(t, c, a)
			on := marked(t, hv.Admin, a.VMID)
			require.Len(t, on, 1)
			other := replace(t, on[0])
			require.Equal(t, on[0].NativeID, other.NativeID)
			config, volumes, since := hv.config(t, other), hv.volumes(t), hv.seq(t)
			untouched := func() {
				t.Helper()
				requireForeign(t, hv.Admin, []simadmin.VM{other})
				require.Equal(t, config, hv.config(t, other))
				require.Equal(t, volumes, hv.volumes(t))
				require.Empty(t, hv.writesOn(t, other.NativeID, since))
			}

			var sync accepted
			ops.call(t, http.MethodPost, "/ops/v1/providers/pve:test", nil, http.StatusAccepted, &sync)
			ops.done(t, sync.JobID)
			untouched()
			stop := c.verb(t, a.VMID, "stop", map[string]any{"mode": "force"})
			require.Equal(t, "FAILED", c.wait(t, stop.JobID).State, "there is nothing to stop")
			untouched()
			succeed(t, c, c.delete(t, a.VMID))
			require.Equal(t, "DELETED", c.vm(t, a.VMID).Status)
			require.Zero(t, reservations(t, p, a.VMID))
			untouched()
			require.NoError(t, hv.DeleteVM(t.Context(), other.NativeID))
		})
	}
}

// writesOn are the adapters' calls after a number that change what is at a VMID.
func (hv *proxmoxCluster) writesOn(t *testing.T, vmid string, since uint64) []string {
	t.Helper()
	var out []string
	for _, call := range hv.calls(t, since) {
		reads := call.Op == "find_vm" || strings.HasPrefix(call.Op, "GET ")
		if call.NativeID == vmid && call.Client != operator && !reads {
			out = append(out, call.Op)
		}
	}
	return out
}
