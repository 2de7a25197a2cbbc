package libvirt_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// TestGuest takes a real guest from create to delete and believes nothing but its
// serial line, libvirt and the file system.
func TestGuest(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.guestRequest()
	req.VCPUs = 2
	req.CloudInit = providers.CloudInit{Hostname: "db-7", UserData: []byte("#cloud-config\nmarker: from-the-tenant\n"), SSHKeys: []string{"ssh-ed25519 AAAA key"}}
	t.Cleanup(func() {
		_, err := p.DeleteVM(context.WithoutCancel(t.Context()), target(req))
		require.NoError(t, err)
	})
	_, task, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.Empty(t, task)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)

	const boot = 90 * time.Second
	f.server.WaitSerial(t, req.VMID, "GUEST-READY host db-7\n", 1, boot)
	said := f.server.Serial(req.VMID)
	require.Contains(t, said, "GUEST-BOOT cpus 2 mem ")
	require.Contains(t, said, "GUEST-CLOUD instance "+req.VMID+" host db-7\n")
	require.Contains(t, said, "GUEST-USERDATA marker: from-the-tenant\n")
	require.Equal(t, "2", f.server.Ask(t, req.VMID, "nproc"))
	require.Equal(t, req.VMID+" db-7", f.server.Ask(t, req.VMID, "id"))
	require.Equal(t, "eth0="+req.NICs[0].MAC, f.server.Ask(t, req.VMID, "nics"))

	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, models.PowerRunning, vm.Power)
	require.Len(t, vm.Addresses, 1)
	require.Equal(t, req.NICs[0].MAC, vm.Addresses[0].MAC)
	require.True(t, strings.HasPrefix(vm.Addresses[0].IP, f.server.Subnet), vm.Addresses[0].IP)
	require.Contains(t, said, "GUEST-NET eth0 "+vm.Addresses[0].IP+"\n")

	// The same token reboots once, also when another process asks.
	for range 2 {
		other := f.open(t, f.server.URL, nil)
		_, err = other.RebootVM(t.Context(), target(req), models.ModeGraceful, "job-1")
		require.NoError(t, err)
	}
	f.server.WaitSerial(t, req.VMID, "GUEST-READY", 2, boot)
	require.Equal(t, 1, strings.Count(f.server.Serial(req.VMID), "GUEST-POWEROFF"), "the guest was asked once")
	_, err = p.RebootVM(t.Context(), target(req), models.ModeForce, "job-2")
	require.NoError(t, err)
	f.server.WaitSerial(t, req.VMID, "GUEST-READY", 3, boot)
	require.Equal(t, 1, strings.Count(f.server.Serial(req.VMID), "GUEST-POWEROFF"), "a reset asks nobody")

	task, err = p.StopVM(t.Context(), target(req), models.ModeGraceful)
	require.NoError(t, err)
	require.NotEmpty(t, task)
	watcher := f.open(t, f.server.URL, nil)
	require.Eventually(t, func() bool {
		st, err := watcher.PollTask(t.Context(), task)
		require.NoError(t, err)
		require.NoError(t, st.Err)
		return st.Done
	}, 30*time.Second, 50*time.Millisecond)
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, models.PowerStopped, vm.Power)
	require.Equal(t, 2, strings.Count(f.server.Serial(req.VMID), "GUEST-POWEROFF"))
	require.Equal(t, 3, strings.Count(f.server.Serial(req.VMID), "GUEST-BOOT"))

	_, err = p.DeleteVM(t.Context(), target(req))
	require.NoError(t, err)
	f.requireNothing(t, p, req.VMID)
	_, err = watcher.PollTask(t.Context(), task)
	requireCode(t, providers.NotFound, err)
}
