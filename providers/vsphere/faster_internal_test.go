package vsphere

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestAnotherIsFasterAtEachWrite lets another process do the whole of an operation just
// before each write of it is sent, when everything that leads to the write was read.
func TestAnotherIsFasterAtEachWrite(t *testing.T) {
	t.Parallel()
	several := func(esxi bool, name string) bool {
		return slices.Contains([]string{"create", "rebuild"}, name) ||
			!esxi && slices.Contains([]string{"attach of a disk", "revert of a rebuild", "snapshot", "migration", "removal of a disk"}, name)
	}
	sweptEach(t, several, func(t *testing.T, g *ground, o *sweepOp) {
		t.Helper()
		for at, reached := 1, true; reached; at++ {
			t.Run(fmt.Sprint(at), func(t *testing.T) {
				s := g.stage(t, o)
				p := s.process(t)
				reached = false
				p.Meet(func(_ int, method string) {
					if changes(method) && len(p.Written()) == at-1 && !reached {
						reached = true
						s.do(t, o.ask)
					}
				})
				_, err := p.drive(t, o.ask(&s.Subject), "")
				require.NoError(t, err)
				o.holds(t, s)
				s.wantNothing(t)
			})
		}
	})
}

// TestAMigrationIsBegunOnce lets another process migrate the VM before each request of
// a migration, but for the one that begins it.
func TestAMigrationIsBegunOnce(t *testing.T) {
	t.Parallel()
	g := newGround(t, vspheresim.Options{}, newRequest)
	all := sweepOps()
	o := &all[slices.IndexFunc(all, func(o sweepOp) bool { return o.name == "live migration" })]
	for at, reached := 1, true; reached; at += 3 {
		s := g.stage(t, o)
		p := s.process(t)
		reached = false
		p.Meet(func(now int, method string) {
			if now == at && !changes(method) {
				reached = true
				s.do(t, o.ask)
			}
		})
		_, err := p.drive(t, o.ask(&s.Subject), "")
		require.NoError(t, err)
		o.holds(t, s)
		s.wantEffect(t, o.effect, 1)
		s.wantNothing(t)
	}
}

// TestARestingVM shows of which VM it is believed that there is nothing to do.
func TestARestingVM(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	require.Nil(t, p.rests(t.Context(), "Test", m))
	vm, ok := s.Model.Map().Get(m.Ref).(*simulator.VirtualMachine)
	require.True(t, ok)
	atWorkAs := func(kind string) {
		task := simulator.CreateTask(vm, kind, nil)
		task.Self = types.ManagedObjectReference{Type: "Task", Value: "task-" + kind}
		task.Info.Task, task.Info.State = task.Self, types.TaskInfoStateRunning
		s.Model.Map().WithLock(&simulator.Context{}, vm, func() {
			vm.RecentTask = []types.ManagedObjectReference{s.Model.Map().Put(task).Reference()}
		})
	}
	for kind, rests := range map[string]bool{
		"reconfigVm": false, "reconfigure": false, "powerOn": false, "powerOff": false, "suspend": false, "revertToSnapshot": false,
		"cloneVm": true, "relocateVm": true, "createSnapshotEx": true,
	} {
		atWorkAs(kind)
		require.Equal(t, rests, p.rests(t.Context(), "Test", m) == nil, kind)
	}
	require.True(t, changesVM("vm.Snapshot.revert"))
	require.False(t, changesVM("vm.Snapshot.remove"))

	atWorkAs("reconfigVm")
	_, err := p.DetachNIC(t.Context(), target(req), "00:50:56:00:00:01")
	wantCode(t, "DetachNIC of one that is not there yet", err, providers.Aborted)
	_, err = p.StopVM(t.Context(), target(req), "force")
	wantCode(t, "StopVM of a VM that is off", err, providers.Aborted)

	s.Model.Map().WithLock(&simulator.Context{}, vm, func() { vm.RecentTask = nil })
	settleOf(t, p)(p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 1, MemoryMiB: req.MemoryMiB, DiskGiB: req.DiskGiB}))
	wantCode(t, "a VM that was changed since", p.rests(t.Context(), "Test", m), providers.Aborted)
	require.Nil(t, p.rests(t.Context(), "Test", found(t, p, req.VMID)))
}
