package providertest

import (
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func nicCases() []Case {
	needs := []models.Capability{models.CapAttachNetwork}
	return []Case{
		{Name: "NICsAreAttachedAndDetached", run: testNICs, needs: needs},
		{Name: "NICsOfARunningVM", run: testNICsRunning, needs: needs},
		{Name: "AttachNICRefusesWhatCanNeverSucceed", run: testNICsRefused, needs: needs},
	}
}

// nic is an interface beside those of req, on the first of its networks.
func (c *contract) nic(req providers.CreateVMRequest) providers.NIC {
	c.t.Helper()
	if len(req.NICs) == 0 {
		c.t.Fatal("CapAttachNetwork is declared, but Harness.Request names no network")
	}
	id := models.NewID()
	end := id[len(id)-6:]
	return providers.NIC{Network: req.NICs[0].Network, MAC: "52:54:01:" + end[:2] + ":" + end[2:4] + ":" + end[4:]}
}

func (c *contract) wantMACs(vm providers.VM, want []string) {
	c.t.Helper()
	if got := c.find(vm.VMID).MACs; !slices.Equal(got, want) {
		c.t.Fatalf("the MACs are %v, want %v", got, want)
	}
}

func testNICs(c *contract) {
	req := c.request()
	vm, ctx := c.create(req), c.t.Context()
	nic, before := c.nic(req), macsOf(req)
	c.wantMACs(vm, before)
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("AttachNIC")(capable[providers.NICAttacher](c, p).AttachNIC(ctx, target(vm), nic))
		c.wantMACs(vm, append(slices.Clone(before), nic.MAC))
	}
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.wantMACs(vm, append(slices.Clone(before), nic.MAC))
	c.forceOff(vm)
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("DetachNIC")(capable[providers.NICAttacher](c, p).DetachNIC(ctx, target(vm), nic.MAC))
		c.wantMACs(vm, before)
	}
}

func testNICsRunning(c *contract) {
	req := c.removeAtEnd(c.h.GuestRequest(c.t))
	vm, n, ctx := c.running(req), capable[providers.NICAttacher](c, c.p), c.t.Context()
	boot, nic, before := c.boot(vm), c.nic(req), macsOf(req)
	for _, p := range []providers.Provider{c.p, c.second()} {
		c.done("AttachNIC to a running VM")(capable[providers.NICAttacher](c, p).AttachNIC(ctx, target(vm), nic))
		c.wantMACs(vm, append(slices.Clone(before), nic.MAC))
	}
	c.obeyed("DetachNIC", func() (providers.TaskRef, error) { return n.DetachNIC(ctx, target(vm), nic.MAC) },
		func() bool { return slices.Equal(c.find(vm.VMID).MACs, before) })
	c.done("DetachNIC of one that is gone")(n.DetachNIC(ctx, target(vm), nic.MAC))
	c.wantPower(vm.VMID, models.PowerRunning)
	c.wantBoot(vm, boot)
}

func testNICsRefused(c *contract) {
	req := c.request()
	vm, n, ctx := c.create(req), capable[providers.NICAttacher](c, c.p), c.t.Context()
	good := c.nic(req)
	bad := good
	bad.Network.Ref = "not-there"
	c.refused("AttachNIC to a network that is not there", providers.NotFound)(n.AttachNIC(ctx, target(vm), bad))
	for _, mac := range []string{"", "not a mac", `52:54:00:00:00:01"/>`} {
		bad = good
		bad.MAC = mac
		c.refused("AttachNIC without a MAC", providers.InvalidArgument)(n.AttachNIC(ctx, target(vm), bad))
	}
	c.wantMACs(vm, macsOf(req))
}
