package providertest

import (
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func cloneCases() []Case {
	needs := []models.Capability{models.CapClone}
	return []Case{
		{Name: "CloneCopiesAStoppedVM", run: testClone, needs: needs},
		{Name: "CloneRefusesWhatItCannotCopy", run: testCloneRefused, needs: needs},
	}
}

// cloned makes a clone by one process, and asks once more by the other.
func (c *contract) cloned(source providers.VM, req providers.CreateVMRequest) providers.VM {
	c.t.Helper()
	var refs []providers.VMRef
	for _, p := range []providers.Provider{c.p, c.second()} {
		ref, task, err := capable[providers.Cloner](c, p).CloneVM(c.t.Context(), target(source), req)
		c.done("CloneVM")(task, err)
		refs = append(refs, ref)
	}
	if refs[0] == "" || refs[0] != refs[1] || refs[0] == source.Ref {
		c.t.Fatalf("CloneVM returned %q, asked again %q; the source is %q", refs[0], refs[1], source.Ref)
	}
	c.wantOne(req)
	return c.find(req.VMID)
}

func testClone(c *contract) {
	source := c.create(c.request())
	before := c.leftovers(source.VMID)
	c.write(source, "", "original")
	req := c.request()
	req.DiskGiB = source.DiskGiB + 1
	clone := c.cloned(source, req)
	c.wantText(clone, "", "original")
	c.write(clone, "", "copy")
	c.wantText(source, "", "original")
	if !slices.Equal(clone.MACs, macsOf(req)) {
		c.t.Errorf("the clone has the MACs %v, want %v", clone.MACs, macsOf(req))
	}
	c.done("StartVM of the clone")(c.p.StartVM(c.t.Context(), target(clone)))
	c.wantPower(clone.VMID, models.PowerRunning)
	c.wantPower(source.VMID, models.PowerStopped)
	c.remove(clone)
	if after := c.leftovers(source.VMID); !slices.Equal(after, before) {
		c.t.Fatalf("the clone's end changed the source: it has %v, had %v", after, before)
	}
	c.wantText(source, "", "original")
	c.done("StartVM of the source")(c.p.StartVM(c.t.Context(), target(source)))
	c.wantPower(source.VMID, models.PowerRunning)
}

func macsOf(req providers.CreateVMRequest) []string {
	var out []string
	for _, n := range req.NICs {
		out = append(out, n.MAC)
	}
	return out
}

func testCloneRefused(c *contract) {
	source, req, ctx := c.running(c.request()), c.request(), c.t.Context()
	cl := capable[providers.Cloner](c, c.p)
	refused := func(what string, source providers.Target, spoil func(*providers.CreateVMRequest), codes ...providers.Code) {
		c.t.Helper()
		bad := req
		spoil(&bad)
		_, task, err := cl.CloneVM(ctx, source, bad)
		c.refused("CloneVM "+what, codes...)(task, err)
		c.done("DeleteVM of a refused clone")(c.p.DeleteVM(ctx, providers.Target{VMID: req.VMID}))
		c.wantGone(req.VMID)
	}
	none := func(*providers.CreateVMRequest) {}
	refused("of a running VM", target(source), none, providers.FailedPrecondition)
	refused("of an absent VM", providers.Target{VMID: models.NewID()}, none, providers.NotFound)
	refused("of no VM", providers.Target{}, none, providers.InvalidArgument)
	c.forceOff(source)
	refused("without a VM ID", target(source), func(r *providers.CreateVMRequest) { r.VMID = "" }, providers.InvalidArgument)
	refused("without memory", target(source), func(r *providers.CreateVMRequest) { r.MemoryMiB = 0 }, providers.InvalidArgument)
	refused("to itself", target(source), func(r *providers.CreateVMRequest) { r.VMID = source.VMID }, providers.InvalidArgument)
	c.wantPower(source.VMID, models.PowerStopped)
}
