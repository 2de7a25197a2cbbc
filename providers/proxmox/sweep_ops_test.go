package proxmox_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// step is a call that a stage's VM is prepared or changed with.
type step func(*stage) asking

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

func doCreate(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		_, task, err := p.CreateVM(ctx, s.req)
		return task, err
	}
}

func doClone(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		_, task, err := p.CloneVM(ctx, s.target, s.twin)
		return task, err
	}
}

func doRemove(id string) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.DeleteVM(ctx, providers.Target{VMID: id})
	}
}

func doRemoveIt(s *stage) asking   { return doRemove(s.req.VMID) }
func doRemoveTwin(s *stage) asking { return doRemove(s.twin.VMID) }

func doStart(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) { return p.StartVM(ctx, s.target) }
}

func doHalt(mode models.PowerMode) step {
	return func(s *stage) asking {
		return func(ctx context.Context, p *process) (providers.TaskRef, error) { return p.StopVM(ctx, s.target, mode) }
	}
}

func doReboot(mode models.PowerMode) step {
	return func(s *stage) asking {
		return func(ctx context.Context, p *process) (providers.TaskRef, error) {
			return p.RebootVM(ctx, s.target, mode, "token")
		}
	}
}

func doSuspend(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) { return p.SuspendVM(ctx, s.target) }
}

func doResume(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) { return p.ResumeVM(ctx, s.target) }
}

func doResize(vcpus, memory, disk int) step {
	return func(s *stage) asking {
		return func(ctx context.Context, p *process) (providers.TaskRef, error) {
			return p.ResizeVM(ctx, s.target, providers.Shape{VCPUs: vcpus, MemoryMiB: memory, DiskGiB: disk})
		}
	}
}

func doRebuild(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.RebuildVM(ctx, s.req, "token")
	}
}

func doRevertRebuild(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.RevertRebuild(ctx, s.target, "token")
	}
}

func doFinishRebuild(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.FinishRebuild(ctx, s.target, "token")
	}
}

func doTakeSnapshot(memory bool) step {
	return func(s *stage) asking {
		return func(ctx context.Context, p *process) (providers.TaskRef, error) {
			return p.CreateSnapshot(ctx, s.target, providers.SnapshotRequest{ID: s.snapshot, Name: "before", Memory: memory})
		}
	}
}

func doDropSnapshot(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.DeleteSnapshot(ctx, s.target, s.snapshot)
	}
}

func doRevertSnapshot(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.RevertSnapshot(ctx, s.target, s.snapshot, "token")
	}
}

func doMigrate(live bool) step {
	return func(s *stage) asking {
		return func(ctx context.Context, p *process) (providers.TaskRef, error) {
			return p.MigrateVM(ctx, s.target, providers.Migration{Node: "pve2", Live: live})
		}
	}
}

func doAbortMigration(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.AbortMigration(ctx, s.target)
	}
}

func doAttachDisk(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.AttachDisk(ctx, s.target, s.disk)
	}
}

func doDetachDisk(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.DetachDisk(ctx, s.target, s.disk.ID)
	}
}

func doDeleteDisk(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.DeleteDisk(ctx, s.target, s.disk.ID)
	}
}

func doAttachNIC(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.AttachNIC(ctx, s.target, s.nic)
	}
}

func doDetachNIC(s *stage) asking {
	return func(ctx context.Context, p *process) (providers.TaskRef, error) {
		return p.DetachNIC(ctx, s.target, s.nic.MAC)
	}
}

func whole(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t, s.req.VMID)
}

func gone(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t)
}

// wants looks at the VM as the contract shows it.
func wants(look func(*testing.T, *stage, providers.VM)) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		t.Helper()
		s.wantWhole(t, s.req.VMID)
		vm, err := s.tidy.FindVM(t.Context(), s.req.VMID)
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
			require.Equal(t, providers.DataDisk{ID: s.disk.ID, SizeGiB: 1, Attached: attached}, d)
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
		list, err := s.tidy.ListSnapshots(t.Context(), s.target)
		require.NoError(t, err)
		require.Len(t, list, count)
	})
}

// rootDisks counts the disks that the VM has or keeps, without media.
func rootDisks(count int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, vm providers.VM) {
		t.Helper()
		require.Equal(t, s.req.DiskGiB, vm.DiskGiB)
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
	stop, ask := doHalt(models.ModeForce), doHalt(models.ModeGraceful)
	return []sweepOp{
		{name: "create", ask: doCreate, wantDone: whole, undo: []step{doRemoveIt}, wantUndone: gone},
		{name: "create with user data", userData: true, ask: doCreate, wantDone: whole, undo: []step{doRemoveIt}, wantUndone: gone},
		{name: "clone", before: []step{doCreate, doAttachDisk}, ask: doClone, wantDone: func(t *testing.T, s *stage) {
			t.Helper()
			s.wantWhole(t, s.req.VMID, s.twin.VMID)
		}, undo: []step{doRemoveTwin}, wantUndone: disks(1, true)},
		{name: "delete", before: []step{doCreate, doStart}, ask: doRemoveIt, wantDone: gone},
		{name: "delete with user data", userData: true, before: []step{doCreate}, ask: doRemoveIt, wantDone: gone},
		{name: "start", before: []step{doCreate}, ask: doStart, wantDone: power(models.PowerRunning), undo: []step{stop}, wantUndone: power(models.PowerStopped)},
		{name: "stop", before: []step{doCreate, doStart}, ask: stop, wantDone: power(models.PowerStopped)},
		{name: "shutdown", before: []step{doCreate, doStart}, ask: ask, wantDone: power(models.PowerStopped)},
		{name: "stop asleep", before: []step{doCreate, doStart, doSuspend}, ask: stop, wantDone: power(models.PowerStopped)},
		{name: "reboot", before: []step{doCreate, doStart}, ask: doReboot(models.ModeGraceful), wantDone: rebootedOnce},
		{name: "reset", before: []step{doCreate, doStart}, ask: doReboot(models.ModeForce), wantDone: rebootedOnce},
		{
			name: "suspend", before: []step{doCreate, doStart}, ask: doSuspend, wantDone: power(models.PowerSuspended),
			undo: []step{doResume}, wantUndone: power(models.PowerRunning),
		},
		{name: "resume", before: []step{doCreate, doStart, doSuspend}, ask: doResume, wantDone: power(models.PowerRunning)},
		{name: "resize", before: []step{doCreate}, ask: doResize(2, 512, 5), wantDone: sized(2, 512, 5)},
		{name: "rebuild", before: []step{doCreate}, ask: doRebuild, wantDone: rootDisks(2), undo: []step{doRevertRebuild}, wantUndone: rootDisks(1)},
		{name: "revert of a rebuild", before: []step{doCreate, doRebuild}, ask: doRevertRebuild, wantDone: rootDisks(1)},
		{name: "end of a rebuild", before: []step{doCreate, doRebuild}, ask: doFinishRebuild, wantDone: rootDisks(1)},
		{name: "snapshot", before: []step{doCreate}, ask: doTakeSnapshot(false), wantDone: snapshots(1), undo: []step{doDropSnapshot}, wantUndone: snapshots(0)},
		{
			name: "snapshot with memory", before: []step{doCreate, doStart}, ask: doTakeSnapshot(true), wantDone: snapshots(1),
			undo: []step{doDropSnapshot}, wantUndone: snapshots(0),
		},
		{name: "removal of a snapshot", before: []step{doCreate, doTakeSnapshot(false)}, ask: doDropSnapshot, wantDone: snapshots(0)},
		{name: "revert", before: []step{doCreate, doStart, doTakeSnapshot(true), stop}, ask: doRevertSnapshot, wantDone: power(models.PowerRunning)},
		{
			name: "migration", before: []step{doCreate}, ask: doMigrate(false), wantDone: onNode("pve2"),
			undo: []step{doAbortMigration}, wantUndone: onNode("pve1", "pve2"),
		},
		{
			name: "live migration", before: []step{doCreate, doStart}, ask: doMigrate(true), wantDone: onNode("pve2"),
			undo: []step{doAbortMigration}, wantUndone: onNode("pve1", "pve2"),
		},
		{name: "attach of a disk", before: []step{doCreate, doStart}, ask: doAttachDisk, wantDone: disks(1, true), undo: []step{doDetachDisk, doDeleteDisk}, wantUndone: disks(0, false)},
		{
			name: "detach of a disk", before: []step{doCreate, doAttachDisk}, ask: doDetachDisk, wantDone: disks(1, false),
			undo: []step{doAttachDisk}, wantUndone: disks(1, true),
		},
		{name: "removal of a disk", before: []step{doCreate, doAttachDisk, doDetachDisk}, ask: doDeleteDisk, wantDone: disks(0, false)},
		{name: "attach of an interface", before: []step{doCreate, doStart}, ask: doAttachNIC, wantDone: interfaces(2), undo: []step{doDetachNIC}, wantUndone: interfaces(1)},
		{
			name: "detach of an interface", before: []step{doCreate, doAttachNIC}, ask: doDetachNIC, wantDone: interfaces(1),
			undo: []step{doAttachNIC}, wantUndone: interfaces(2),
		},
	}
}
