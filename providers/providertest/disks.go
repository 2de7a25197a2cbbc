package providertest

import (
	"cmp"
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func diskCases() []Case {
	needs := []models.Capability{models.CapDataDisks}
	return []Case{
		{Name: "DataDisksAreAttachedKeptAndDeleted", run: testDisks, needs: needs},
		{Name: "DataDisksOfARunningVM", run: testDisksRunning, needs: needs},
		{Name: "DataDisksRefuseWhatWouldLoseData", run: testDisksRefused, needs: needs},
		{Name: "DeleteTakesTheDataDisks", run: testDisksDeleted, needs: needs},
	}
}

func (c *contract) wantDisks(vm providers.VM, want ...providers.DataDisk) {
	c.t.Helper()
	got := slices.Clone(c.find(vm.VMID).DataDisks)
	byID := func(a, b providers.DataDisk) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	if !slices.Equal(got, want) {
		c.t.Fatalf("the data disks are %+v, want %+v", got, want)
	}
}

func testDisks(c *contract) {
	vm, d, ctx := c.create(c.request()), capable[providers.DiskAttacher](c, c.p), c.t.Context()
	before := c.leftovers(vm.VMID)
	c.wantDisks(vm)
	one := providers.DataDisk{ID: models.NewID(), SizeGiB: 1, Attached: true}
	two := providers.DataDisk{ID: models.NewID(), SizeGiB: 2, Attached: true}
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("AttachDisk")(capable[providers.DiskAttacher](c, p).AttachDisk(ctx, target(vm), one))
		c.wantDisks(vm, one)
	}
	c.done("AttachDisk of a second one")(d.AttachDisk(ctx, target(vm), two))
	c.wantDisks(vm, one, two)
	c.wantText(vm, one.ID, "")
	c.write(vm, one.ID, "one")
	c.write(vm, two.ID, "two")
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.wantDisks(vm, one, two)
	c.forceOff(vm)

	kept := one
	kept.Attached = false
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("DetachDisk")(capable[providers.DiskAttacher](c, p).DetachDisk(ctx, target(vm), one.ID))
		c.wantDisks(vm, kept, two)
	}
	c.done("AttachDisk of a kept one")(d.AttachDisk(ctx, target(vm), one))
	c.wantDisks(vm, one, two)
	c.wantText(vm, one.ID, "one")
	c.wantText(vm, two.ID, "two")
	c.wantText(vm, "", "")

	for _, disk := range []providers.DataDisk{one, two} {
		c.done("DetachDisk")(d.DetachDisk(ctx, target(vm), disk.ID))
		for _, p := range []providers.Provider{c.p, c.second()} {
			c.done("DeleteDisk")(capable[providers.DiskAttacher](c, p).DeleteDisk(ctx, target(vm), disk.ID))
		}
	}
	c.wantDisks(vm)
	if after := c.leftovers(vm.VMID); !slices.Equal(after, before) {
		c.t.Fatalf("after the disks' end %v is left, before them it was %v", after, before)
	}
	c.done("DetachDisk of a disk that is not there")(d.DetachDisk(ctx, target(vm), models.NewID()))
	c.done("DeleteDisk of a disk that is not there")(d.DeleteDisk(ctx, target(vm), models.NewID()))
}

func testDisksRunning(c *contract) {
	vm, d, ctx := c.guest(), capable[providers.DiskAttacher](c, c.p), c.t.Context()
	boot := c.boot(vm)
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1, Attached: true}
	kept := disk
	kept.Attached = false
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("AttachDisk to a running VM")(capable[providers.DiskAttacher](c, p).AttachDisk(ctx, target(vm), disk))
		c.wantDisks(vm, disk)
	}
	c.obeyed("DetachDisk", func() (providers.TaskRef, error) { return d.DetachDisk(ctx, target(vm), disk.ID) },
		func() bool { return slices.Equal(c.find(vm.VMID).DataDisks, []providers.DataDisk{kept}) })
	c.done("DetachDisk of a kept one")(d.DetachDisk(ctx, target(vm), disk.ID))
	c.done("DeleteDisk")(d.DeleteDisk(ctx, target(vm), disk.ID))
	c.wantDisks(vm)
	c.wantPower(vm.VMID, models.PowerRunning)
	c.wantBoot(vm, boot)
}

func testDisksRefused(c *contract) {
	vm, d, ctx := c.create(c.request()), capable[providers.DiskAttacher](c, c.p), c.t.Context()
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1, Attached: true}
	for _, bad := range []providers.DataDisk{{SizeGiB: 1}, {ID: disk.ID}, {ID: disk.ID, SizeGiB: -1}} {
		c.refused("AttachDisk of nothing", providers.InvalidArgument)(d.AttachDisk(ctx, target(vm), bad))
	}
	c.wantDisks(vm)
	c.done("AttachDisk")(d.AttachDisk(ctx, target(vm), disk))
	c.write(vm, disk.ID, "kept")
	c.refused("DeleteDisk of an attached disk", providers.FailedPrecondition)(d.DeleteDisk(ctx, target(vm), disk.ID))
	c.wantDisks(vm, disk)
	c.wantText(vm, disk.ID, "kept")
	if c.h.has(models.CapSnapshot) {
		other := c.create(c.request())
		c.snapshot(other, false)
		c.refused("AttachDisk to a VM with snapshots", providers.FailedPrecondition)(
			d.AttachDisk(ctx, target(other), providers.DataDisk{ID: models.NewID(), SizeGiB: 1}))
		c.wantDisks(other)
	}
}

func testDisksDeleted(c *contract) {
	vm, d, ctx := c.create(c.request()), capable[providers.DiskAttacher](c, c.p), c.t.Context()
	kept := models.NewID()
	c.done("AttachDisk")(d.AttachDisk(ctx, target(vm), providers.DataDisk{ID: models.NewID(), SizeGiB: 1}))
	c.done("AttachDisk")(d.AttachDisk(ctx, target(vm), providers.DataDisk{ID: kept, SizeGiB: 1}))
	c.done("DetachDisk")(d.DetachDisk(ctx, target(vm), kept))
	c.remove(vm)
}
