package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
)

// step is a call that a stage's VM is prepared or changed with.
type step = sweeps.Step

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

func whole(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t, s.Req.VMID)
	wantAsAsked(t, found(t, s.tidy.Provider, s.Req.VMID), s.Req)
}

func nothing(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t)
}

func twins(t *testing.T, s *stage) {
	t.Helper()
	s.wantWhole(t, s.Req.VMID, s.Twin.VMID)
	wantAsAsked(t, found(t, s.tidy.Provider, s.Twin.VMID), s.Twin)
}

// wants looks at the VM.
func wants(look func(*testing.T, *stage, *machine)) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		t.Helper()
		s.wantWhole(t, s.Req.VMID)
		look(t, s, found(t, s.tidy.Provider, s.Req.VMID))
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
		require.Equal(t, s.Req.DiskGiB, diskSize(m.rootDisk()))
	})
}

func withDisks(count int, attached bool) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, m *machine) {
		t.Helper()
		require.Len(t, m.notedDisks(), count)
		require.Len(t, m.dataDisks(), count)
		for _, d := range m.dataDisks() {
			require.Equal(t, providers.DataDisk{ID: s.Disk.ID, SizeGiB: 1, Attached: attached}, d)
			require.NotEmpty(t, m.notedDisks()[s.Disk.ID].UUID)
		}
	})
}

func withCards(more int) func(*testing.T, *stage) {
	return wants(func(t *testing.T, s *stage, m *machine) {
		t.Helper()
		require.Len(t, cards(&m.VM), len(s.Req.NICs)+more)
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
		vm, err := s.tidy.FindVM(t.Context(), s.Req.VMID)
		require.NoError(t, err)
		require.Contains(t, names, vm.Node)
	})
}

func sweepOps() []sweepOp {
	const effectOn, effectOff = "VirtualMachine.powerOn", "VirtualMachine.powerOff"
	stop, shut, reset := sweeps.Stop(models.ModeForce), sweeps.Stop(models.ModeGraceful), sweeps.Reboot(models.ModeForce, sweeps.Token)
	revert, resize := sweeps.RevertSnapshot(sweeps.Token), sweeps.Resize(4, 1024, 5)
	returned := wants(func(t *testing.T, _ *stage, m *machine) {
		t.Helper()
		require.Equal(t, models.PowerRunning, m.power())
		require.Equal(t, sweeps.Token, m.reverted())
	})
	on, off, asleep := inPower(models.PowerRunning), inPower(models.PowerStopped), inPower(models.PowerSuspended)
	return []sweepOp{
		{name: "create", ask: sweeps.Create, holds: whole, undo: []step{sweeps.Remove}, undone: nothing},
		{name: "clone", before: []step{sweeps.Create, sweeps.AttachDisk}, ask: sweeps.Clone, holds: twins, undo: []step{sweeps.RemoveTwin}, undone: withDisks(1, true)},
		{name: "delete", before: []step{sweeps.Create, sweeps.AttachDisk, sweeps.DetachDisk, sweeps.Rebuild, sweeps.Start}, ask: sweeps.Remove, holds: nothing},
		{name: "start", before: []step{sweeps.Create}, ask: sweeps.Start, holds: on, effect: effectOn, undo: []step{stop}, undone: off},
		{name: "stop", before: []step{sweeps.Create, sweeps.Start}, ask: stop, holds: off, effect: effectOff, undo: []step{sweeps.Start}, undone: on},
		{name: "shutdown", before: []step{sweeps.Create, sweeps.Start}, ask: shut, holds: off},
		{name: "stop asleep", before: []step{sweeps.Create, sweeps.Start, sweeps.Suspend}, ask: stop, holds: off},
		{name: "reset", before: []step{sweeps.Create, sweeps.Start}, ask: reset, holds: on, effect: "VirtualMachine.reset"},
		{name: "suspend", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Suspend, holds: asleep, effect: "VirtualMachine.suspend", undo: []step{sweeps.Resume}, undone: on},
		{name: "resume", before: []step{sweeps.Create, sweeps.Start, sweeps.Suspend}, ask: sweeps.Resume, holds: on, effect: effectOn},
		{name: "resize", before: []step{sweeps.Create}, ask: resize, holds: shaped(4, 1024, 5), effect: "VirtualMachine.reconfigVm"},
		{name: "rebuild", before: []step{sweeps.Create}, ask: sweeps.Rebuild, holds: withFiles(1, 1), undo: []step{sweeps.RevertRebuild}, undone: withFiles(1, 0)},
		{name: "revert of a rebuild", before: []step{sweeps.Create, sweeps.Rebuild}, ask: sweeps.RevertRebuild, holds: withFiles(1, 0)},
		{name: "end of a rebuild", before: []step{sweeps.Create, sweeps.Rebuild}, ask: sweeps.FinishRebuild, holds: withFiles(1, 0)},
		{name: "snapshot", before: []step{sweeps.Create}, ask: sweeps.TakeSnapshot(false), holds: withSnapshots(1), undo: []step{sweeps.DropSnapshot}, undone: withSnapshots(0)},
		{name: "snapshot with memory", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.TakeSnapshot(true), holds: withSnapshots(1), undo: []step{sweeps.DropSnapshot}, undone: withSnapshots(0)},
		{name: "removal of a snapshot", before: []step{sweeps.Create, sweeps.TakeSnapshot(false)}, ask: sweeps.DropSnapshot, holds: withSnapshots(0)},
		{name: "revert", before: []step{sweeps.Create, sweeps.Start, sweeps.TakeSnapshot(true), stop}, ask: revert, holds: returned},
		{
			name: "migration", vCenter: true, before: []step{sweeps.Create}, ask: sweeps.Migrate(false), holds: onHosts("DC0_C0_H1"), effect: "VirtualMachine.relocateVm",
			undo: []step{sweeps.AbortMigration}, undone: onHosts("DC0_C0_H0", "DC0_C0_H1"),
		},
		{
			name: "live migration", vCenter: true, before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Migrate(true), holds: onHosts("DC0_C0_H1"), effect: "VirtualMachine.relocateVm",
			undo: []step{sweeps.AbortMigration}, undone: onHosts("DC0_C0_H0", "DC0_C0_H1"),
		},
		{name: "attach of a disk", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.AttachDisk, holds: withDisks(1, true), undo: []step{sweeps.DetachDisk, sweeps.DeleteDisk}, undone: withDisks(0, false)},
		{name: "detach of a disk", before: []step{sweeps.Create, sweeps.AttachDisk}, ask: sweeps.DetachDisk, holds: withDisks(1, false), undo: []step{sweeps.AttachDisk}, undone: withDisks(1, true)},
		{name: "removal of a disk", before: []step{sweeps.Create, sweeps.AttachDisk, sweeps.DetachDisk}, ask: sweeps.DeleteDisk, holds: withDisks(0, false)},
		{name: "attach of an interface", before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.AttachNIC, holds: withCards(1), effect: "VirtualMachine.reconfigVm", undo: []step{sweeps.DetachNIC}, undone: withCards(0)},
		{name: "detach of an interface", before: []step{sweeps.Create, sweeps.AttachNIC}, ask: sweeps.DetachNIC, holds: withCards(0), undo: []step{sweeps.AttachNIC}, undone: withCards(1)},
	}
}
