package providertest

import (
	"context"
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// lossy is one change whose answer is lost, and what must hold afterwards.
type lossy struct {
	method string
	needs  models.Capability
	power  models.PowerState // of the VM beforehand
	do     func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error)
	holds  func(vm providers.VM) bool
}

// testLostAnswers lets each change take effect unheard, and asks again as a
// workflow does: what was made is found, not made twice.
func testLostAnswers(c *contract) {
	for _, l := range c.lossy() {
		if !c.h.has(l.needs) {
			continue
		}
		vm := c.create(c.request())
		if l.power == models.PowerRunning {
			c.done("StartVM")(c.p.StartVM(c.t.Context(), target(vm)))
		}
		c.h.LoseAnswer(c.t.Context(), c.t, l.method)
		c.within(l.method+" is done though its answer was lost", func() bool {
			task, err := l.do(c.t.Context(), c.p, vm)
			if err == nil {
				err = c.outcome(task)
			}
			if err != nil {
				c.wellFormed(l.method, err)
				if !providers.CodeOf(err).Retryable() {
					c.t.Fatalf("%s, asked again after its answer was lost: %v", l.method, err)
				}
				return false
			}
			return true
		})
		if got := c.find(vm.VMID); !l.holds(got) {
			c.t.Fatalf("after %s whose answer was lost the VM is %+v", l.method, got)
		}
		c.remove(vm)
	}
}

func (c *contract) lossy() []lossy {
	c.t.Helper()
	snapshot, disk, clone := models.NewID(), models.NewID(), c.request()
	var nic providers.NIC
	if c.h.has(models.CapAttachNetwork) {
		nic = c.nic(clone)
	}
	return []lossy{
		{
			"SuspendVM", models.CapSuspend, models.PowerRunning,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				return capable[providers.Suspender](c, p).SuspendVM(ctx, target(vm))
			},
			func(vm providers.VM) bool { c.wantAsleep(vm); return true },
		},
		{
			"ResizeVM", models.CapResize, models.PowerStopped,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				return capable[providers.Resizer](c, p).ResizeVM(ctx, target(vm), providers.Shape{VCPUs: 2, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB})
			},
			func(vm providers.VM) bool { return vm.VCPUs == 2 },
		},
		{
			"RebuildVM", models.CapRebuild, models.PowerStopped,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				req := clone
				req.VMID, req.Name, req.NICs = vm.VMID, vm.Name, nil
				return capable[providers.Rebuilder](c, p).RebuildVM(ctx, req, "token-1")
			},
			func(vm providers.VM) bool {
				once := c.leftovers(vm.VMID)
				c.done("RevertRebuild")(capable[providers.Rebuilder](c, c.p).RevertRebuild(c.t.Context(), target(vm), "token-1"))
				return !vm.Incomplete && len(once) > len(c.leftovers(vm.VMID))
			},
		},
		{
			"CloneVM", models.CapClone, models.PowerStopped,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				_, task, err := capable[providers.Cloner](c, p).CloneVM(ctx, target(vm), clone)
				return task, err
			},
			func(providers.VM) bool { c.wantOne(clone); return true },
		},
		{
			"CreateSnapshot", models.CapSnapshot, models.PowerStopped,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				return capable[providers.Snapshotter](c, p).CreateSnapshot(ctx, target(vm), providers.SnapshotRequest{ID: snapshot, Name: "s"})
			},
			func(vm providers.VM) bool { c.wantSnapshots(vm, snapshot); return true },
		},
		{
			"MigrateVM", models.CapColdMigration, models.PowerStopped,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				return capable[providers.Migrator](c, p).MigrateVM(ctx, target(vm), providers.Migration{Node: c.elsewhere(vm)})
			},
			func(vm providers.VM) bool { return vm.Node != clone.Node },
		},
		{
			"AttachDisk", models.CapDataDisks, models.PowerStopped,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				return capable[providers.DiskAttacher](c, p).AttachDisk(ctx, target(vm), providers.DataDisk{ID: disk, SizeGiB: 1})
			},
			func(vm providers.VM) bool {
				return slices.Equal(vm.DataDisks, []providers.DataDisk{{ID: disk, SizeGiB: 1, Attached: true}})
			},
		},
		{
			"AttachNIC", models.CapAttachNetwork, models.PowerStopped,
			func(ctx context.Context, p providers.Provider, vm providers.VM) (providers.TaskRef, error) {
				return capable[providers.NICAttacher](c, p).AttachNIC(ctx, target(vm), nic)
			},
			func(vm providers.VM) bool { return len(vm.MACs) == len(clone.NICs)+1 },
		},
	}
}
