package sim_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// openAll is open, with all that the adapter can do.
func (p *peer) openAll(tb testing.TB) *sim.Provider {
	tb.Helper()
	a, ok := p.open(tb).(*sim.Provider)
	require.True(tb, ok)
	return a
}

// optionalLife takes a VM through everything that is optional.
type optionalLife struct {
	*life
	all *sim.Provider
	vm  providers.Target
}

func (l *optionalLife) write(text string) {
	l.t.Helper()
	l.p.WriteDisk(l.t.Context(), l.t, l.req.VMID, "", text)
}

func (l *optionalLife) hv() simadmin.VM {
	l.t.Helper()
	return l.p.one(l.t, l.req.VMID)
}

// step drives one operation to its end and checks what it made.
func (l *optionalLife) step(name string, ask func(ctx context.Context) (providers.TaskRef, error), want func(vm providers.VM, hv simadmin.VM) bool) {
	l.t.Helper()
	l.drive(name, ask, func(vm providers.VM, found bool) bool { return found && want(vm, l.hv()) })
}

func (l *optionalLife) live() {
	l.t.Helper()
	l.drive("create", func(ctx context.Context) (providers.TaskRef, error) {
		_, task, err := l.a.CreateVM(ctx, l.req)
		return task, err
	}, func(vm providers.VM, found bool) bool { return found && !vm.Incomplete })
	l.stopped()
	l.power("start", models.PowerRunning, func(ctx context.Context) (providers.TaskRef, error) { return l.a.StartVM(ctx, l.vm) })
	l.running()
	l.consoles()
	require.Equal(l.t, 1, l.hv().Boots, "the guest was started anew")
	l.drive("delete", func(ctx context.Context) (providers.TaskRef, error) { return l.a.DeleteVM(ctx, l.vm) },
		func(_ providers.VM, found bool) bool { return !found })
	left, err := l.a.Leftovers(l.t.Context(), l.req.VMID)
	require.NoError(l.t, err)
	require.Empty(l.t, left)
}

// stopped does what needs a VM that is off.
func (l *optionalLife) stopped() {
	l.t.Helper()
	const data = "data-disk-1"
	l.write("first")
	rebuilt := l.req
	rebuilt.DiskGiB = 3
	rebuild := func(token string) func(context.Context) (providers.TaskRef, error) {
		return func(ctx context.Context) (providers.TaskRef, error) { return l.all.RebuildVM(ctx, rebuilt, token) }
	}
	fresh := func(vm providers.VM, hv simadmin.VM) bool {
		return !vm.Incomplete && hv.RootData == "" && vm.DiskGiB == 3
	}
	l.step("rebuild", rebuild("token-1"), fresh)
	l.step("revert of the rebuild", func(ctx context.Context) (providers.TaskRef, error) {
		return l.all.RevertRebuild(ctx, l.vm, "token-1")
	}, func(vm providers.VM, hv simadmin.VM) bool {
		return !vm.Incomplete && hv.RootData == "first" && hv.AsideToken == "" && vm.DiskGiB == 2
	})
	l.step("rebuild again", rebuild("token-2"), fresh)
	l.step("end of the rebuild", func(ctx context.Context) (providers.TaskRef, error) {
		return l.all.FinishRebuild(ctx, l.vm, "token-2")
	}, func(_ providers.VM, hv simadmin.VM) bool {
		return hv.AsideToken == "" && hv.RootData == "" && len(hv.Disks) == 1
	})
	l.clone()

	disk := func(attached bool) func(vm providers.VM, _ simadmin.VM) bool {
		return func(vm providers.VM, _ simadmin.VM) bool {
			return slices.Equal(vm.DataDisks, []providers.DataDisk{{ID: data, SizeGiB: 1, Attached: attached}})
		}
	}
	l.step("attach a disk", func(ctx context.Context) (providers.TaskRef, error) {
		return l.all.AttachDisk(ctx, l.vm, providers.DataDisk{ID: data, SizeGiB: 1})
	}, disk(true))
	l.step("detach the disk", func(ctx context.Context) (providers.TaskRef, error) { return l.all.DetachDisk(ctx, l.vm, data) }, disk(false))
	l.step("delete the disk", func(ctx context.Context) (providers.TaskRef, error) { return l.all.DeleteDisk(ctx, l.vm, data) },
		func(vm providers.VM, _ simadmin.VM) bool { return len(vm.DataDisks) == 0 })
	l.snapshots()
	l.step("resize", func(ctx context.Context) (providers.TaskRef, error) {
		return l.all.ResizeVM(ctx, l.vm, providers.Shape{VCPUs: 2, MemoryMiB: 256, DiskGiB: 4})
	}, func(vm providers.VM, _ simadmin.VM) bool {
		return vm.VCPUs == 2 && vm.MemoryMiB == 256 && vm.DiskGiB == 4
	})
}

func (l *optionalLife) clone() {
	l.t.Helper()
	copied := &life{t: l.t, p: l.p, a: l.a, req: request()}
	copied.req.DiskGiB = 4
	copied.drive("clone", func(ctx context.Context) (providers.TaskRef, error) {
		_, task, err := l.all.CloneVM(ctx, l.vm, copied.req)
		return task, err
	}, func(vm providers.VM, found bool) bool { return found && !vm.Incomplete })
	require.Len(l.t, l.p.of(l.t, copied.req.VMID), 1, "the clone was made twice")
	copied.drive("delete the clone", func(ctx context.Context) (providers.TaskRef, error) {
		return l.a.DeleteVM(ctx, providers.Target{VMID: copied.req.VMID})
	}, func(_ providers.VM, found bool) bool { return !found })
}

func (l *optionalLife) snapshots() {
	l.t.Helper()
	const id = "snapshot-1"
	l.write("kept")
	l.step("snapshot", func(ctx context.Context) (providers.TaskRef, error) {
		return l.all.CreateSnapshot(ctx, l.vm, providers.SnapshotRequest{ID: id, Name: "s"})
	}, func(providers.VM, simadmin.VM) bool {
		var list []providers.Snapshot
		within(l.t, 10*time.Second, "the snapshots are listed", func() (ok bool) {
			var err error
			list, err = l.all.ListSnapshots(l.t.Context(), l.vm)
			return !l.failed("ListSnapshots", err)
		})
		return len(list) == 1 && list[0].ID == id && !list[0].Incomplete
	})
	l.write("changed")
	l.step("revert", func(ctx context.Context) (providers.TaskRef, error) {
		return l.all.RevertSnapshot(ctx, l.vm, id, "token-3")
	}, func(_ providers.VM, hv simadmin.VM) bool { return hv.RootData == "kept" })
	l.step("delete the snapshot", func(ctx context.Context) (providers.TaskRef, error) { return l.all.DeleteSnapshot(ctx, l.vm, id) },
		func(_ providers.VM, hv simadmin.VM) bool { return len(hv.Snapshots) == 0 && hv.RootData == "kept" })
}

// running does what keeps a guest going.
func (l *optionalLife) running() {
	l.t.Helper()
	const extra = "52:54:01:00:00:01"
	awake := func(power string) func(providers.VM, simadmin.VM) bool {
		return func(_ providers.VM, hv simadmin.VM) bool { return hv.Power == power }
	}
	l.step("suspend", func(ctx context.Context) (providers.TaskRef, error) { return l.all.SuspendVM(ctx, l.vm) }, awake("suspended"))
	l.step("resume", func(ctx context.Context) (providers.TaskRef, error) { return l.all.ResumeVM(ctx, l.vm) }, awake("running"))
	nic := l.req.NICs[0]
	nic.MAC = extra
	l.step("attach an interface", func(ctx context.Context) (providers.TaskRef, error) { return l.all.AttachNIC(ctx, l.vm, nic) },
		func(vm providers.VM, _ simadmin.VM) bool { return len(vm.MACs) == 2 && vm.MACs[1] == extra })
	l.step("detach the interface", func(ctx context.Context) (providers.TaskRef, error) { return l.all.DetachNIC(ctx, l.vm, extra) },
		func(vm providers.VM, _ simadmin.VM) bool { return len(vm.MACs) == 1 && vm.MACs[0] != extra })
	l.step("migrate", func(ctx context.Context) (providers.TaskRef, error) {
		return l.all.MigrateVM(ctx, l.vm, providers.Migration{Node: "node-2", Live: true})
	}, func(vm providers.VM, hv simadmin.VM) bool { return vm.Node == "node-2" && hv.MovingTo == "" })
	l.step("abort of a migration that is over", func(ctx context.Context) (providers.TaskRef, error) { return l.all.AbortMigration(ctx, l.vm) },
		func(vm providers.VM, _ simadmin.VM) bool { return vm.Node == "node-2" })
}

// consoles opens the screen until it can, and hears the server's version.
func (l *optionalLife) consoles() {
	l.t.Helper()
	ctx := l.t.Context()
	within(l.t, 10*time.Second, "the consoles are known", func() bool {
		info, err := l.all.Consoles(ctx, l.vm)
		return !l.failed("Consoles", err) && len(info.Types) == 2
	})
	within(l.t, 10*time.Second, "the screen is open", func() bool {
		stream, err := l.all.OpenConsole(ctx, l.vm, models.ConsoleVNC)
		if l.failed("OpenConsole", err) {
			return false
		}
		version := make([]byte, 12)
		_, err = io.ReadFull(stream, version)
		require.NoError(l.t, err)
		require.Equal(l.t, "RFB 003.008\n", string(version))
		require.NoError(l.t, stream.Close())
		return true
	})
	within(l.t, 10*time.Second, "no console is open", func() bool {
		screen, err := l.p.Screen(ctx, l.hv().NativeID)
		require.NoError(l.t, err)
		return screen.Consoles["vnc"] == 0
	})
}

// optionalFaults lists each kind of fault at each optional operation.
func optionalFaults() []simadmin.Fault {
	var out []simadmin.Fault
	for _, op := range []string{
		"suspend_vm", "resume_vm", "resize_vm", "rebuild_vm", "revert_rebuild", "finish_rebuild", "clone_vm", "snapshot_create", "snapshot_list",
		"snapshot_revert", "snapshot_delete", "migrate_vm", "abort_migration", "attach_disk", "detach_disk", "delete_disk", "attach_nic",
		"detach_nic", "console_info", "open_console",
	} {
		kinds := []simadmin.FaultKind{
			simadmin.FaultErrorBefore, simadmin.FaultErrorAfter, simadmin.FaultDropConnection, simadmin.FaultHang, simadmin.FaultThrottle, simadmin.FaultLocked,
		}
		if !slices.Contains([]string{"snapshot_list", "console_info", "open_console", "abort_migration"}, op) {
			kinds = append(kinds, simadmin.FaultSlowTask, simadmin.FaultTaskFails, simadmin.FaultForgetTask)
		}
		if slices.Contains([]string{"rebuild_vm", "clone_vm", "snapshot_create", "migrate_vm", "attach_disk"}, op) {
			kinds = append(kinds, simadmin.FaultPartial)
		}
		for _, kind := range kinds {
			f := simadmin.Fault{Op: op, Kind: kind}
			if kind == simadmin.FaultSlowTask {
				f.Delay = simadmin.Duration(20 * time.Millisecond)
			}
			out = append(out, f)
		}
	}
	return append(out, simadmin.Fault{Op: "clone_vm", Kind: simadmin.FaultPartial, Part: simadmin.PartMark})
}

// TestEachFaultAtEachOptionalOperation shows that every fault is survived, with
// each operation's end as if there had been none.
func TestEachFaultAtEachOptionalOperation(t *testing.T) {
	for _, delay := range []time.Duration{0, 2 * time.Millisecond} {
		for _, f := range optionalFaults() {
			if delay > 0 && slices.Contains([]simadmin.FaultKind{simadmin.FaultErrorBefore, simadmin.FaultHang, simadmin.FaultThrottle, simadmin.FaultLocked}, f.Kind) {
				continue // they end the call before there is a task
			}
			t.Run(fmt.Sprintf("%s/%s%s/delay=%v", f.Op, f.Kind, f.Part, delay), func(t *testing.T) {
				p := start(t, simhv.Options{TaskDelay: delay})
				p.options[sim.OptionCallTimeout] = "5s"
				if f.Kind == simadmin.FaultHang {
					p.options[sim.OptionCallTimeout] = "150ms"
				}
				probe := p.foreign(t.Context(), t, models.NewID())
				require.NoError(t, p.SetFaults(t.Context(), f))
				all, req := p.openAll(t), request()
				l := &optionalLife{life: &life{t: t, p: p, a: all, req: req}, all: all, vm: providers.Target{VMID: req.VMID}}
				l.live()
				probe(t)
				reports, err := p.Faults(t.Context())
				require.NoError(t, err)
				require.Equal(t, 1, reports[0].Fired, "the fault never happened")
			})
		}
	}
}
