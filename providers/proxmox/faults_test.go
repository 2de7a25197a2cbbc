package proxmox_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// steps are the calls by which a VM is made, started and removed.
func steps() []string {
	const vm = "/nodes/{node}/qemu/{vmid}"
	return []string{
		"POST " + vm + "/clone", "PUT " + vm + "/resize", "PUT " + vm + "/config",
		"POST " + vm + "/status/start", "POST " + vm + "/status/stop", "DELETE " + vm,
	}
}

// live makes a VM, starts it and removes it.
func live(t *testing.T, c *cluster, p *proxmox.Provider) {
	t.Helper()
	req := coreRequest()
	target := providers.Target{VMID: req.VMID}
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.False(t, vm.Incomplete)
	require.Equal(t, []int{req.VCPUs, req.MemoryMiB, req.DiskGiB}, []int{vm.VCPUs, vm.MemoryMiB, vm.DiskGiB})
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, models.PowerRunning, vm.Power)
	all, err := c.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1, "the VM was made more than once")
	require.Len(t, c.volumes(t, "shared"), 4, "a disk and a medium of the template, and of the VM")
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), target) })
	_, err = p.FindVM(t.Context(), req.VMID)
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
	require.Len(t, c.volumes(t, "shared"), 2, "only the template's volumes are left")
}

// volumes lists what a storage holds, past the adapter.
func (c *cluster) volumes(t *testing.T, storage string) []string {
	t.Helper()
	var rows []struct {
		ID string `json:"volid"`
	}
	c.read(t, "/nodes/pve1/storage/"+storage+"/content", &rows)
	out := make([]string, len(rows))
	for i, v := range rows {
		out[i] = v.ID
	}
	return out
}

// config reads a VM's configuration, past the adapter.
func (c *cluster) config(t *testing.T, vm providers.VM) map[string]any {
	t.Helper()
	var out map[string]any
	c.read(t, "/nodes/"+vm.Node+"/qemu/"+string(vm.Ref)+"/config", &out)
	return out
}

func (c *cluster) read(t *testing.T, path string, into any) {
	t.Helper()
	c.call(t, http.MethodGet, path, into)
}

// write changes something, past the adapter.
func (c *cluster) write(t *testing.T, path string, values map[string]string) {
	t.Helper()
	query := url.Values{}
	for name, value := range values {
		query.Set(name, value)
	}
	c.call(t, http.MethodPut, path+"?"+query.Encode(), nil)
}

func (c *cluster) call(t *testing.T, method, path string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL+"/api2/json"+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+proxmoxsim.DefaultToken)
	res, err := c.Client.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.Equal(t, http.StatusOK, res.StatusCode, res.Status)
	answer := struct {
		Data any `json:"data"`
	}{into}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
}

// TestLockTimeoutsAreWaitedOut lets every step run into a held lock five times.
func TestLockTimeoutsAreWaitedOut(t *testing.T) {
	t.Parallel()
	for _, step := range steps() {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, proxmoxsim.Options{})
			require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{Op: step, Kind: simadmin.FaultLocked, Nth: 1, Count: 5}))
			live(t, c, c.open(t))
			c.wantFired(t, 5)
		})
	}
}

// TestLostAnswersAreFoundOut lets every step take effect unheard.
func TestLostAnswersAreFoundOut(t *testing.T) {
	t.Parallel()
	for _, step := range steps() {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, proxmoxsim.Options{})
			require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{Op: step, Kind: simadmin.FaultErrorAfter, Nth: 1, Count: 1}))
			live(t, c, c.open(t))
			c.wantFired(t, 1)
		})
	}
}

func (c *cluster) wantFired(t *testing.T, times int) {
	t.Helper()
	list, err := c.Faults(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, times, list[0].Fired)
}

// TestAReusedVMIDIsNotTouched gives a VM's place to a foreign one.
func TestAReusedVMIDIsNotTouched(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.NoError(t, c.DeleteVM(t.Context(), string(vm.Ref)))
	made, err := c.CreateVM(t.Context(), simadmin.NewVM{Name: "foreign", Power: "running"})
	require.NoError(t, err)
	ref := string(vm.Ref)
	_, err = c.PatchVM(t.Context(), made.NativeID, simadmin.VMChange{NativeID: &ref})
	require.NoError(t, err)
	before := c.native(t.Context(), t, ref)

	target := providers.Target{VMID: req.VMID, Ref: vm.Ref}
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), target) })
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = p.StopVM(t.Context(), target, models.ModeForce)
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	again, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.NotEqual(t, vm.Ref, again.Ref)
	require.Equal(t, before, c.native(t.Context(), t, ref))
}

// TestAnotherProcessGoesOn ends the process that makes a VM while its disk is
// copied: another one finishes it, or removes it.
func TestAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	for _, remove := range []bool{false, true} {
		c := startCluster(t, proxmoxsim.Options{TaskDelay: time.Second})
		first, second, req := c.open(t), c.open(t), coreRequest()
		_, task, err := first.CreateVM(t.Context(), req)
		require.NoError(t, err)
		require.NotEmpty(t, task)
		require.NoError(t, first.Close())
		target := providers.Target{VMID: req.VMID}
		if remove {
			settle(t, second, func() (providers.TaskRef, error) { return second.DeleteVM(t.Context(), target) })
			_, err = second.FindVM(t.Context(), req.VMID)
			require.Equal(t, providers.NotFound, providers.CodeOf(err))
			require.Len(t, c.volumes(t, "shared"), 2)
			continue
		}
		given := false
		settle(t, second, func() (providers.TaskRef, error) {
			if !given {
				given = true
				return task, nil
			}
			_, task, err := second.CreateVM(context.WithoutCancel(t.Context()), req)
			return task, err
		})
		vm, err := second.FindVM(t.Context(), req.VMID)
		require.NoError(t, err)
		require.False(t, vm.Incomplete)
		require.Equal(t, req.DiskGiB, vm.DiskGiB)
	}
}
