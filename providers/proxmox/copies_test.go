package proxmox_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestAnOperatorsCopyIsNotTouched puts a copy of our VM, which has our mark and
// our tags, where our VM was.
func TestAnOperatorsCopyIsNotTouched(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	create := func() {
		t.Helper()
		settle(t, p, func() (providers.TaskRef, error) {
			_, task, err := p.CreateVM(t.Context(), req)
			return task, err
		})
	}
	create()
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	const aside = "990"
	c.copyTo(t, vm, aside)
	found, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, vm.Ref, found.Ref, "beside ours the copy is nobody")

	require.NoError(t, c.DeleteVM(t.Context(), string(vm.Ref)))
	ref, running := string(vm.Ref), "running"
	_, err = c.PatchVM(t.Context(), aside, simadmin.VMChange{NativeID: &ref, Power: &running})
	require.NoError(t, err)
	before := c.native(t.Context(), t, ref)
	require.Equal(t, req.VMID, before.Mark.VMID)
	target := providers.Target{VMID: req.VMID, Ref: vm.Ref}
	_, err = p.FindVM(t.Context(), req.VMID)
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), target) })
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, left)
	create()
	again, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.NotEqual(t, vm.Ref, again.Ref)
	require.Equal(t, before, c.native(t.Context(), t, ref))
}

// copyTo clones a VM past the adapter, as an operator does.
func (c *cluster) copyTo(t *testing.T, vm providers.VM, vmid string) {
	t.Helper()
	form := url.Values{"newid": {vmid}, "full": {"1"}}
	path := "/api2/json/nodes/" + vm.Node + "/qemu/" + string(vm.Ref) + "/clone"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+proxmoxsim.DefaultToken)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.Client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, res.Status)
	require.Eventually(t, func() bool {
		all, err := c.VMs(t.Context())
		return err == nil && slices.ContainsFunc(all, func(v simadmin.VM) bool {
			return v.NativeID == vmid && v.Mark != nil && len(v.Disks) == 1
		})
	}, 30*time.Second, 10*time.Millisecond)
}
