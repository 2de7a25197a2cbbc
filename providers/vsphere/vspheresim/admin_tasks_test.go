package vspheresim_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

const (
	wait      = time.Minute // a guard against a test that hangs
	pollEvery = 5 * time.Millisecond
)

// end follows a task to its end.
func end(t *testing.T, p providers.Provider, task providers.TaskRef, err error) error {
	t.Helper()
	if err != nil {
		return err
	}
	var st providers.TaskStatus
	require.Eventually(t, func() bool {
		if st, err = p.PollTask(t.Context(), task); err != nil {
			return true
		}
		return st.Done
	}, wait, pollEvery)
	if err != nil {
		return err
	}
	return st.Err
}

func request() providers.CreateVMRequest {
	id := models.NewID()
	return providers.CreateVMRequest{
		VMID: id, Name: "web", VCPUs: 1, MemoryMiB: 512, DiskGiB: 3, Image: models.ImageBinding{Ref: vspheresim.Template},
		Node: "DC0_C0_H0",
		NICs: []providers.NIC{{
			Network: models.NetworkBinding{Ref: vspheresim.Network}, MAC: "02:00:00:00:00:01", IPAddress: "10.0.0.5", PrefixLength: 24,
			Gateway: "10.0.0.1", DNSServers: []string{"10.0.0.53"},
		}},
		CloudInit: providers.CloudInit{Hostname: "web", SSHKeys: []string{"ssh-ed25519 AAAA"}, UserData: []byte("#cloud-config\n")},
	}
}

func TestTheAdminSideShowsWhatWasMade(t *testing.T) {
	t.Parallel()
	admin, p := serve(t, vspheresim.Options{TaskDelay: time.Millisecond})
	req := request()
	target := providers.Target{VMID: req.VMID}
	disk := models.NewID()
	attacher, ok := p.(providers.DiskAttacher)
	require.True(t, ok)
	for _, ask := range []func() (providers.TaskRef, error){
		func() (providers.TaskRef, error) { _, task, err := p.CreateVM(t.Context(), req); return task, err },
		func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) },
		func() (providers.TaskRef, error) { return p.RebootVM(t.Context(), target, models.ModeForce, "token") },
		func() (providers.TaskRef, error) {
			return attacher.AttachDisk(t.Context(), target, providers.DataDisk{ID: disk, SizeGiB: 1})
		},
	} {
		require.Eventually(t, func() bool {
			task, err := ask()
			err = end(t, p, task, err)
			require.True(t, err == nil || providers.CodeOf(err) == providers.NotFound, "%v", err)
			return err == nil // what nobody is seen at work on is asked for again
		}, wait, pollEvery)
	}

	vms, err := admin.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 1)
	got := vms[0]
	require.Equal(t, []any{"running", 1, 512, 3, "DC0_C0_H0", 2, req.VMID, installation}, []any{
		got.Power, got.VCPUs, got.MemoryMiB, got.DiskGiB, got.Node, got.Boots, got.UUID, got.Mark.InstallationID,
	})
	require.Equal(t, []simadmin.NIC{{
		Network: vspheresim.Network, MAC: "02:00:00:00:00:01", IP: "10.0.0.5", PrefixLength: 24, Gateway: "10.0.0.1", DNSServers: []string{"10.0.0.53"},
	}}, got.NICs)
	require.Equal(t, []any{"web", 1, true}, []any{got.CloudInit.Hostname, got.CloudInit.SSHKeys, got.CloudInit.UserDataSHA256 != ""})
	require.Len(t, got.DataDisks, 1)
	require.Equal(t, []any{disk, true, 1}, []any{got.DataDisks[0].ID, got.DataDisks[0].Attached, got.DataDisks[0].SizeGiB})

	calls, err := admin.Calls(t.Context(), 0)
	require.NoError(t, err)
	ops := map[string]bool{}
	for _, c := range calls {
		ops[c.Op] = true
	}
	for _, op := range []string{"login", "create_vm", "set_power", "reboot", "attach_disk", "find_vm", "poll_task"} {
		require.True(t, ops[op], "%s is not among the calls: %v", op, ops)
	}
}

// TestTasksFollowTheirPlan: one fails with the fault that is asked for, one takes its
// time and is seen at work by others, one that is cancelled does nothing, and one is
// forgotten.
func TestTasksFollowTheirPlan(t *testing.T) {
	t.Parallel()
	admin, p := serve(t, vspheresim.Options{})
	req := request()
	create := func() error {
		_, task, err := p.CreateVM(t.Context(), req)
		return end(t, p, task, err)
	}
	require.NoError(t, admin.SetFaults(t.Context(), simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultTaskFails, Code: "NoDiskSpace"}))
	require.Equal(t, providers.ResourceExhausted, providers.CodeOf(create()))
	require.NoError(t, create())
	target := providers.Target{VMID: req.VMID}

	slow := func(op string) {
		require.NoError(t, admin.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{op: simadmin.Duration(wait)}}))
	}
	slow("migrate_vm")
	mover, ok := p.(providers.Migrator)
	require.True(t, ok)
	require.NoError(t, end(t, p, "", nil))
	task, err := mover.MigrateVM(t.Context(), target, providers.Migration{Node: "DC0_C0_H1"})
	require.NoError(t, err)
	stats, err := admin.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.TasksRunning)
	ctx, cancel := context.WithTimeout(t.Context(), wait/2)
	defer cancel()
	vm, err := p.FindVM(ctx, req.VMID)
	require.NoError(t, err, "it is read while the task is at work")
	require.Equal(t, "DC0_C0_H0", vm.Node)
	st, err := p.PollTask(ctx, task)
	require.NoError(t, err)
	require.False(t, st.Done)
	abort, err := mover.AbortMigration(ctx, target)
	require.NoError(t, err)
	require.NoError(t, end(t, p, abort, err))
	require.NoError(t, admin.DeleteVM(ctx, vmOf(t, admin, req.VMID).NativeID), "also while the task rests")

	require.NoError(t, admin.SetLatency(t.Context(), simadmin.Latency{}))
	require.NoError(t, create())
	require.NoError(t, admin.SetFaults(t.Context(), simadmin.Fault{Op: "set_power", Kind: simadmin.FaultForgetTask}))
	task, err = p.StartVM(t.Context(), target)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return vmOf(t, admin, req.VMID).Power == "running" }, wait, pollEvery)
	require.NoError(t, end(t, p, task, nil), "the VM tells")
}

func vmOf(t *testing.T, admin simadmin.Admin, vmID string) simadmin.VM {
	t.Helper()
	vms, err := admin.VMs(t.Context())
	require.NoError(t, err)
	for _, vm := range vms {
		if vm.UUID == vmID {
			return vm
		}
	}
	t.Fatalf("no VM %s", vmID)
	return simadmin.VM{}
}
