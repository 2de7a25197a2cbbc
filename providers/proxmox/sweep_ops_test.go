package proxmox_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
)

// step is a call that a stage's VM is prepared or changed with.
type step = sweeps.Step

// sweepOp is an operation that is ended at each of its requests. A wantDone or
// wantUndone looks at what the operation is about; everything else is looked at
// for all of them.
type sweepOp struct {
	name     string
	userData bool
	before   []step
	ask      step
	wantDone func(*testing.T, *stage)
	// undo is the compensation, where there is one.
	undo       []step
	wantUndone func(*testing.T, *stage)
}

func whole(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t, s.Req.VMID)
}

func gone(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t)
}

// wants looks at the VM as the contract shows it.
func wants(look func(*testing.T, *stage, providers.VM)) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		t.Helper()
		s.wantWhole(t, s.Req.VMID)
		vm, err := s.tidy.FindVM(t.Context(), s.Req.VMID)
		require.NoError(t, err)
		look(t, s, vm)
	}
}

func power(want models.PowerState) func(*testing.T, *stage) {
	return wants(func(t *testing.T, _ *stage, vm providers.VM) {
		t.Helper()
		require.Equal(t, want, vm.Power)
	})
}

func rebootedOnce(t *testing.T, s *stage) {
	t.Helper()
	power(models.PowerRunning)(t, s)
	require.Equal(t, s.boots+1, s.ours(t)[0].Boots)
}

func sized(vcpus, memory, disk int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, _ *stage, vm providers.VM) {
		t.Helper()
		require.Equal(t, []int{vcpus, memory, disk}, []int{vm.VCPUs, vm.MemoryMiB, vm.DiskGiB})
	})
}

func disks(count int, attached bool) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, vm providers.VM) {
		t.Helper()
		require.Len(t, vm.DataDisks, count)
		for _, d := range vm.DataDisks {
			require.Equal(t, providers.DataDisk{ID: s.Disk.ID, SizeGiB: 1, Attached: attached}, d)
		}
	})
}

func interfaces(count int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, _ *stage, vm providers.VM) {
		t.Helper()
		require.Len(t, vm.MACs, count)
	})
}

func snapshots(count int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, _ providers.VM) {
		t.Helper()
		list, err := s.tidy.ListSnapshots(t.Context(), s.Target)
		require.NoError(t, err)
		require.Len(t, list, count)
	})
}

// rootDisks counts the disks that the VM has or keeps, without media.
func rootDisks(count int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, vm providers.VM) {
		t.Helper()
		require.Equal(t, s.Req.DiskGiB, vm.DiskGiB)
		found := slices.DeleteFunc(s.everything(t), func(v string) bool { return !strings.Contains(v, "vm-"+string(vm.Ref)+"-disk-") })
		require.Len(t, found, count)
	})
}

func onNode(names ...string) func(*testing.T, *stage) {
	return wants(func(t *testing.T, _ *stage, vm providers.VM) {
		t.Helper()
		require.Contains(t, names, vm.Node)
	})
}

func sweepOps() []sweepOp {
	stop, ask := sweeps.Stop(models.ModeForce), sweeps.Stop(models.ModeGraceful)
	return []sweepOp{
		{name: "create", ask: sweeps.Create, wantDone: whole, undo: []step{sweeps.Remove}, wantUndone: gone},
		{name: "create with user data", userData: true, ask: sweeps.Create, wantDone: whole, undo: []step{sweeps.Remove}, wantUndone: gone},
		{name: "clone", before: []step{sweeps.Create, sweeps.AttachDisk}, ask: sweeps.Clone, wantDone: func(t *testing.T, s *stage) {
			t.Helper()
			s.wantWhole(t, s.Req.VMID, s.Twin.VMID)
		}, undo: []step{sweeps.RemoveTwin}, wantUndone: disks(1, true)},
		{name: "delete", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Remove, wantDone: gone},
		{name: "delete with user data", userData: true, before: []step{sweeps.Create}, ask: sweeps.Remove, wantDone: gone},
		{name: "start", before: []step{sweeps.Create}, ask: sweeps.Start, wantDone: power(models.PowerRunning), undo: []step{stop}, wantUndone: power(models.PowerStopped)},
		{name: "stop", before: []step{sweeps.Create, sweeps.Start}, ask: stop, wantDone: power(models.PowerStopped)},
		{name: "shutdown", before: []step{sweeps.Create, sweeps.Start}, ask: ask, wantDone: power(models.PowerStopped)},
		{name: "stop asleep", before: []step{sweeps.Create, sweeps.Start, sweeps.Suspend}, ask: stop, wantDone: power(models.PowerStopped)},
		{name: "reboot", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Reboot(models.ModeGraceful, sweeps.Token), wantDone: rebootedOnce},
		{name: "reset", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Reboot(models.ModeForce, sweeps.Token), wantDone: rebootedOnce},
		{
			name: "suspend", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Suspend, wantDone: power(models.PowerSuspended),
			undo: []step{sweeps.Resume}, wantUndone: power(models.PowerRunning),
		},
		{name: "resume", before: []step{sweeps.Create, sweeps.Start, sweeps.Suspend}, ask: sweeps.Resume, wantDone: power(models.PowerRunning)},
		{name: "resize", before: []step{sweeps.Create}, ask: sweeps.Resize(2, 512, 5), wantDone: sized(2, 512, 5)},
		{name: "rebuild", before: []step{sweeps.Create}, ask: sweeps.Rebuild, wantDone: rootDisks(2), undo: []step{sweeps.RevertRebuild}, wantUndone: rootDisks(1)},
		{name: "revert of a rebuild", before: []step{sweeps.Create, sweeps.Rebuild}, ask: sweeps.RevertRebuild, wantDone: rootDisks(1)},
		{name: "end of a rebuild", before: []step{sweeps.Create, sweeps.Rebuild}, ask: sweeps.FinishRebuild, wantDone: rootDisks(1)},
		{name: "snapshot", before: []step{sweeps.Create}, ask: sweeps.TakeSnapshot(false), wantDone: snapshots(1), undo: []step{sweeps.DropSnapshot}, wantUndone: snapshots(0)},
		{
			name: "snapshot with memory", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.TakeSnapshot(true), wantDone: snapshots(1),
			undo: []step{sweeps.DropSnapshot}, wantUndone: snapshots(0),
		},
		{name: "removal of a snapshot", before: []step{sweeps.Create, sweeps.TakeSnapshot(false)}, ask: sweeps.DropSnapshot, wantDone: snapshots(0)},
		{name: "revert", before: []step{sweeps.Create, sweeps.Start, sweeps.TakeSnapshot(true), stop}, ask: sweeps.RevertSnapshot(sweeps.Token), wantDone: power(models.PowerRunning)},
		{
			name: "migration", before: []step{sweeps.Create}, ask: sweeps.Migrate(false), wantDone: onNode("pve2"),
			undo: []step{sweeps.AbortMigration}, wantUndone: onNode("pve1", "pve2"),
		},
		{
			name: "live migration", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Migrate(true), wantDone: onNode("pve2"),
			undo: []step{sweeps.AbortMigration}, wantUndone: onNode("pve1", "pve2"),
		},
		{name: "attach of a disk", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.AttachDisk, wantDone: disks(1, true), undo: []step{sweeps.DetachDisk, sweeps.DeleteDisk}, wantUndone: disks(0, false)},
		{
			name: "detach of a disk", before: []step{sweeps.Create, sweeps.AttachDisk}, ask: sweeps.DetachDisk, wantDone: disks(1, false),
			undo: []step{sweeps.AttachDisk}, wantUndone: disks(1, true),
		},
		{name: "removal of a disk", before: []step{sweeps.Create, sweeps.AttachDisk, sweeps.DetachDisk}, ask: sweeps.DeleteDisk, wantDone: disks(0, false)},
		{name: "attach of an interface", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.AttachNIC, wantDone: interfaces(2), undo: []step{sweeps.DetachNIC}, wantUndone: interfaces(1)},
		{
			name: "detach of an interface", before: []step{sweeps.Create, sweeps.AttachNIC}, ask: sweeps.DetachNIC, wantDone: interfaces(1),
			undo: []step{sweeps.AttachNIC}, wantUndone: interfaces(2),
		},
	}
}
