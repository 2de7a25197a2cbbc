package libvirt_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// TestDetachFromAGuestThatDoesNotAnswer asks a VM without an operating system for
// its devices.
func TestDetachFromAGuestThatDoesNotAnswer(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1}
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	task, err := p.AttachDisk(t.Context(), target(req), disk)
	f.settle(t, task, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	for range 3 {
		for _, ask := range []func() (providers.TaskRef, error){
			func() (providers.TaskRef, error) { return p.DetachDisk(t.Context(), target(req), disk.ID) },
			func() (providers.TaskRef, error) { return p.DetachNIC(t.Context(), target(req), req.NICs[0].MAC) },
		} {
			task, err := ask()
			require.NoError(t, err)
			st, err := p.PollTask(t.Context(), task)
			require.NoError(t, err)
			require.False(t, st.Done)
		}
	}
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.True(t, vm.DataDisks[0].Attached)
	_, err = p.DeleteDisk(t.Context(), target(req), disk.ID)
	requireCode(t, providers.FailedPrecondition, err)

	// The undo of the first: the disk stays.
	task, err = p.AttachDisk(t.Context(), target(req), disk)
	f.settle(t, task, err)
	f.stop(t, p, req)
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.True(t, vm.DataDisks[0].Attached)
	require.Empty(t, vm.MACs, "the next start is without the interface")
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.True(t, vm.DataDisks[0].Attached)

	task, err = p.DetachDisk(t.Context(), target(req), disk.ID)
	require.NoError(t, err)
	f.stop(t, p, req)
	f.settle(t, task, nil)
	task, err = p.DeleteDisk(t.Context(), target(req), disk.ID)
	f.settle(t, task, err)

	c := f.client(t)
	for _, asleep := range []func(){
		func() { task, err := p.SuspendVM(t.Context(), target(req)); f.settle(t, task, err) },
		func() { dom, _ := f.domainOf(t, req.VMID); require.NoError(t, c.DomainSuspend(dom)) },
	} {
		f.stop(t, p, req)
		_, err = p.StartVM(t.Context(), target(req))
		require.NoError(t, err)
		asleep()
		_, err = p.AttachDisk(t.Context(), target(req), disk)
		requireCode(t, providers.FailedPrecondition, err)
		_, err = p.AttachNIC(t.Context(), target(req), req.NICs[0])
		requireCode(t, providers.FailedPrecondition, err)
	}
}
