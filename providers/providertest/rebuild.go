package providertest

import (
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func rebuildCases() []Case {
	needs := []models.Capability{models.CapRebuild}
	return []Case{
		{Name: "RebuildPutsANewDiskInPlace", run: testRebuild, needs: needs},
		{Name: "RevertRebuildPutsTheOldDiskBack", run: testRebuildReverted, needs: needs},
		{Name: "RebuildRefusesWhatItWouldBreak", run: testRebuildRefused, needs: needs},
		{Name: "DeleteTakesWhatARebuildSetAside", run: testRebuildDeleted, needs: needs},
	}
}

func testRebuild(c *contract) {
	req := c.request()
	vm, r, ctx := c.create(req), capable[providers.Rebuilder](c, c.p), c.t.Context()
	before := c.leftovers(vm.VMID)
	c.write(vm, "", "old")
	req.DiskGiB++
	for _, r := range []providers.Rebuilder{r, capable[providers.Rebuilder](c, c.second())} {
		c.done("RebuildVM")(r.RebuildVM(ctx, req, "token-1"))
		c.wantAsAsked(c.find(vm.VMID), req)
		c.wantText(vm, "", "")
		if during := c.leftovers(vm.VMID); len(during) <= len(before) {
			c.t.Fatalf("Leftovers hides what the rebuild set aside: %v, before it %v", during, before)
		}
	}
	c.write(vm, "", "new")
	for range 2 {
		c.done("FinishRebuild")(r.FinishRebuild(ctx, target(vm), "token-1"))
	}
	if after := c.leftovers(vm.VMID); len(after) != len(before) {
		c.t.Fatalf("after FinishRebuild %v is left, before the rebuild it was %v", after, before)
	}
	c.done("RevertRebuild of a finished one")(r.RevertRebuild(ctx, target(vm), "token-1"))
	c.wantText(vm, "", "new")
	c.wantAsAsked(c.find(vm.VMID), req)
}

func testRebuildReverted(c *contract) {
	req := c.request()
	vm, r, ctx := c.create(req), capable[providers.Rebuilder](c, c.p), c.t.Context()
	before := c.leftovers(vm.VMID)
	c.write(vm, "", "old")
	c.done("RevertRebuild of a token that was not used")(r.RevertRebuild(ctx, target(vm), "token-0"))
	c.wantText(vm, "", "old")
	rebuilt := req
	rebuilt.DiskGiB++
	c.done("RebuildVM")(r.RebuildVM(ctx, rebuilt, "token-1"))
	for _, r := range []providers.Rebuilder{r, capable[providers.Rebuilder](c, c.second())} {
		c.done("RevertRebuild")(r.RevertRebuild(ctx, target(vm), "token-1"))
		c.wantAsAsked(c.find(vm.VMID), req)
		c.wantText(vm, "", "old")
		if after := c.leftovers(vm.VMID); !slices.Equal(after, before) {
			c.t.Fatalf("after RevertRebuild %v is left, before the rebuild it was %v", after, before)
		}
	}
	c.done("FinishRebuild of a reverted one")(r.FinishRebuild(ctx, target(vm), "token-1"))
	c.wantText(vm, "", "old")
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testRebuildRefused(c *contract) {
	req := c.request()
	vm, r, ctx := c.create(req), capable[providers.Rebuilder](c, c.p), c.t.Context()
	before := c.leftovers(vm.VMID)
	c.write(vm, "", "old")
	c.refused("RebuildVM without a token", providers.InvalidArgument)(r.RebuildVM(ctx, req, ""))
	bad := req
	bad.Image.Ref += "-not-there"
	c.refused("RebuildVM from an image that is not there", providers.NotFound, providers.InvalidArgument)(r.RebuildVM(ctx, bad, "token-1"))
	c.done("RevertRebuild of one that failed")(r.RevertRebuild(ctx, target(vm), "token-1"))
	if c.h.has(models.CapSnapshot) {
		s := capable[providers.Snapshotter](c, c.p)
		id := models.NewID()
		c.done("CreateSnapshot")(s.CreateSnapshot(ctx, target(vm), providers.SnapshotRequest{ID: id, Name: "s"}))
		c.refused("RebuildVM of a VM with snapshots", providers.FailedPrecondition)(r.RebuildVM(ctx, req, "token-2"))
		c.done("DeleteSnapshot")(s.DeleteSnapshot(ctx, target(vm), id))
	}
	if after := c.leftovers(vm.VMID); !slices.Equal(after, before) {
		c.t.Fatalf("after refused rebuilds %v is left, before them it was %v", after, before)
	}
	c.wantText(vm, "", "old")
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.refused("RebuildVM of a running VM", providers.FailedPrecondition)(r.RebuildVM(ctx, req, "token-3"))
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testRebuildDeleted(c *contract) {
	req := c.request()
	vm := c.create(req)
	c.done("RebuildVM")(capable[providers.Rebuilder](c, c.p).RebuildVM(c.t.Context(), req, "token-1"))
	c.remove(vm)
}
