package providertest

import (
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func suspendCases() []Case {
	needs := []models.Capability{models.CapSuspend}
	return []Case{
		{Name: "SuspendAndResumeKeepTheGuest", run: testSuspend, needs: needs},
		{Name: "SuspendOfAStoppedVMIsRefused", run: testSuspendStopped, needs: needs},
		{Name: "ASuspendedVMCanBeStoppedAndDeleted", run: testSuspendThenStop, needs: needs},
	}
}

func testSuspend(c *contract) {
	vm, s, ctx := c.guest(), capable[providers.Suspender](c, c.p), c.t.Context()
	boot := c.boot(vm)
	for _, s := range []providers.Suspender{s, capable[providers.Suspender](c, c.second())} {
		c.done("SuspendVM")(s.SuspendVM(ctx, target(vm)))
		c.wantAsleep(vm)
	}
	for _, s := range []providers.Suspender{s, capable[providers.Suspender](c, c.second())} {
		c.done("ResumeVM")(s.ResumeVM(ctx, target(vm)))
		c.wantPower(vm.VMID, models.PowerRunning)
	}
	c.wantBoot(vm, boot)
}

func (c *contract) wantAsleep(vm providers.VM) {
	c.t.Helper()
	if power := c.find(vm.VMID).Power; !slices.Contains([]models.PowerState{models.PowerSuspended, models.PowerPaused}, power) {
		c.t.Fatalf("power = %s, want %s or %s", power, models.PowerSuspended, models.PowerPaused)
	}
}

func testSuspendStopped(c *contract) {
	vm, s, ctx := c.create(c.request()), capable[providers.Suspender](c, c.p), c.t.Context()
	c.refused("SuspendVM of a stopped VM", providers.FailedPrecondition)(s.SuspendVM(ctx, target(vm)))
	c.refused("ResumeVM of a stopped VM", providers.FailedPrecondition)(s.ResumeVM(ctx, target(vm)))
	c.wantPower(vm.VMID, models.PowerStopped)
}

func testSuspendThenStop(c *contract) {
	vm, s, ctx := c.running(c.request()), capable[providers.Suspender](c, c.p), c.t.Context()
	c.done("SuspendVM")(s.SuspendVM(ctx, target(vm)))
	c.forceOff(vm)
	c.refused("ResumeVM of what was stopped in its sleep", providers.FailedPrecondition)(s.ResumeVM(ctx, target(vm)))
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.wantPower(vm.VMID, models.PowerRunning)
	c.done("SuspendVM")(s.SuspendVM(ctx, target(vm)))
	c.wantAsleep(vm)
	c.remove(vm)
}
