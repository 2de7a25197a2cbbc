package providertest

import (
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func testStart(c *contract) {
	vm := c.running(c.request())
	task, err := c.open().StartVM(c.t.Context(), target(vm))
	c.noError("StartVM of a running VM", err)
	c.settle("StartVM of a running VM", task)
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testStopForce(c *contract) {
	vm := c.running(c.request())
	for _, what := range []string{"a running VM", "a stopped VM"} {
		task, err := c.p.StopVM(c.t.Context(), target(vm), models.ModeForce)
		c.noError("StopVM by force of "+what, err)
		c.settle("StopVM by force of "+what, task)
		c.wantPower(vm.VMID, models.PowerStopped)
	}
	task, err := c.p.StartVM(c.t.Context(), target(vm))
	c.noError("StartVM after StopVM", err)
	c.settle("StartVM after StopVM", task)
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testStopGraceful(c *contract) {
	vm := c.running(c.removeAtEnd(c.h.GuestRequest(c.t)))
	c.obeyed("StopVM", func() (providers.TaskRef, error) { return c.p.StopVM(c.t.Context(), target(vm), models.ModeGraceful) },
		func() bool { return c.find(vm.VMID).Power == models.PowerStopped })
	c.wantPower(vm.VMID, models.PowerStopped)

	again, err := c.p.StopVM(c.t.Context(), target(vm), models.ModeGraceful)
	c.noError("StopVM of a stopped VM", err)
	c.settle("StopVM of a stopped VM", again)
	c.wantPower(vm.VMID, models.PowerStopped)
}

func testStopModes(c *contract) {
	vm := c.running(c.request())
	for _, mode := range []models.PowerMode{"", models.ModeGracefulThenForce, "nonsense"} {
		_, err := c.p.StopVM(c.t.Context(), target(vm), mode)
		c.wantCode("StopVM with another mode", err, providers.InvalidArgument)
	}
	c.wantPower(vm.VMID, models.PowerRunning)
}

func testReboot(c *contract) {
	vm := c.running(c.request())
	for _, p := range []providers.Provider{c.p, c.open()} {
		task, err := p.RebootVM(c.t.Context(), target(vm), models.ModeForce, "token-1")
		c.noError("RebootVM", err)
		c.settle("RebootVM", task)
		c.wantPower(vm.VMID, models.PowerRunning)
	}
	task, err := c.p.RebootVM(c.t.Context(), target(vm), models.ModeForce, "token-2")
	c.noError("RebootVM with another token", err)
	c.settle("RebootVM with another token", task)
	c.wantPower(vm.VMID, models.PowerRunning)
	_, err = c.p.RebootVM(c.t.Context(), target(vm), "nonsense", "token-3")
	c.wantCode("RebootVM with another mode", err, providers.InvalidArgument)
}

func testRebootStopped(c *contract) {
	vm := c.create(c.request())
	for _, mode := range []models.PowerMode{models.ModeForce, models.ModeGraceful} {
		_, err := c.p.RebootVM(c.t.Context(), target(vm), mode, "token-"+string(mode))
		c.wantCode("RebootVM of a stopped VM", err, providers.FailedPrecondition)
	}
	c.wantPower(vm.VMID, models.PowerStopped)
}
