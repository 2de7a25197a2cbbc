package providertest

import (
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func resizeCases() []Case {
	needs := []models.Capability{models.CapResize}
	return []Case{
		{Name: "ResizeChangesAStoppedVM", run: testResize, needs: needs},
		{Name: "ResizeNeverShrinksTheDisk", run: testResizeDisk, needs: needs},
		{Name: "ResizeRefusesWhatTheVMCannotTake", run: testResizeRefused, needs: needs},
		{Name: "HotResizeGrowsARunningVM", run: testHotResize, needs: []models.Capability{models.CapHotResize}},
	}
}

// larger is a shape that is one step larger in everything.
func larger(vm providers.VM) providers.Shape {
	return providers.Shape{VCPUs: vm.VCPUs + 1, MemoryMiB: vm.MemoryMiB + 128, DiskGiB: vm.DiskGiB + 1}
}

func testResize(c *contract) {
	vm, r, ctx := c.create(c.request()), capable[providers.Resizer](c, c.p), c.t.Context()
	before, to := shapeOf(vm), larger(vm)
	c.write(vm, "", "kept")
	c.done("ResizeVM")(r.ResizeVM(ctx, target(vm), to))
	c.wantShape(vm.VMID, to)
	c.done("ResizeVM to the size it has")(capable[providers.Resizer](c, c.second()).ResizeVM(ctx, target(vm), to))
	c.wantShape(vm.VMID, to)
	c.wantPower(vm.VMID, models.PowerStopped)
	c.wantText(vm, "", "kept")

	before.DiskGiB = to.DiskGiB
	c.done("ResizeVM back")(r.ResizeVM(ctx, target(vm), before))
	c.wantShape(vm.VMID, before)
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.wantShape(vm.VMID, before)
}

// testResizeDisk asks as an undo asks: for the disk that was before.
func testResizeDisk(c *contract) {
	vm, r, ctx := c.create(c.request()), capable[providers.Resizer](c, c.p), c.t.Context()
	before, to := shapeOf(vm), larger(vm)
	c.done("ResizeVM")(r.ResizeVM(ctx, target(vm), to))
	c.write(vm, "", "on the larger disk")
	for range 2 {
		c.done("ResizeVM with a smaller disk")(r.ResizeVM(ctx, target(vm), before))
		c.wantShape(vm.VMID, providers.Shape{VCPUs: before.VCPUs, MemoryMiB: before.MemoryMiB, DiskGiB: to.DiskGiB})
	}
	c.wantText(vm, "", "on the larger disk")
}

func testResizeRefused(c *contract) {
	vm, r, ctx := c.running(c.request()), capable[providers.Resizer](c, c.p), c.t.Context()
	has := shapeOf(vm)
	for _, bad := range []providers.Shape{
		{VCPUs: 0, MemoryMiB: has.MemoryMiB, DiskGiB: has.DiskGiB},
		{VCPUs: -1, MemoryMiB: has.MemoryMiB, DiskGiB: has.DiskGiB},
		{VCPUs: has.VCPUs, MemoryMiB: 0, DiskGiB: has.DiskGiB},
	} {
		c.refused("ResizeVM to nothing", providers.InvalidArgument)(r.ResizeVM(ctx, target(vm), bad))
	}
	c.refused("ResizeVM of a running VM to less memory", providers.FailedPrecondition)(
		r.ResizeVM(ctx, target(vm), providers.Shape{VCPUs: has.VCPUs, MemoryMiB: has.MemoryMiB - 1, DiskGiB: has.DiskGiB}))
	if !c.h.has(models.CapHotResize) {
		c.refused("ResizeVM of a running VM", providers.FailedPrecondition)(r.ResizeVM(ctx, target(vm), larger(vm)))
	}
	c.wantShape(vm.VMID, has)
	c.done("ResizeVM to the size it has")(r.ResizeVM(ctx, target(vm), has))
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testHotResize(c *contract) {
	vm, r, ctx := c.guest(), capable[providers.Resizer](c, c.p), c.t.Context()
	boot, to := c.boot(vm), larger(vm)
	for _, r := range []providers.Resizer{r, capable[providers.Resizer](c, c.second())} {
		c.done("ResizeVM of a running VM")(r.ResizeVM(ctx, target(vm), to))
		c.wantShape(vm.VMID, to)
	}
	c.wantPower(vm.VMID, models.PowerRunning)
	c.wantBoot(vm, boot)
	less := to
	less.VCPUs--
	c.refused("ResizeVM of a running VM to fewer CPUs", providers.FailedPrecondition)(r.ResizeVM(ctx, target(vm), less))
	c.wantShape(vm.VMID, to)
	c.forceOff(vm)
	c.wantShape(vm.VMID, to)
}
