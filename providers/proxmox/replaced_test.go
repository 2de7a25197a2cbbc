package proxmox_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// replace gives the place of the stage's VM to somebody else's.
func (s *stage) replace(ctx context.Context, t *testing.T, power string) (unchanged func(*testing.T)) {
	t.Helper()
	ref := s.ours(t)[0].NativeID
	require.NoError(t, s.DeleteVM(ctx, ref))
	made, err := s.CreateVM(ctx, simadmin.NewVM{Name: "foreign", Power: power})
	require.NoError(t, err)
	_, err = s.PatchVM(ctx, made.NativeID, simadmin.VMChange{NativeID: &ref})
	require.NoError(t, err)
	before := s.native(ctx, t, ref)
	return func(t *testing.T) {
		t.Helper()
		require.Equal(t, before, s.native(ctx, t, ref))
	}
}

// TestAVMIsReplacedWhileItStops gives our VM's place to another's while its process
// is ended, which is the longest part of what removes it.
func TestAVMIsReplacedWhileItStops(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct {
		before []step
		ask    sweeps.Step
		power  string
		code   providers.Code
	}{
		"delete":      {before: []step{sweeps.Create, sweeps.Start}, ask: sweeps.Remove, power: "stopped"},
		"stop asleep": {before: []step{sweeps.Create, sweeps.Start, sweeps.Suspend}, ask: sweeps.Stop(models.ModeForce), power: "running", code: providers.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, &sweepOp{before: o.before})
			p := s.process(t)
			var unchanged func(*testing.T)
			p.Meet(func(_ int, request string) {
				if unchanged == nil && strings.Contains(request, "/tasks/UPID") {
					s.idle(t)
					unchanged = s.replace(t.Context(), t, o.power)
				}
			})
			_, err := o.ask(&s.Subject)(t.Context(), p)
			require.Equal(t, o.code, providers.CodeOf(err))
			require.NotNil(t, unchanged)
			unchanged(t)
			s.foreign(t)
		})
	}
}

// TestAProtectedTemplate is one that Proxmox VE does not remove: a VM that is made
// from it can be removed all the same, be it whole or not.
func TestAProtectedTemplate(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{true, false} {
		s := newStage(t, &sweepOp{})
		s.write(t, "/nodes/pve1/qemu/9000/config", map[string]string{"protection": "1"})
		if whole {
			s.do(t, sweeps.Create)
			s.wantWhole(t, s.Req.VMID)
		} else {
			p := s.process(t)
			p.End(2, sweeps.DiesBefore)
			require.NoError(t, p.drive(t, sweeps.Create(&s.Subject)))
			require.Len(t, s.ours(t), 1)
		}
		s.wantNothing(t)
	}
}

// TestAVMIsRemovedWhileItsUserDataIsStored removes a VM from under the process that
// makes it: the user data does not stay behind.
func TestAVMIsRemovedWhileItsUserDataIsStored(t *testing.T) {
	t.Parallel()
	s := newStage(t, &sweepOp{userData: true})
	p := s.process(t)
	gone := false
	p.Meet(func(_ int, request string) {
		if !gone && strings.HasSuffix(request, "/upload") {
			gone = true
			s.do(t, sweeps.Remove)
		}
	})
	task, err := sweeps.Create(&s.Subject)(t.Context(), p)
	require.Eventually(t, func() bool {
		if err != nil {
			return true
		}
		st, pollErr := p.PollTask(t.Context(), task)
		return pollErr != nil || st.Done && st.Err != nil
	}, time.Minute, 5*time.Millisecond)
	require.True(t, gone)
	require.Empty(t, s.ours(t))
	require.Equal(t, s.original, s.everything(t))
}

// TestAVMIsRemovedBeforeItsUserDataHasItsPlace ends the process that makes a VM while
// the hypervisor still puts the user data in its place.
func TestAVMIsRemovedBeforeItsUserDataHasItsPlace(t *testing.T) {
	t.Parallel()
	s := newStage(t, &sweepOp{userData: true})
	p := s.process(t)
	for at := 1; len(p.Written()) == 0 || !strings.HasSuffix(p.Written()[len(p.Written())-1], "/upload"); at++ {
		p = s.process(t)
		p.End(at, sweeps.DiesAfter)
		require.NoError(t, s.SetFaults(t.Context(), simadmin.Fault{
			Op: "POST /nodes/{node}/storage/{storage}/upload", Kind: simadmin.FaultSlowTask, Delay: simadmin.Duration(300 * time.Millisecond), Nth: 1, Count: 1,
		}))
		require.NoError(t, p.drive(t, sweeps.Create(&s.Subject)))
		require.True(t, p.IsDead())
	}
	s.do(t, sweeps.Remove)
	s.idle(t)
	require.Empty(t, s.ours(t))
	require.Equal(t, s.original, s.everything(t))
}

// TestALostDiskIsNotReplaced loses a disk that was kept: a blank one in its place
// would pass for it. Who removes it first may have a new one.
func TestALostDiskIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t, &sweepOp{before: []step{sweeps.Create, sweeps.AttachDisk, sweeps.DetachDisk}})
	vm, err := s.tidy.FindVM(t.Context(), s.Req.VMID)
	require.NoError(t, err)
	s.write(t, "/nodes/pve1/qemu/"+string(vm.Ref)+"/config", map[string]string{"delete": "unused0"})
	_, err = s.tidy.AttachDisk(t.Context(), s.Target, s.Disk)
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err))
	disks(0, false)(t, s)
	s.do(t, sweeps.DeleteDisk)
	s.do(t, sweeps.AttachDisk)
	disks(1, true)(t, s)
}

// TestAnOperatorsNotesOverTheMark writes notes over the mark, as the web interface
// makes easy: the VM is ours still, and the notes stay.
func TestAnOperatorsNotesOverTheMark(t *testing.T) {
	t.Parallel()
	s := newStage(t, &sweepOp{before: []step{sweeps.Create, sweeps.AttachDisk, sweeps.DetachDisk}})
	vm, err := s.tidy.FindVM(t.Context(), s.Req.VMID)
	require.NoError(t, err)
	path := "/nodes/pve1/qemu/" + string(vm.Ref) + "/config"
	s.write(t, path, map[string]string{"description": "ask Zo\u00eb"})
	again, err := s.tidy.FindVM(t.Context(), s.Req.VMID)
	require.NoError(t, err)
	require.Equal(t, vm.Ref, again.Ref)
	s.do(t, sweeps.Start)
	s.do(t, sweeps.Reboot(models.ModeGraceful, sweeps.Token))
	require.Contains(t, s.config(t, vm)["description"], "\nask Zo\u00eb")
	_, err = s.tidy.AttachDisk(t.Context(), s.Target, s.Disk)
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err), "a blank disk is none that was kept")
	s.write(t, path, map[string]string{"description": "gone again"})
	s.wantNothing(t)
}
