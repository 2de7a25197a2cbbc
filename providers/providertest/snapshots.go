package providertest

import (
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func snapshotCases() []Case {
	needs := []models.Capability{models.CapSnapshot}
	return []Case{
		{Name: "SnapshotsAreMadeListedAndDeleted", run: testSnapshots, needs: needs},
		{Name: "RevertSnapshotTakesTheVMBack", run: testRevert, needs: needs},
		{Name: "RevertSnapshotTakesTheSizeBack", run: testRevertSize, needs: []models.Capability{models.CapSnapshot, models.CapResize}},
		{Name: "SnapshotsRefuseWhatTheStateForbids", run: testSnapshotRefused, needs: needs},
		{Name: "SnapshotsCarryNamesLiterally", run: testSnapshotNames, needs: needs},
		{Name: "DeleteTakesTheSnapshots", run: testSnapshotsDeleted, needs: needs},
		{Name: "SnapshotWithMemoryKeepsTheGuest", run: testSnapshotMemory, needs: []models.Capability{models.CapSnapshotMemory}},
		{Name: "SnapshotOfARunningVMsDisks", run: testSnapshotLive, needs: []models.Capability{models.CapSnapshotLive}},
	}
}

// snapshot makes a snapshot, asks once more by the other process, and finds it
// in the list.
func (c *contract) snapshot(vm providers.VM, memory bool) string {
	c.t.Helper()
	req := providers.SnapshotRequest{ID: models.NewID(), Name: "before the change", Memory: memory}
	power := c.find(vm.VMID).Power
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("CreateSnapshot")(capable[providers.Snapshotter](c, p).CreateSnapshot(c.t.Context(), target(vm), req))
		c.wantPower(vm.VMID, power)
	}
	i := slices.IndexFunc(c.snapshots(vm), func(s providers.Snapshot) bool { return s.ID == req.ID })
	if i < 0 {
		c.t.Fatal("the snapshot that was made is not listed")
	}
	if s := c.snapshots(vm)[i]; s.Incomplete || s.Memory != memory || s.CreatedAt.IsZero() {
		c.t.Fatalf("the snapshot is listed as %+v; want it complete, with its time, and memory: %v", s, memory)
	}
	return req.ID
}

func (c *contract) snapshots(vm providers.VM) []providers.Snapshot {
	c.t.Helper()
	list, err := capable[providers.Snapshotter](c, c.p).ListSnapshots(c.t.Context(), target(vm))
	c.noError("ListSnapshots", err)
	return list
}

func (c *contract) wantSnapshots(vm providers.VM, want ...string) {
	c.t.Helper()
	var got []string
	for _, s := range c.snapshots(vm) {
		got = append(got, s.ID)
	}
	if !slices.Equal(got, want) {
		c.t.Fatalf("the snapshots are %v, want %v", got, want)
	}
}

func testSnapshots(c *contract) {
	vm, s, ctx := c.create(c.request()), capable[providers.Snapshotter](c, c.p), c.t.Context()
	before := c.leftovers(vm.VMID)
	c.write(vm, "", "kept")
	c.wantSnapshots(vm)
	first, second := c.snapshot(vm, false), c.snapshot(vm, false)
	c.wantSnapshots(vm, first, second)
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("DeleteSnapshot")(capable[providers.Snapshotter](c, p).DeleteSnapshot(ctx, target(vm), first))
		c.wantSnapshots(vm, second)
	}
	c.done("DeleteSnapshot of an absent one")(s.DeleteSnapshot(ctx, target(vm), models.NewID()))
	c.wantSnapshots(vm, second)
	c.done("DeleteSnapshot")(s.DeleteSnapshot(ctx, target(vm), second))
	c.wantSnapshots(vm)
	c.wantText(vm, "", "kept")
	if after := c.leftovers(vm.VMID); !slices.Equal(after, before) {
		c.t.Fatalf("after the snapshots' end %v is left, before them it was %v", after, before)
	}
}

func testRevert(c *contract) {
	vm, s, ctx := c.create(c.request()), capable[providers.Snapshotter](c, c.p), c.t.Context()
	c.write(vm, "", "one")
	id := c.snapshot(vm, false)
	c.write(vm, "", "two")
	later := c.snapshot(vm, false)
	c.done("RevertSnapshot")(s.RevertSnapshot(ctx, target(vm), id, "token-1"))
	c.wantPower(vm.VMID, models.PowerStopped)
	c.wantText(vm, "", "one")
	c.wantSnapshots(vm, id, later)

	c.write(vm, "", "three")
	c.done("RevertSnapshot with the same token")(capable[providers.Snapshotter](c, c.second()).RevertSnapshot(ctx, target(vm), id, "token-1"))
	if !c.h.ForgetsTokens {
		c.wantText(vm, "", "three")
	}
	c.done("RevertSnapshot with another token")(s.RevertSnapshot(ctx, target(vm), id, "token-2"))
	c.wantText(vm, "", "one")
	c.done("RevertSnapshot to a later one")(s.RevertSnapshot(ctx, target(vm), later, "token-3"))
	c.wantText(vm, "", "two")
	c.refused("RevertSnapshot to one that is not there", providers.NotFound)(s.RevertSnapshot(ctx, target(vm), models.NewID(), "token-4"))
	c.wantText(vm, "", "two")
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testRevertSize(c *contract) {
	vm, s, ctx := c.create(c.request()), capable[providers.Snapshotter](c, c.p), c.t.Context()
	before := shapeOf(vm)
	id := c.snapshot(vm, false)
	to := providers.Shape{VCPUs: before.VCPUs + 1, MemoryMiB: before.MemoryMiB + 128, DiskGiB: before.DiskGiB}
	c.done("ResizeVM")(capable[providers.Resizer](c, c.p).ResizeVM(ctx, target(vm), to))
	c.wantShape(vm.VMID, to)
	c.done("RevertSnapshot")(s.RevertSnapshot(ctx, target(vm), id, "token-1"))
	c.wantShape(vm.VMID, before)
}

func testSnapshotRefused(c *contract) {
	vm, s, ctx := c.create(c.request()), capable[providers.Snapshotter](c, c.p), c.t.Context()
	ask := func(memory bool) providers.SnapshotRequest {
		return providers.SnapshotRequest{ID: models.NewID(), Name: "s", Memory: memory}
	}
	c.refused("CreateSnapshot without an ID", providers.InvalidArgument)(s.CreateSnapshot(ctx, target(vm), providers.SnapshotRequest{Name: "s"}))
	c.refused("CreateSnapshot of the memory of a stopped VM", providers.FailedPrecondition, providers.InvalidArgument)(
		s.CreateSnapshot(ctx, target(vm), ask(true)))
	c.wantSnapshots(vm)
	id := c.snapshot(vm, false)
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.refused("RevertSnapshot of a running VM to disks alone", providers.FailedPrecondition)(s.RevertSnapshot(ctx, target(vm), id, "token-1"))
	if !c.h.has(models.CapSnapshotMemory) {
		c.refused("CreateSnapshot with memory, which is not listed", providers.Unimplemented, providers.FailedPrecondition)(
			s.CreateSnapshot(ctx, target(vm), ask(true)))
	}
	if !c.h.has(models.CapSnapshotLive) {
		c.refused("CreateSnapshot of a running VM without memory, which is not listed", providers.Unimplemented, providers.FailedPrecondition)(
			s.CreateSnapshot(ctx, target(vm), ask(false)))
	}
	c.wantSnapshots(vm, id)
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testSnapshotNames(c *contract) {
	vm, s, ctx := c.create(c.request()), capable[providers.Snapshotter](c, c.p), c.t.Context()
	var ids []string
	for _, name := range []string{
		"", `</name><domain>`, `"q" 'q' &amp; ;,format=raw $(x) ../ %s 漢`, "line one\nline two", "../../etc/passwd",
	} {
		req := providers.SnapshotRequest{ID: models.NewID(), Name: name}
		task, err := s.CreateSnapshot(ctx, target(vm), req)
		if err != nil {
			c.wantCode("CreateSnapshot with a hostile name", err, providers.InvalidArgument)
			continue
		}
		c.done("CreateSnapshot")(task, err)
		ids = append(ids, req.ID)
		c.wantSnapshots(vm, ids...)
	}
}

func testSnapshotsDeleted(c *contract) {
	vm := c.create(c.request())
	c.snapshot(vm, false)
	c.snapshot(vm, false)
	c.remove(vm)
}

func testSnapshotMemory(c *contract) {
	vm, s, ctx := c.guest(), capable[providers.Snapshotter](c, c.p), c.t.Context()
	boot := c.boot(vm)
	id := c.snapshot(vm, true)
	c.wantBoot(vm, boot)
	c.forceOff(vm)
	c.done("RevertSnapshot of a stopped VM to a running one")(s.RevertSnapshot(ctx, target(vm), id, "token-1"))
	c.wantPower(vm.VMID, models.PowerRunning)
	c.wantBoot(vm, boot)
	c.done("RevertSnapshot of a running VM")(s.RevertSnapshot(ctx, target(vm), id, "token-2"))
	c.wantPower(vm.VMID, models.PowerRunning)
	c.wantBoot(vm, boot)
	c.wantSnapshots(vm, id)
	c.remove(vm)
}

func testSnapshotLive(c *contract) {
	vm, s, ctx := c.running(c.request()), capable[providers.Snapshotter](c, c.p), c.t.Context()
	id := c.snapshot(vm, false)
	c.refused("RevertSnapshot of a running VM to disks alone", providers.FailedPrecondition)(s.RevertSnapshot(ctx, target(vm), id, "token-1"))
	c.wantPower(vm.VMID, models.PowerRunning)
	c.forceOff(vm)
	c.done("RevertSnapshot")(s.RevertSnapshot(ctx, target(vm), id, "token-2"))
	c.wantPower(vm.VMID, models.PowerStopped)
}
