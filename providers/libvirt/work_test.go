package libvirt_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// qemuOf returns the process that a running VM is.
func qemuOf(t *testing.T, vmID string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(args, []byte("qemu-system")) && bytes.Contains(args, []byte("guest=hcp-"+vmID)) {
			return pid
		}
	}
	t.Fatal("no such QEMU")
	return 0
}

// TestSlowWorkIsFollowed halts a VM's process, so that libvirt's work on it lasts
// for as long as the test likes.
func TestSlowWorkIsFollowed(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	pid := qemuOf(t, req.VMID)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	task, err := p.SuspendVM(t.Context(), target(req))
	require.NoError(t, err)
	require.Equal(t, providers.TaskRef("suspend:"+req.VMID), task, "the call does not wait")
	f.requireAtWork(t, req, task)
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	f.settle(t, task, nil)
	requirePower(t, p, req.VMID, models.PowerSuspended)

	task, err = p.ResumeVM(t.Context(), target(req))
	f.settle(t, task, err)
	pid = qemuOf(t, req.VMID)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	ask := providers.SnapshotRequest{ID: models.NewID(), Memory: true}
	task, err = p.CreateSnapshot(t.Context(), target(req), ask)
	require.NoError(t, err)
	f.requireAtWork(t, req, task)
	again, err := f.open(t, f.server.URL, nil).CreateSnapshot(t.Context(), target(req), ask)
	require.NoError(t, err)
	require.Equal(t, task, again, "what is listed is not made yet")
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	f.settle(t, task, nil)
	requirePower(t, p, req.VMID, models.PowerRunning)
}

// requireAtWork looks at a task as another process does.
func (f *fixture) requireAtWork(t *testing.T, req providers.CreateVMRequest, task providers.TaskRef) {
	t.Helper()
	other := f.open(t, f.server.URL, map[string]string{"call_timeout": "5s"})
	st, err := other.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done)
	vm, err := other.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Contains(t, []models.PowerState{models.PowerRunning, models.PowerPaused}, vm.Power)
}

// TestWorkSurvivesTheDaemonsDeath kills libvirtd while it works on a VM, whose
// process goes on. Asked again, libvirt does the work from the start.
func TestWorkSurvivesTheDaemonsDeath(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	for name, work := range map[string]func(req providers.CreateVMRequest) (providers.TaskRef, error){
		"suspend": func(req providers.CreateVMRequest) (providers.TaskRef, error) {
			return p.SuspendVM(t.Context(), target(req))
		},
		"snapshot": func(req providers.CreateVMRequest) (providers.TaskRef, error) {
			return p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: req.VMID, Memory: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := f.request(t, p)
			_, _, err := p.CreateVM(t.Context(), req)
			require.NoError(t, err)
			_, err = p.StartVM(t.Context(), target(req))
			require.NoError(t, err)
			pid := qemuOf(t, req.VMID)
			require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
			task, err := work(req)
			require.NoError(t, err)
			require.NotEmpty(t, task)
			require.NoError(t, f.server.Kill())
			require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
			require.NoError(t, f.server.Restart(t.Context()))
			for range 2 {
				eventually(t, func() error {
					task, err := work(req)
					if err == nil && task != "" {
						err = pollUntilDone(t, f.open(t, f.server.URL, nil), task).Err
					}
					return err
				})
			}
			vm, err := p.FindVM(t.Context(), req.VMID)
			require.NoError(t, err)
			if name == "suspend" {
				require.Equal(t, models.PowerSuspended, vm.Power)
				task, err = p.ResumeVM(t.Context(), target(req))
				f.settle(t, task, err)
				return
			}
			require.Equal(t, models.PowerRunning, vm.Power, "the VM does not stay halted")
			task, err = p.RevertSnapshot(t.Context(), target(req), req.VMID, "job")
			f.settle(t, task, err)
			requirePower(t, p, req.VMID, models.PowerRunning)
		})
	}
}

// TestBrokenSavedMemory spoils the file that a suspended VM's memory is.
func TestBrokenSavedMemory(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	suspended := func() (req providers.CreateVMRequest, file string) {
		req = f.request(t, p)
		_, _, err := p.CreateVM(t.Context(), req)
		require.NoError(t, err)
		_, err = p.StartVM(t.Context(), target(req))
		require.NoError(t, err)
		task, err := p.SuspendVM(t.Context(), target(req))
		f.settle(t, task, err)
		return req, filepath.Join(filepath.Dir(f.server.PoolDir), "lib", "qemu", "save", "hcp-"+req.VMID+".save")
	}
	req, file := suspended()
	require.NoError(t, os.Truncate(file, 20000))
	_, err := p.ResumeVM(t.Context(), target(req))
	requireCode(t, providers.Unknown, err)
	requirePower(t, p, req.VMID, models.PowerSuspended)
	f.stop(t, p, req)
	requirePower(t, p, req.VMID, models.PowerStopped)

	req, file = suspended()
	require.NoError(t, os.Remove(file))
	task, err := p.ResumeVM(t.Context(), target(req))
	f.settle(t, task, err)
	requirePower(t, p, req.VMID, models.PowerRunning)
}
