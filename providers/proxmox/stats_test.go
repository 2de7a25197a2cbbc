package proxmox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// TestStatisticsOfAVM reads what was measured: nothing of a VM that nobody has
// reported yet or that was never on, and the present of one that runs.
func TestStatisticsOfAVM(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	target := providers.Target{VMID: req.VMID}
	_, err := p.VMStats(t.Context(), target, time.Hour)
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	_, err = p.VMStats(t.Context(), target, 0)
	require.Equal(t, providers.InvalidArgument, providers.CodeOf(err))
	got, err := p.VMStats(t.Context(), target, time.Hour)
	require.NoError(t, err)
	require.Empty(t, got, "it was never on")

	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	for _, window := range []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour} {
		got, err = p.VMStats(t.Context(), target, window)
		require.NoError(t, err)
		require.NotEmpty(t, got, window.String())
		now := got[len(got)-1]
		require.WithinDuration(t, time.Now(), now.At, max(window/50, 2*time.Minute))
		require.InDelta(t, 0.01, *now.CPU, 0.001)
		require.InDelta(t, 128<<20, *now.Memory, 1)
		require.InDelta(t, 120000, *now.NetIn, 1)
		require.InDelta(t, 80000, *now.NetOut, 1)
		require.InDelta(t, 4096000, *now.DiskRead, 1)
		require.InDelta(t, 2048000, *now.DiskWrite, 1)
	}
	settle(t, p, func() (providers.TaskRef, error) { return p.StopVM(t.Context(), target, models.ModeForce) })
}

// TestAVMThatIsTooNewHasNoStatistics has no database of the VM, as before its node
// reports it for the first time.
func TestAVMThatIsTooNewHasNoStatistics(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{StatusLag: time.Hour})
	p, req := c.open(t), coreRequest()
	_, err := p.ListNodes(t.Context())
	require.NoError(t, err)
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	got, err := p.VMStats(t.Context(), providers.Target{VMID: req.VMID}, time.Hour)
	require.NoError(t, err)
	require.Empty(t, got)
}
