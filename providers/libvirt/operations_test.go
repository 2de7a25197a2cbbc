package libvirt_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
)

// boot bounds the boot of an emulated guest on a busy machine.
const boot = 3 * time.Minute

// settle waits for a task's end, from another process, and demands success.
func (f *fixture) settle(t *testing.T, task providers.TaskRef, err error) {
	t.Helper()
	require.NoError(t, err)
	if task == "" {
		return
	}
	require.NoError(t, pollUntilDone(t, f.open(t, f.server.URL, nil), task).Err)
}

func requirePower(t *testing.T, p *libvirt.Provider, vmID string, want models.PowerState) {
	t.Helper()
	vm, err := p.FindVM(t.Context(), vmID)
	require.NoError(t, err)
	require.Equal(t, want, vm.Power)
}

// vm makes a VM of a request, which is removed when the test ends.
func (f *fixture) vm(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest) {
	t.Helper()
	t.Cleanup(func() {
		eventually(t, func() error {
			_, err := p.DeleteVM(context.WithoutCancel(t.Context()), target(req))
			return err
		})
	})
	_, task, err := p.CreateVM(t.Context(), req)
	f.settle(t, task, err)
}

// start starts a VM and waits until its guest has booted for the nth time.
func (f *fixture) start(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest, nth int) {
	t.Helper()
	_, err := p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	f.server.WaitSerial(t, req.VMID, "GUEST-READY", nth, boot)
}

func (f *fixture) stop(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest) {
	t.Helper()
	_, err := p.StopVM(t.Context(), target(req), models.ModeForce)
	require.NoError(t, err)
}

func (f *fixture) uptime(t *testing.T, vmID string) float64 {
	t.Helper()
	seconds, err := strconv.ParseFloat(f.server.Ask(t, vmID, "uptime"), 64)
	require.NoError(t, err)
	return seconds
}

// TestRunningGuest does to one booted guest what a running VM can be asked for,
// and believes the guest.
func TestRunningGuest(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.guestRequest()
	f.vm(t, p, req)
	f.start(t, p, req, 1)

	t.Run("suspend and resume", func(t *testing.T) { f.suspendAndResume(t, p, req) })
	t.Run("data disk", func(t *testing.T) { f.hotDisk(t, p, req) })
	t.Run("network", func(t *testing.T) { f.hotNIC(t, p, req) })
	t.Run("snapshot with memory", func(t *testing.T) { f.memorySnapshot(t, p, req) })
	require.Equal(t, 1, strings.Count(f.server.Serial(req.VMID), "GUEST-BOOT"), "the guest booted once in all this")
}

func (f *fixture) suspendAndResume(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest) {
	before := f.uptime(t, req.VMID)
	for range 2 {
		task, err := p.SuspendVM(t.Context(), target(req))
		f.settle(t, task, err)
		requirePower(t, p, req.VMID, models.PowerSuspended)
	}
	for range 2 {
		task, err := p.ResumeVM(t.Context(), target(req))
		f.settle(t, task, err)
		requirePower(t, p, req.VMID, models.PowerRunning)
	}
	require.Greater(t, f.uptime(t, req.VMID), before)
	require.Equal(t, 1, strings.Count(f.server.Serial(req.VMID), "GUEST-BOOT"))

	c := f.client(t)
	dom, _ := f.domainOf(t, req.VMID)
	require.NoError(t, c.DomainSuspend(dom))
	requirePower(t, p, req.VMID, models.PowerPaused)
	task, err := p.SuspendVM(t.Context(), target(req))
	require.NoError(t, err)
	require.Empty(t, task, "a paused VM sleeps already")
	task, err = p.ResumeVM(t.Context(), target(req))
	f.settle(t, task, err)
	requirePower(t, p, req.VMID, models.PowerRunning)
}

// saysWithin asks the guest until its answer fits: it takes a moment to notice a
// device.
func (f *fixture) saysWithin(t *testing.T, vmID, command string, fits func(string) bool) string {
	t.Helper()
	var answer string
	require.Eventually(t, func() bool {
		answer = f.server.Ask(t, vmID, command)
		return fits(answer)
	}, boot, 200*time.Millisecond, "%s", command)
	return answer
}

func (f *fixture) hotDisk(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest) {
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 2}
	serial := disk.ID[:20]
	for range 2 {
		task, err := p.AttachDisk(t.Context(), target(req), disk)
		f.settle(t, task, err)
	}
	f.saysWithin(t, req.VMID, "disks", func(s string) bool { return strings.Contains(s, "vdb:2048:"+serial) })
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []providers.DataDisk{{ID: disk.ID, SizeGiB: 2, Attached: true}}, vm.DataDisks)
	require.Equal(t, "ok", f.server.Ask(t, req.VMID, "write @"+serial+" kept"))
	_, err = p.DeleteDisk(t.Context(), target(req), disk.ID)
	requireCode(t, providers.FailedPrecondition, err)

	task, err := p.DetachDisk(t.Context(), target(req), disk.ID)
	f.settle(t, task, err)
	require.NotContains(t, f.server.Ask(t, req.VMID, "disks"), serial)
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []providers.DataDisk{{ID: disk.ID, SizeGiB: 2}}, vm.DataDisks)
	task, err = p.DetachDisk(t.Context(), target(req), disk.ID)
	require.NoError(t, err)
	require.Empty(t, task)

	task, err = p.AttachDisk(t.Context(), target(req), disk)
	f.settle(t, task, err)
	f.saysWithin(t, req.VMID, "disks", func(s string) bool { return strings.Contains(s, serial) })
	require.Equal(t, "kept", f.server.Ask(t, req.VMID, "read @"+serial))
	task, err = p.DetachDisk(t.Context(), target(req), disk.ID)
	f.settle(t, task, err)
	for range 2 {
		task, err = p.DeleteDisk(t.Context(), target(req), disk.ID)
		f.settle(t, task, err)
	}
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, vm.DataDisks)
}

func (f *fixture) hotNIC(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest) {
	nic := providers.NIC{Network: f.server.NIC(), MAC: "52:54:00:AB:cd:01"}
	mac := strings.ToLower(nic.MAC)
	for range 2 {
		task, err := p.AttachNIC(t.Context(), target(req), nic)
		f.settle(t, task, err)
	}
	f.saysWithin(t, req.VMID, "nics", func(s string) bool { return strings.Contains(s, "eth1="+mac) })
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []string{req.NICs[0].MAC, mac}, vm.MACs)
	for range 2 {
		task, err := p.DetachNIC(t.Context(), target(req), nic.MAC)
		f.settle(t, task, err)
	}
	require.NotContains(t, f.server.Ask(t, req.VMID, "nics"), mac)
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []string{req.NICs[0].MAC}, vm.MACs)

	nic.Network.Ref = "no-such-network"
	_, err = p.AttachNIC(t.Context(), target(req), nic)
	requireCode(t, providers.NotFound, err)
	nic.Network = models.NetworkBinding{Ref: "nosuchbridge", Type: models.NetworkBridge}
	_, err = p.AttachNIC(t.Context(), target(req), nic)
	requireCode(t, providers.NotFound, err)
}

func (f *fixture) memorySnapshot(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest) {
	// Devices that came while the guest ran are a part of the snapshot.
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1}
	task, err := p.AttachDisk(t.Context(), target(req), disk)
	f.settle(t, task, err)
	serial := disk.ID[:20]
	f.saysWithin(t, req.VMID, "disks", func(s string) bool { return strings.Contains(s, serial) })
	f.server.Ask(t, req.VMID, "write @"+serial+" before")

	id := models.NewID()
	f.server.Ask(t, req.VMID, "write before")
	taken := f.uptime(t, req.VMID)
	for range 2 {
		task, err := p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id, Name: "<b> & co", Memory: true})
		f.settle(t, task, err)
		requirePower(t, p, req.VMID, models.PowerRunning)
	}
	list, err := p.ListSnapshots(t.Context(), target(req))
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, id, list[0].ID)
	require.True(t, list[0].Memory)
	require.WithinDuration(t, time.Now(), list[0].CreatedAt, time.Minute)

	f.server.Ask(t, req.VMID, "write @"+serial+" after")
	f.server.Ask(t, req.VMID, "write after")
	require.Equal(t, "after", f.server.Ask(t, req.VMID, "read"))
	later := 0.0
	require.Eventually(t, func() bool {
		later = f.uptime(t, req.VMID)
		return later > taken+10
	}, boot, 500*time.Millisecond)
	nic := providers.NIC{Network: f.server.NIC(), MAC: "52:54:00:00:00:77"}
	task, err = p.AttachNIC(t.Context(), target(req), nic)
	f.settle(t, task, err)
	task, err = p.RevertSnapshot(t.Context(), target(req), id, "job-1")
	f.settle(t, task, err)
	requirePower(t, p, req.VMID, models.PowerRunning)
	require.Equal(t, "before", f.server.Ask(t, req.VMID, "read"))
	require.Equal(t, "before", f.server.Ask(t, req.VMID, "read @"+serial))
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.True(t, vm.DataDisks[0].Attached)
	require.Equal(t, []string{req.NICs[0].MAC}, vm.MACs, "what came after the snapshot is gone")
	now := f.uptime(t, req.VMID)
	require.Greater(t, now, taken)
	require.Less(t, now, later, "the guest is back in its own time")

	f.server.Ask(t, req.VMID, "write later")
	task, err = f.open(t, f.server.URL, nil).RevertSnapshot(t.Context(), target(req), id, "job-1")
	f.settle(t, task, err)
	require.Equal(t, "later", f.server.Ask(t, req.VMID, "read"), "once for a token")
	task, err = p.RevertSnapshot(t.Context(), target(req), id, "job-2")
	f.settle(t, task, err)
	require.Equal(t, "before", f.server.Ask(t, req.VMID, "read"))

	_, err = p.AttachDisk(t.Context(), target(req), providers.DataDisk{ID: models.NewID(), SizeGiB: 1})
	requireCode(t, providers.FailedPrecondition, err)
	for range 2 {
		task, err = p.DeleteSnapshot(t.Context(), target(req), id)
		f.settle(t, task, err)
	}
	list, err = p.ListSnapshots(t.Context(), target(req))
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, "before", f.server.Ask(t, req.VMID, "read"))
	_, err = p.RevertSnapshot(t.Context(), target(req), id, "job-3")
	requireCode(t, providers.NotFound, err)
}
