package libvirt_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
)

// bulk puts an image into the pool whose copy takes a noticeable time.
func (f *fixture) bulk(t *testing.T) models.ImageBinding {
	t.Helper()
	content := make([]byte, 192<<20)
	_, err := rand.Read(content[:4<<20])
	require.NoError(t, err)
	for n := 4 << 20; n < len(content); n *= 2 {
		copy(content[n:], content[:n])
	}
	path := filepath.Join(t.TempDir(), "bulk.raw")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	image, err := f.server.Image(t.Context(), "bulk.raw", path, "raw")
	require.NoError(t, err)
	image.CloneMode = models.CloneFull
	t.Cleanup(func() { require.NoError(t, os.Remove(filepath.Join(f.server.PoolDir, "bulk.raw"))) })
	return image
}

// haltCopy waits until qemu-img makes the VM's root disk and stops it there, so
// that a test can look at a copy in progress for as long as it likes.
func haltCopy(t *testing.T, vmID string) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir("/proc")
		require.NoError(t, err)
		for _, e := range entries {
			n, err := strconv.Atoi(e.Name())
			if err != nil {
				continue
			}
			args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
			if err != nil || !bytes.Contains(args, []byte("qemu-img\x00convert")) || !bytes.Contains(args, []byte(vmID)) {
				continue
			}
			if syscall.Kill(n, syscall.SIGSTOP) == nil {
				pid = n
				return true
			}
		}
		return false
	}, 20*time.Second, time.Millisecond, "qemu-img copies")
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	return pid
}

// haltReading is haltCopy for a qemu-img that has its source open by now: it opens
// the new disk after it.
func haltReading(t *testing.T, vmID string) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		pid = haltCopy(t, vmID)
		files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		require.NoError(t, err)
		for _, file := range files {
			if path, err := os.Readlink(file); err == nil && strings.Contains(path, vmID) {
				return true
			}
		}
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
		return false
	}, 20*time.Second, time.Millisecond, "qemu-img reads")
	return pid
}

func pollUntilDone(t *testing.T, p *libvirt.Provider, task providers.TaskRef) providers.TaskStatus {
	t.Helper()
	var st providers.TaskStatus
	require.Eventually(t, func() bool {
		var err error
		st, err = p.PollTask(t.Context(), task)
		require.NoError(t, err)
		return st.Done
	}, 60*time.Second, 20*time.Millisecond)
	return st
}

// TestFullCopy watches a full copy from another process.
func TestFullCopy(t *testing.T) {
	f := env(t)
	p, other := f.open(t, f.server.URL, nil), f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	req.Image = f.bulk(t)
	ref, task, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.NotEmpty(t, task)
	pid := haltCopy(t, req.VMID) // CreateVM did not wait for it

	st, err := other.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done)
	vm, err := other.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.True(t, vm.Incomplete)
	_, err = other.StartVM(t.Context(), target(req))
	requireCode(t, providers.Aborted, err)
	_, err = other.DeleteVM(t.Context(), providers.Target{VMID: models.NewID()})
	require.NoError(t, err, "a copy at work is no hindrance to others")
	again, sameTask, err := other.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, ref, again)
	require.Equal(t, task, sameTask)

	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	st = pollUntilDone(t, other, task)
	require.NoError(t, st.Err)
	requireComplete(t, other, req)
	left, err := other.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Len(t, left, 3, "domain, root disk and medium; no marker: %v", left)

	root := filepath.Join(f.server.PoolDir, f.rootName(t, other, req.VMID))
	out, err := exec.CommandContext(t.Context(), "qemu-img", "compare", "-f", "raw", "-F", "qcow2",
		filepath.Join(f.server.PoolDir, "bulk.raw"), root).CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, task, err = other.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.Empty(t, task, "there is nothing left to copy")
}

// TestInterruptedCopyIsMadeAnew kills the daemon, and then the adapter's
// process in effect, while qemu-img works.
func TestInterruptedCopyIsMadeAnew(t *testing.T) {
	f := env(t)
	for _, tc := range []struct {
		name      string
		interrupt func(t *testing.T, p *libvirt.Provider, qemuImg int)
	}{
		{"the daemon dies", func(t *testing.T, _ *libvirt.Provider, qemuImg int) {
			t.Helper()
			require.NoError(t, f.server.Kill())
			require.NoError(t, syscall.Kill(qemuImg, syscall.SIGKILL))
			require.NoError(t, f.server.Restart(t.Context()))
		}},
		{"qemu-img dies", func(t *testing.T, _ *libvirt.Provider, qemuImg int) {
			t.Helper()
			require.NoError(t, syscall.Kill(qemuImg, syscall.SIGKILL))
		}},
		{"our process dies", func(t *testing.T, p *libvirt.Provider, qemuImg int) {
			t.Helper()
			require.NoError(t, p.Close())
			require.NoError(t, syscall.Kill(qemuImg, syscall.SIGCONT))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, other := f.open(t, f.server.URL, nil), f.open(t, f.server.URL, nil)
			req := f.request(t, other)
			req.Image = f.bulk(t)
			_, task, err := p.CreateVM(t.Context(), req)
			require.NoError(t, err)
			tc.interrupt(t, p, haltCopy(t, req.VMID))

			var st providers.TaskStatus
			eventually(t, func() error {
				st, err = other.PollTask(t.Context(), task)
				return err
			})
			if !st.Done {
				st = pollUntilDone(t, other, task)
			}
			requireCode(t, providers.Aborted, st.Err)
			vm, err := other.FindVM(t.Context(), req.VMID)
			require.NoError(t, err)
			require.True(t, vm.Incomplete)
			_, err = other.StartVM(t.Context(), target(req))
			requireCode(t, providers.FailedPrecondition, err)

			eventually(t, func() error {
				_, task, err = other.CreateVM(t.Context(), req)
				return err
			})
			require.NotEmpty(t, task)
			require.NoError(t, pollUntilDone(t, other, task).Err)
			requireComplete(t, other, req)
			_, err = other.DeleteVM(t.Context(), target(req))
			require.NoError(t, err)
			f.requireNothing(t, other, req.VMID)
		})
	}
}

// TestDeleteWaitsForACopy shows that a copy at work is not left behind.
func TestDeleteWaitsForACopy(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	req.Image = f.bulk(t)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	pid := haltCopy(t, req.VMID)
	_, err = p.DeleteVM(t.Context(), target(req))
	requireCode(t, providers.Aborted, err)
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.NotEmpty(t, left)
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	eventually(t, func() error {
		_, err := p.DeleteVM(t.Context(), target(req))
		return err
	})
	f.requireNothing(t, p, req.VMID)
}

// TestRebuildByFullCopyIsWaitedFor looks at a rebuild whose disk is being copied.
func TestRebuildByFullCopyIsWaitedFor(t *testing.T) {
	f := env(t)
	p, other := f.open(t, f.server.URL, nil), f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	before, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	req.Image = f.bulk(t)
	task, err := p.RebuildVM(t.Context(), req, "job")
	require.NoError(t, err)
	pid := haltCopy(t, req.VMID)
	again, err := other.RebuildVM(t.Context(), req, "job")
	require.NoError(t, err)
	require.Equal(t, task, again)
	st, err := other.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done)
	vm, err := other.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.True(t, vm.Incomplete)
	_, err = other.StartVM(t.Context(), target(req))
	requireCode(t, providers.Aborted, err)
	for _, p := range []*libvirt.Provider{p, other} {
		_, err = p.RevertRebuild(t.Context(), target(req), "job")
		requireCode(t, providers.Aborted, err)
	}
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, func() error {
		_, err := other.RevertRebuild(t.Context(), target(req), "job")
		return err
	})
	after, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, before, after)
	requireComplete(t, p, req)

	eventually(t, func() error {
		task, err = p.RebuildVM(t.Context(), req, "job")
		return err
	})
	require.NoError(t, pollUntilDone(t, other, task).Err)
	requireComplete(t, other, req)
}

// TestCloneHoldsItsSource looks at the source of a clone that is being copied.
func TestCloneHoldsItsSource(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	source, clone := f.request(t, p), f.request(t, p)
	source.Image = f.bulk(t)
	_, task, err := p.CreateVM(t.Context(), source)
	require.NoError(t, err)
	_, _, err = p.CloneVM(t.Context(), target(source), clone)
	requireCode(t, providers.FailedPrecondition, err)
	require.NoError(t, pollUntilDone(t, p, task).Err)
	_, task, err = p.CloneVM(t.Context(), target(source), clone)
	require.NoError(t, err)
	pid := haltReading(t, clone.VMID)
	_, err = p.StartVM(t.Context(), target(source))
	requireCode(t, providers.Aborted, err)
	_, err = p.DeleteVM(t.Context(), target(source))
	requireCode(t, providers.Aborted, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	require.NoError(t, pollUntilDone(t, p, task).Err)
	requireComplete(t, p, clone)
}
