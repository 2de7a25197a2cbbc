package vspheresim

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// TestATaskThatIsCancelledDoesNothingAfterItsEnd: the library's own tells that the task
// has ended, and moves the VM after that.
func TestATaskThatIsCancelledDoesNothingAfterItsEnd(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{Machines: 1, TaskDelay: time.Hour})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	to, err := url.Parse(s.URL() + "/sdk")
	require.NoError(t, err)
	to.User = url.UserPassword(Username, Password)
	c, err := govmomi.NewClient(t.Context(), to, true)
	require.NoError(t, err)

	var vm *simulator.VirtualMachine
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if one, ok := e.(*simulator.VirtualMachine); ok && one.Name != Template {
			vm = one
		}
	}
	require.NotNil(t, vm)
	from := *vm.Runtime.Host
	var host types.ManagedObjectReference
	for _, ref := range s.Model.Map().AllReference("HostSystem") {
		if ref.Reference() != from {
			host = ref.Reference()
		}
	}
	res, err := methods.RelocateVM_Task(t.Context(), c.Client, &types.RelocateVM_Task{
		This: vm.Self, Spec: types.VirtualMachineRelocateSpec{Host: &host},
	})
	require.NoError(t, err)
	idle := func() int {
		s.plans.mu.Lock()
		defer s.plans.mu.Unlock()
		return len(s.plans.rests)
	}
	require.Eventually(t, func() bool { return idle() == 1 }, time.Minute, time.Millisecond)
	_, err = methods.CancelTask(t.Context(), c.Client, &types.CancelTask{This: res.Returnval})
	require.NoError(t, err)
	var task mo.Task
	require.Eventually(t, func() bool {
		require.NoError(t, c.RetrieveOne(t.Context(), res.Returnval, []string{"info"}, &task))
		return task.Info.State == types.TaskInfoStateError
	}, time.Minute, time.Millisecond)
	require.Zero(t, idle(), "it is still about to do its work")
	require.IsType(t, &types.RequestCanceled{}, task.Info.Error.Fault)
	require.Equal(t, from, *vm.Runtime.Host)
	_, err = methods.CancelTask(t.Context(), c.Client, &types.CancelTask{This: res.Returnval})
	require.Error(t, err, "a task that has ended cannot be cancelled")
}
