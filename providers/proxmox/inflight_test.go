package proxmox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// slow makes the work of an operation take so long that it is still going on when
// the next method is called.
func (c *cluster) slow(t *testing.T, op string) {
	t.Helper()
	require.NoError(t, c.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{op: simadmin.Duration(time.Second)}}))
}

// rest waits until no task of the cluster is at work.
func (c *cluster) rest(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		stats, err := c.Stats(t.Context())
		return err == nil && stats.TasksRunning == 0
	}, 60*time.Second, 5*time.Millisecond)
}

// begun counts the tasks of a type on a VM, ended ones too.
func (c *cluster) begun(t *testing.T, vm providers.VM, typ string) int {
	t.Helper()
	var rows []struct{}
	c.read(t, "/nodes/"+vm.Node+"/tasks?source=all&vmid="+string(vm.Ref)+"&typefilter="+typ, &rows)
	return len(rows)
}

// asked is a method that is called with what a test has given it.
type asked func() (providers.TaskRef, error)

// TestUndoneWhileAtWork undoes work right after it was begun, while the VM does not
// show it yet, as after a cancel: nothing of it comes to be later.
func TestUndoneWhileAtWork(t *testing.T) {
	t.Parallel()
	part := models.NewID()
	for name, op := range map[string]struct {
		slow string
		do   func(p *proxmox.Provider, req providers.CreateVMRequest) asked
		undo []func(p *proxmox.Provider, at providers.Target) asked
	}{
		"CreateSnapshot": {
			slow: "snapshot_create",
			do: func(p *proxmox.Provider, req providers.CreateVMRequest) asked {
				return func() (providers.TaskRef, error) {
					return p.CreateSnapshot(t.Context(), providers.Target{VMID: req.VMID}, providers.SnapshotRequest{ID: part, Name: "s"})
				}
			},
			undo: []func(p *proxmox.Provider, at providers.Target) asked{
				func(p *proxmox.Provider, at providers.Target) asked {
					return func() (providers.TaskRef, error) { return p.DeleteSnapshot(t.Context(), at, part) }
				},
			},
		},
		"AttachDisk": {
			slow: "attach_disk",
			do: func(p *proxmox.Provider, req providers.CreateVMRequest) asked {
				return func() (providers.TaskRef, error) {
					return p.AttachDisk(t.Context(), providers.Target{VMID: req.VMID}, providers.DataDisk{ID: part, SizeGiB: 1})
				}
			},
			undo: []func(p *proxmox.Provider, at providers.Target) asked{
				func(p *proxmox.Provider, at providers.Target) asked {
					return func() (providers.TaskRef, error) { return p.DetachDisk(t.Context(), at, part) }
				},
				func(p *proxmox.Provider, at providers.Target) asked {
					return func() (providers.TaskRef, error) { return p.DeleteDisk(t.Context(), at, part) }
				},
			},
		},
		"RebuildVM": {
			slow: "rebuild_vm",
			do: func(p *proxmox.Provider, req providers.CreateVMRequest) asked {
				return func() (providers.TaskRef, error) { return p.RebuildVM(t.Context(), req, "token") }
			},
			undo: []func(p *proxmox.Provider, at providers.Target) asked{
				func(p *proxmox.Provider, at providers.Target) asked {
					return func() (providers.TaskRef, error) { return p.RevertRebuild(t.Context(), at, "token") }
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, proxmoxsim.Options{})
			first, second, req := c.open(t), c.open(t), coreRequest()
			at, vm := made(t, first, req)
			config, volumes := c.config(t, vm), c.volumes(t, "shared")
			c.slow(t, op.slow)
			_, err := op.do(first, req)()
			require.NoError(t, err)
			for _, undo := range op.undo {
				settle(t, second, undo(second, at))
			}
			c.rest(t)
			require.Equal(t, vm, found(t, second, req.VMID))
			var states []struct{ Name string }
			c.read(t, "/nodes/"+vm.Node+"/qemu/"+string(vm.Ref)+"/snapshot", &states)
			require.Len(t, states, 1, "only what stands for the VM as it is")
			require.Equal(t, volumes, c.volumes(t, "shared"))
			after := c.config(t, vm)
			delete(config, "digest")
			delete(after, "digest")
			require.Equal(t, config, after)
		})
	}
}

// TestAskedAgainWhileAtWork calls each method twice, while the VM does not show the
// first call's work yet, as after a lost answer: it is begun once.
func TestAskedAgainWhileAtWork(t *testing.T) {
	t.Parallel()
	part := models.NewID()
	type method func(p *proxmox.Provider, at providers.Target) asked
	start := func(p *proxmox.Provider, at providers.Target) asked {
		return func() (providers.TaskRef, error) { return p.StartVM(t.Context(), at) }
	}
	suspend := func(p *proxmox.Provider, at providers.Target) asked {
		return func() (providers.TaskRef, error) { return p.SuspendVM(t.Context(), at) }
	}
	snapshot := func(p *proxmox.Provider, at providers.Target) asked {
		return func() (providers.TaskRef, error) {
			return p.CreateSnapshot(t.Context(), at, providers.SnapshotRequest{ID: part, Name: "s"})
		}
	}
	for name, op := range map[string]struct {
		slow, typ string
		before    []method
		do        method
		begun     int
	}{
		"StartVM": {slow: "set_power", typ: "qmstart", do: start, begun: 1},
		"StopVM": {slow: "set_power", typ: "qmstop", before: []method{start}, begun: 1, do: func(p *proxmox.Provider, at providers.Target) asked {
			return func() (providers.TaskRef, error) { return p.StopVM(t.Context(), at, models.ModeForce) }
		}},
		"SuspendVM": {slow: "suspend_vm", typ: "qmsuspend", before: []method{start}, do: suspend, begun: 1},
		"ResumeVM": {slow: "set_power", typ: "qmstart", before: []method{start, suspend}, begun: 2, do: func(p *proxmox.Provider, at providers.Target) asked {
			return func() (providers.TaskRef, error) { return p.ResumeVM(t.Context(), at) }
		}},
		"MigrateVM": {slow: "migrate_vm", typ: "qmigrate", begun: 1, do: func(p *proxmox.Provider, at providers.Target) asked {
			return func() (providers.TaskRef, error) {
				return p.MigrateVM(t.Context(), at, providers.Migration{Node: "pve2"})
			}
		}},
		"CreateSnapshot": {slow: "snapshot_create", typ: "qmsnapshot", do: snapshot, begun: 1},
		"DeleteSnapshot": {slow: "snapshot_delete", typ: "qmdelsnapshot", before: []method{snapshot}, begun: 1, do: func(p *proxmox.Provider, at providers.Target) asked {
			return func() (providers.TaskRef, error) { return p.DeleteSnapshot(t.Context(), at, part) }
		}},
		"AttachDisk": {slow: "attach_disk", typ: "qmconfig", begun: 1, do: func(p *proxmox.Provider, at providers.Target) asked {
			return func() (providers.TaskRef, error) {
				return p.AttachDisk(t.Context(), at, providers.DataDisk{ID: part, SizeGiB: 1})
			}
		}},
		"DeleteVM": {slow: "delete_vm", typ: "qmdestroy", begun: 1, do: func(p *proxmox.Provider, at providers.Target) asked {
			return func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), at) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, proxmoxsim.Options{Nodes: 2})
			first, second, req := c.open(t), c.open(t), coreRequest()
			at, vm := made(t, first, req)
			for _, before := range op.before {
				settle(t, first, before(first, at))
			}
			c.slow(t, op.slow)
			_, err := op.do(first, at)()
			require.NoError(t, err)
			settle(t, second, op.do(second, at))
			c.rest(t)
			require.Equal(t, op.begun, c.begun(t, vm, op.typ))
		})
	}
}

// TestADiskThatWasPutBackDoesNotGrow reverts a rebuild while its new disk is about
// to grow: the old disk, which has its place by then, keeps its size.
func TestADiskThatWasPutBackDoesNotGrow(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	first, second, req := c.open(t), c.open(t), coreRequest()
	at, vm := made(t, first, req)
	require.NoError(t, c.SetLatency(t.Context(), simadmin.Latency{Call: map[string]simadmin.Duration{"resize_vm": simadmin.Duration(time.Second)}}))
	req.DiskGiB += 2
	task, err := first.RebuildVM(t.Context(), req, "token")
	require.NoError(t, err)
	require.NotEmpty(t, task)
	settle(t, second, func() (providers.TaskRef, error) { return second.RevertRebuild(t.Context(), at, "token") })
	require.Eventually(t, func() bool {
		st, err := first.PollTask(t.Context(), task)
		return err != nil || st.Done
	}, 60*time.Second, 10*time.Millisecond)
	c.rest(t)
	require.Equal(t, vm, found(t, second, req.VMID))
}

// TestAVMThatIsShownButNotFound has the cluster list a VM that it denies when it is
// to be removed: whoever asked is told, and asks again.
func TestAVMThatIsShownButNotFound(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	at, vm := made(t, p, req)
	require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{
		Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Status: 500, Count: simadmin.Always,
		Code: "Configuration file 'nodes/pve1/qemu-server/" + string(vm.Ref) + ".conf' does not exist",
	}))
	task, err := p.DeleteVM(t.Context(), at)
	for err == nil {
		require.NotEmpty(t, task)
		var st providers.TaskStatus
		require.Eventually(t, func() bool {
			st, err = p.PollTask(t.Context(), task)
			return err != nil || st.Done
		}, 60*time.Second, 10*time.Millisecond)
		if err == nil {
			err = st.Err
		}
		require.Error(t, err)
	}
	require.Equal(t, providers.Aborted, providers.CodeOf(err))
	require.NoError(t, c.ClearFaults(t.Context()))
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), at) })
	_, err = p.FindVM(t.Context(), req.VMID)
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
}
