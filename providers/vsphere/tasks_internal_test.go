package vsphere

import (
	"context"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// powered asks for the power of the simulator's one VM that is no template.
func powered(t *testing.T, s *vspheresim.Server, p *Provider, on bool) providers.TaskRef {
	t.Helper()
	var ref types.ManagedObjectReference
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && !vm.Config.Template {
			ref = vm.Self
		}
	}
	task, err := p.startTask(t.Context(), "Power", func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		if on {
			res, err := methods.PowerOnVM_Task(ctx, c, &types.PowerOnVM_Task{This: ref})
			if err != nil {
				return types.ManagedObjectReference{}, err
			}
			return res.Returnval, nil
		}
		res, err := methods.PowerOffVM_Task(ctx, c, &types.PowerOffVM_Task{This: ref})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestTasksFromAnyProcess polls the task that another process began, after its
// session ended too, and one that the server has forgotten.
func TestTasksFromAnyProcess(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{Machines: 1})
	maker, other := openWith(t, testConfig(s, nil)), openWith(t, testConfig(s, nil))
	task := powered(t, s, maker, true)
	if err := maker.await(t.Context(), "Power", string(task)); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := other.PollTask(t.Context(), task)
	if err != nil || !st.Done || st.Err != nil {
		t.Errorf("status = %+v, %v", st, err)
	}
	again := powered(t, s, maker, true)
	failure := other.await(t.Context(), "Power", string(again))
	wantCode(t, "power on of a VM that runs", failure, providers.FailedPrecondition)
	st, err = other.PollTask(t.Context(), again)
	if err != nil || !st.Done {
		t.Errorf("status = %+v, %v", st, err)
	}
	wantCode(t, "the task's error", st.Err, providers.FailedPrecondition)

	s.Model.Map().Remove(s.Service.Context, types.ManagedObjectReference{Type: "Task", Value: string(task)})
	_, err = other.PollTask(t.Context(), task)
	wantCode(t, "a task that was forgotten", err, providers.NotFound)
	wantCode(t, "waiting for a task that was forgotten", other.await(t.Context(), "Power", string(task)), providers.Aborted)
}

// TestStatusOfTasks has every state of a task.
func TestStatusOfTasks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		info types.TaskInfo
		want providers.TaskStatus
		code providers.Code
	}{
		{types.TaskInfo{State: types.TaskInfoStateQueued}, providers.TaskStatus{}, ""},
		{types.TaskInfo{State: types.TaskInfoStateRunning, Progress: 42}, providers.TaskStatus{Progress: 42}, ""},
		{types.TaskInfo{State: types.TaskInfoStateRunning, Progress: 100}, providers.TaskStatus{Progress: 99}, ""},
		{types.TaskInfo{State: types.TaskInfoStateSuccess}, providers.TaskStatus{Done: true, Progress: 100}, ""},
		{types.TaskInfo{State: types.TaskInfoStateError}, providers.TaskStatus{Done: true, Progress: 100}, providers.Unknown},
		{
			types.TaskInfo{State: types.TaskInfoStateError, Error: &types.LocalizedMethodFault{Fault: &types.RequestCanceled{}}},
			providers.TaskStatus{Done: true, Progress: 100},
			providers.Aborted,
		},
	} {
		got := statusOf("Test", c.info)
		if got.Done != c.want.Done || got.Progress != c.want.Progress || (c.code == "") != (got.Err == nil) {
			t.Errorf("%s = %+v, want %+v", c.info.State, got, c.want)
		}
		if c.code != "" {
			wantCode(t, string(c.info.State), got.Err, c.code)
		}
	}
}

// TestTaskReferences takes what a task's reference can look like, and no path.
func TestTaskReferences(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]bool{
		"task-123": true, "haTask-ha-folder-vm-vim.Folder.createVm-1234": true,
		"": false, "work:x": false, "../x": false, "a b": false, "a<b": false, "-x": false,
	} {
		if isTask(ref) != want {
			t.Errorf("isTask(%q) = %v", ref, !want)
		}
	}
}
