package proxmox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestAVMIDThatIsTakenMeanwhileIsTriedAgain has the clone's task find the VMID
// taken, which the call that began it did not.
func TestAVMIDThatIsTakenMeanwhileIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"unable to create VM 100007: config file already exists",
		"close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/100007.conf' failed: File exists",
	} {
		c := startCluster(t, proxmoxsim.Options{})
		p, req := c.open(t), coreRequest()
		require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultTaskFails, Code: text, Nth: 1, Count: 1}))
		_, task, err := p.CreateVM(t.Context(), req)
		if err == nil {
			err = endOf(t, p, task)
		}
		require.Equal(t, providers.Aborted, providers.CodeOf(err), text)
		settle(t, p, func() (providers.TaskRef, error) {
			_, task, err := p.CreateVM(t.Context(), req)
			return task, err
		})
		vm, err := p.FindVM(t.Context(), req.VMID)
		require.NoError(t, err)
		require.False(t, vm.Incomplete)
	}
}

// TestAMigrationSaysWhyItFailed reads the reason where Proxmox VE puts it: into the
// task's log.
func TestAMigrationSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{
		NodeMemoryMiB: 2048,
		Storages:      []proxmoxsim.Storage{{ID: "local-lvm", Type: "lvmthin", Content: []string{"images"}, GiB: 100}},
		Templates:     []proxmoxsim.Template{{VMID: 9000, Name: "debian-12", Storage: "local-lvm"}},
	})
	p, linked, full := c.open(t), coreRequest(), coreRequest()
	full.Image.CloneMode = models.CloneFull
	for _, req := range []providers.CreateVMRequest{linked, full} {
		settle(t, p, func() (providers.TaskRef, error) {
			_, task, err := p.CreateVM(t.Context(), req)
			return task, err
		})
	}
	move := func(id string, live bool) error {
		task, err := p.MigrateVM(t.Context(), providers.Target{VMID: id}, providers.Migration{Node: "pve2", Live: live})
		if err != nil {
			return err
		}
		return endOf(t, p, task)
	}
	err := move(linked.VMID, false)
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err), "a link to a disk that stays")
	require.ErrorContains(t, err, "as it's a clone of")

	_, err = c.CreateVM(t.Context(), simadmin.NewVM{Name: "big", Node: "pve2", MemoryMiB: 2000, Power: "running"})
	require.NoError(t, err)
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), providers.Target{VMID: full.VMID}) })
	err = move(full.VMID, true)
	require.Equal(t, providers.ResourceExhausted, providers.CodeOf(err), "a node without memory")
	vm, err := p.FindVM(t.Context(), full.VMID)
	require.NoError(t, err)
	require.Equal(t, "pve1", vm.Node)
	require.Equal(t, models.PowerRunning, vm.Power)
}

// endOf waits for a task and returns what it ended with.
func endOf(t *testing.T, p providers.Provider, task providers.TaskRef) error {
	t.Helper()
	var out error
	require.Eventually(t, func() bool {
		if task == "" {
			return true
		}
		st, err := p.PollTask(t.Context(), task)
		require.NoError(t, err)
		out = st.Err
		return st.Done
	}, 60*time.Second, 10*time.Millisecond)
	return out
}
