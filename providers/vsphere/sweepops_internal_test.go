package vsphere

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// step is a call that a stage's VM is prepared or changed with.
type step func(*stage) asking

// sweepOp is an operation that is ended at each of its requests. A holds looks at what
// the operation is about; everything else is looked at for all of them.
type sweepOp struct {
	name   string
	before []step
	ask    step
	holds  func(*testing.T, *stage)
	// effect is the type of task that has to do its work once, empty where doing it
	// twice changes nothing.
	effect string
	// undo is the compensation, where there is one.
	undo   []step
	undone func(*testing.T, *stage)
	// vCenter is set for what an ESXi host that stands alone does not have.
	vCenter bool
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

// doing is a step that needs the VM alone.
func doing(f func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error)) step {
	return func(s *stage) asking {
		return func(ctx context.Context, p *process) (providers.TaskRef, error) { return f(ctx, p, s) }
	}
}

func doHalt(mode models.PowerMode) step {
	return doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.StopVM(ctx, s.target, mode)
	})
}

func doMigrate(live bool) step {
	return doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.MigrateVM(ctx, s.target, providers.Migration{Node: "DC0_C0_H1", Live: live})
	})
}

func doSnapshot(memory bool) step {
	return doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.CreateSnapshot(ctx, s.target, providers.SnapshotRequest{ID: s.snapshot, Name: "before", Memory: memory})
	})
}

func whole(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t, s.req.VMID)
	wantAsAsked(t, found(t, s.tidy.Provider, s.req.VMID), s.req)
}

func nothing(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t)
}

func twins(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t, s.req.VMID, s.twin.VMID)
	wantAsAsked(t, found(t, s.tidy.Provider, s.twin.VMID), s.twin)
}

// wants looks at the VM.
func wants(look func(*testing.T, *stage, *machine)) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		t.Helper()
		s.wantWhole(t, s.req.VMID)
		look(t, s, found(t, s.tidy.Provider, s.req.VMID))
	}
}

func inPower(want models.PowerState) func(*testing.T, *stage) {
	return wants(func(t *testing.T, _ *stage, m *machine) {
		t.Helper()
		require.Equal(t, want, m.power())
	})
}

func shaped(vcpus, memory, disk int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, _ *stage, m *machine) {
		t.Helper()
		vm := m.shown()
		require.Equal(t, []int{vcpus, memory, disk}, []int{vm.VCPUs, vm.MemoryMiB, vm.DiskGiB})
	})
}

// withFiles looks at the VM's disks: its own, and those that it keeps beside.
func withFiles(attached, kept int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, m *machine) {
		t.Helper()
		require.Len(t, m.disks(), attached)
		require.Len(t, m.keptFiles(), kept)
		require.Equal(t, s.req.DiskGiB, diskSize(m.rootDisk()))
	})
}

func withDisks(count int, attached bool) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, m *machine) {
		t.Helper()
		require.Len(t, m.notedDisks(), count)
		require.Len(t, m.dataDisks(), count)
		for _, d := range m.dataDisks() {
			require.Equal(t, providers.DataDisk{ID: s.disk.ID, SizeGiB: 1, Attached: attached}, d)
			require.NotEmpty(t, m.notedDisks()[s.disk.ID].UUID)
		}
	})
}

func withCards(more int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, m *machine) {
		t.Helper()
		require.Len(t, cards(&m.VM), len(s.req.NICs)+more)
	})
}

func withSnapshots(count int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, _ *stage, m *machine) {
		t.Helper()
		require.Len(t, m.snapshots(), count)
	})
}

func onHosts(names ...string) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, _ *machine) {
		t.Helper()
		vm, err := s.tidy.FindVM(t.Context(), s.req.VMID)
		require.NoError(t, err)
		require.Contains(t, names, vm.Node)
	})
}

func sweepOps() []sweepOp {
	const taken, effectOn, effectOff = "token", "VirtualMachine.powerOn", "VirtualMachine.powerOff"
	stop, shut := doHalt(models.ModeForce), doHalt(models.ModeGraceful)
	start := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.StartVM(ctx, s.target)
	})
	reset := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.RebootVM(ctx, s.target, models.ModeForce, taken)
	})
	suspend := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.SuspendVM(ctx, s.target)
	})
	resume := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.ResumeVM(ctx, s.target)
	})
	resize := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.ResizeVM(ctx, s.target, providers.Shape{VCPUs: 4, MemoryMiB: 1024, DiskGiB: 5})
	})
	rebuild := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.RebuildVM(ctx, s.req, taken)
	})
	unbuild := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.RevertRebuild(ctx, s.target, taken)
	})
	finish := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.FinishRebuild(ctx, s.target, taken)
	})
	drop := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.DeleteSnapshot(ctx, s.target, s.snapshot)
	})
	revert := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.RevertSnapshot(ctx, s.target, s.snapshot, taken)
	})
	abort := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.AbortMigration(ctx, s.target)
	})
	attach := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.AttachDisk(ctx, s.target, s.disk)
	})
	detach := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.DetachDisk(ctx, s.target, s.disk.ID)
	})
	remove := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.DeleteDisk(ctx, s.target, s.disk.ID)
	})
	plug := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.AttachNIC(ctx, s.target, s.nic)
	})
	unplug := doing(func(ctx context.Context, p *process, s *stage) (providers.TaskRef, error) {
		return p.DetachNIC(ctx, s.target, s.nic.MAC)
	})
	returned := wants(func(t *testing.T, _ *stage, m *machine) {
		t.Helper()
		require.Equal(t, models.PowerRunning, m.power())
		require.Equal(t, taken, m.reverted())
	})
	on, off, asleep := inPower(models.PowerRunning), inPower(models.PowerStopped), inPower(models.PowerSuspended)
	return []sweepOp{
		{name: "create", ask: doCreate, holds: whole, undo: []step{doRemoveIt}, undone: nothing},
		{name: "clone", before: []step{doCreate, attach}, ask: doClone, holds: twins, undo: []step{doRemoveTwin}, undone: withDisks(1, true)},
		{name: "delete", before: []step{doCreate, attach, detach, rebuild, start}, ask: doRemoveIt, holds: nothing},
		{name: "start", before: []step{doCreate}, ask: start, holds: on, effect: effectOn, undo: []step{stop}, undone: off},
		{name: "stop", before: []step{doCreate, start}, ask: stop, holds: off, effect: effectOff, undo: []step{start}, undone: on},
		{name: "shutdown", before: []step{doCreate, start}, ask: shut, holds: off},
		{name: "stop asleep", before: []step{doCreate, start, suspend}, ask: stop, holds: off},
		{name: "reset", before: []step{doCreate, start}, ask: reset, holds: on, effect: "VirtualMachine.reset"},
		{name: "suspend", before: []step{doCreate, start}, ask: suspend, holds: asleep, effect: "VirtualMachine.suspend", undo: []step{resume}, undone: on},
		{name: "resume", before: []step{doCreate, start, suspend}, ask: resume, holds: on, effect: effectOn},
		{name: "resize", before: []step{doCreate}, ask: resize, holds: shaped(4, 1024, 5), effect: "VirtualMachine.reconfigVm"},
		{name: "rebuild", before: []step{doCreate}, ask: rebuild, holds: withFiles(1, 1), undo: []step{unbuild}, undone: withFiles(1, 0)},
		{name: "revert of a rebuild", before: []step{doCreate, rebuild}, ask: unbuild, holds: withFiles(1, 0)},
		{name: "end of a rebuild", before: []step{doCreate, rebuild}, ask: finish, holds: withFiles(1, 0)},
		{name: "snapshot", before: []step{doCreate}, ask: doSnapshot(false), holds: withSnapshots(1), undo: []step{drop}, undone: withSnapshots(0)},
		{name: "snapshot with memory", before: []step{doCreate, start}, ask: doSnapshot(true), holds: withSnapshots(1), undo: []step{drop}, undone: withSnapshots(0)},
		{name: "removal of a snapshot", before: []step{doCreate, doSnapshot(false)}, ask: drop, holds: withSnapshots(0)},
		{name: "revert", before: []step{doCreate, start, doSnapshot(true), stop}, ask: revert, holds: returned},
		{
			name: "migration", vCenter: true, before: []step{doCreate}, ask: doMigrate(false), holds: onHosts("DC0_C0_H1"), effect: "VirtualMachine.relocateVm",
			undo: []step{abort}, undone: onHosts("DC0_C0_H0", "DC0_C0_H1"),
		},
		{
			name: "live migration", vCenter: true, before: []step{doCreate, start}, ask: doMigrate(true), holds: onHosts("DC0_C0_H1"), effect: "VirtualMachine.relocateVm",
			undo: []step{abort}, undone: onHosts("DC0_C0_H0", "DC0_C0_H1"),
		},
		{name: "attach of a disk", before: []step{doCreate, start}, ask: attach, holds: withDisks(1, true), undo: []step{detach, remove}, undone: withDisks(0, false)},
		{name: "detach of a disk", before: []step{doCreate, attach}, ask: detach, holds: withDisks(1, false), undo: []step{attach}, undone: withDisks(1, true)},
		{name: "removal of a disk", before: []step{doCreate, attach, detach}, ask: remove, holds: withDisks(0, false)},
		{name: "attach of an interface", before: []step{doCreate, start}, ask: plug, holds: withCards(1), effect: "VirtualMachine.reconfigVm", undo: []step{unplug}, undone: withCards(0)},
		{name: "detach of an interface", before: []step{doCreate, plug}, ask: unplug, holds: withCards(0), undo: []step{plug}, undone: withCards(1)},
	}
}
