package proxmox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// deafCluster has a template whose guests hear neither a request to shut down nor
// one to let go of a device.
func deafCluster(t *testing.T) *cluster {
	t.Helper()
	return startCluster(t, proxmoxsim.Options{Templates: []proxmoxsim.Template{
		{VMID: 9000, Name: "deaf", Storage: "shared", DiskGiB: 2, VCPUs: 1, MemoryMiB: 256, Deaf: true},
	}})
}

// made makes a VM and reads it.
func made(t *testing.T, p *proxmox.Provider, req providers.CreateVMRequest) (providers.Target, providers.VM) {
	t.Helper()
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	return providers.Target{VMID: req.VMID}, found(t, p, req.VMID)
}

func found(t *testing.T, p *proxmox.Provider, vmID string) providers.VM {
	t.Helper()
	vm, err := p.FindVM(t.Context(), vmID)
	require.NoError(t, err)
	return vm
}

// atWork asks for what the guest does not do, twice, and looks at both tasks.
func atWork(t *testing.T, p *proxmox.Provider, ask func() (providers.TaskRef, error)) {
	t.Helper()
	for range 2 {
		task, err := ask()
		require.NoError(t, err)
		require.NotEmpty(t, task, "the guest has not done it")
		st, err := p.PollTask(t.Context(), task)
		require.NoError(t, err)
		require.False(t, st.Done)
	}
}

// TestAGuestThatHoldsItsDevices is asked to let go of an interface and a disk: the
// work goes on for as long as the guest runs, and the next start, or the next
// attempt on a VM that is off, ends it.
func TestAGuestThatHoldsItsDevices(t *testing.T) {
	t.Parallel()
	p, req := deafCluster(t).open(t), coreRequest()
	target, vm := made(t, p, req)
	nic := providers.NIC{Network: models.NetworkBinding{Ref: "vmbr0"}, MAC: "52:54:01:00:00:01"}
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1}
	detachNIC := func() (providers.TaskRef, error) { return p.DetachNIC(t.Context(), target, nic.MAC) }
	detachDisk := func() (providers.TaskRef, error) { return p.DetachDisk(t.Context(), target, disk.ID) }
	start := func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) }
	stop := func() (providers.TaskRef, error) { return p.StopVM(t.Context(), target, models.ModeForce) }

	settle(t, p, start)
	settle(t, p, func() (providers.TaskRef, error) { return p.AttachNIC(t.Context(), target, nic) })
	settle(t, p, func() (providers.TaskRef, error) { return p.AttachDisk(t.Context(), target, disk) })
	atWork(t, p, detachNIC)
	atWork(t, p, detachDisk)
	held := found(t, p, req.VMID)
	require.Equal(t, append(vm.MACs, nic.MAC), held.MACs)
	require.Equal(t, []providers.DataDisk{{ID: disk.ID, SizeGiB: 1, Attached: true}}, held.DataDisks)

	// What is attached again stays, whatever was asked of the guest before.
	for range 2 {
		settle(t, p, func() (providers.TaskRef, error) { return p.AttachNIC(t.Context(), target, nic) })
		settle(t, p, func() (providers.TaskRef, error) { return p.AttachDisk(t.Context(), target, disk) })
	}
	settle(t, p, stop)
	settle(t, p, start)
	require.Equal(t, held, found(t, p, req.VMID))

	atWork(t, p, detachNIC)
	atWork(t, p, detachDisk)
	settle(t, p, stop)
	settle(t, p, detachDisk)
	settle(t, p, start)
	free := found(t, p, req.VMID)
	require.Equal(t, vm.MACs, free.MACs, "the start took the interface away")
	require.Equal(t, []providers.DataDisk{{ID: disk.ID, SizeGiB: 1}}, free.DataDisks, "what is on the disk is kept")
	settle(t, p, detachNIC)
	settle(t, p, stop)
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteDisk(t.Context(), target, disk.ID) })
	require.Empty(t, found(t, p, req.VMID).DataDisks)
}
