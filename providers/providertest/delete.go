package providertest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func testDeleteStopped(c *contract) { c.deleteTwice(c.create(c.request())) }

func testDeleteRunning(c *contract) { c.deleteTwice(c.running(c.request())) }

func (c *contract) deleteTwice(vm providers.VM) {
	c.t.Helper()
	for _, what := range []string{"DeleteVM", "DeleteVM of a deleted VM"} {
		task, err := c.p.DeleteVM(c.t.Context(), target(vm))
		c.noError(what, err)
		c.settle(what, task)
		c.wantGone(vm.VMID)
	}
	if got := c.listAll(0, map[string]bool{vm.VMID: true}); len(got) != 0 {
		c.t.Errorf("the deleted VM is listed")
	}
}

func testDeleteAbsent(c *contract) {
	for _, t := range []providers.Target{{VMID: models.NewID()}, {VMID: models.NewID(), Ref: "no-such-ref"}} {
		task, err := c.p.DeleteVM(c.t.Context(), t)
		c.noError("DeleteVM of an absent VM", err)
		c.settle("DeleteVM of an absent VM", task)
	}
}

func testAbsent(c *contract) { c.wantAbsent(models.NewID()) }

// wantAbsent checks that a VM is not there for any method.
func (c *contract) wantAbsent(vmID string) {
	c.t.Helper()
	ctx, t := c.t.Context(), providers.Target{VMID: vmID}
	_, err := c.p.FindVM(ctx, vmID)
	c.wantCode("FindVM", err, providers.NotFound)
	_, err = c.p.StartVM(ctx, t)
	c.wantCode("StartVM", err, providers.NotFound)
	for _, mode := range []models.PowerMode{models.ModeGraceful, models.ModeForce} {
		_, err = c.p.StopVM(ctx, t, mode)
		c.wantCode("StopVM", err, providers.NotFound)
		_, err = c.p.RebootVM(ctx, t, mode, "token")
		c.wantCode("RebootVM", err, providers.NotFound)
	}
	left, err := c.p.Leftovers(ctx, vmID)
	c.noError("Leftovers", err)
	if len(left) != 0 {
		c.t.Errorf("Leftovers of a VM that is not there: %v", left)
	}
}

// testWrongRef shows that a stale hint leads neither astray nor to the VM that
// bears it now.
func testWrongRef(c *contract) {
	mine, other := c.running(c.request()), c.create(c.request())
	task, err := c.p.StopVM(c.t.Context(), providers.Target{VMID: mine.VMID, Ref: other.Ref}, models.ModeForce)
	c.noError("StopVM with the ref of another VM", err)
	c.settle("StopVM", task)
	c.wantPower(mine.VMID, models.PowerStopped)

	task, err = c.p.DeleteVM(c.t.Context(), providers.Target{VMID: mine.VMID, Ref: other.Ref})
	c.noError("DeleteVM with the ref of another VM", err)
	c.settle("DeleteVM", task)
	c.wantGone(mine.VMID)
	c.wantPower(other.VMID, models.PowerStopped)

	task, err = c.p.DeleteVM(c.t.Context(), providers.Target{VMID: models.NewID(), Ref: other.Ref})
	c.noError("DeleteVM of an absent VM with the ref of another", err)
	c.settle("DeleteVM", task)
	c.wantPower(other.VMID, models.PowerStopped)
}

func testForeign(c *contract) {
	vmID := models.NewID()
	probe := c.h.Foreign(c.t.Context(), c.t, vmID)
	c.wantAbsent(vmID)
	if got := c.listAll(0, map[string]bool{vmID: true}); len(got) != 0 {
		c.t.Error("a foreign VM is listed")
	}
	task, err := c.p.DeleteVM(c.t.Context(), providers.Target{VMID: vmID})
	c.noError("DeleteVM of a foreign VM", err)
	c.settle("DeleteVM of a foreign VM", task)
	probe(c.t)
}

func testForeignCreate(c *contract) {
	req := c.h.Request(c.t)
	probe := c.h.Foreign(c.t.Context(), c.t, req.VMID)
	c.removeAtEnd(req)
	_, task, err := c.p.CreateVM(c.t.Context(), req)
	if err == nil {
		c.settle("CreateVM beside a foreign VM", task)
		c.wantAsAsked(c.find(req.VMID), req)
	} else {
		c.wantCode("CreateVM over a foreign VM", err, providers.AlreadyExists)
		c.wantAbsent(req.VMID)
	}
	probe(c.t)
}

func testCancelled(c *contract) {
	vm, fresh := c.create(c.request()), c.request()
	ctx, cancel := context.WithCancel(c.t.Context())
	cancel()
	c.everyCall(ctx, vm, fresh, func(op string, err error, took time.Duration) {
		c.t.Helper()
		if err == nil {
			c.t.Errorf("%s succeeded under a cancelled context", op)
			return
		}
		c.wellFormed(op, err)
		if !errors.Is(err, context.Canceled) {
			c.t.Errorf("%s: %v does not wrap context.Canceled", op, err)
		}
		if took > time.Second {
			c.t.Errorf("%s took %v under a cancelled context", op, took)
		}
	})
	c.wantPower(vm.VMID, models.PowerStopped)
	c.wantGone(fresh.VMID)
}

func testClosed(c *contract) {
	vm, fresh := c.create(c.request()), c.request()
	p := c.p
	c.p = c.h.Open(c.t.Context(), c.t)
	c.noError("Close", c.p.Close())
	c.noError("Close once more", c.p.Close())
	c.everyCall(c.t.Context(), vm, fresh, func(op string, err error, _ time.Duration) {
		c.t.Helper()
		c.wantCode(op+" after Close", err, providers.Unavailable)
	})
	c.p = p
	c.wantPower(vm.VMID, models.PowerStopped)
	c.wantGone(fresh.VMID)
}

// everyCall makes each call of the contract once, on a VM that exists and on one
// to make, and hands its error to check.
func (c *contract) everyCall(
	ctx context.Context, vm providers.VM, fresh providers.CreateVMRequest, check func(op string, err error, took time.Duration),
) {
	c.t.Helper()
	type call struct {
		op string
		do func() error
	}
	p, t := c.p, target(vm)
	calls := []call{
		{"Info", func() error { _, err := p.Info(ctx); return err }},
		{"ListNodes", func() error { _, err := p.ListNodes(ctx); return err }},
		{"ListImages", func() error { _, err := p.ListImages(ctx); return err }},
		{"ListNetworks", func() error { _, err := p.ListNetworks(ctx); return err }},
		{"ListVMs", func() error { _, err := p.ListVMs(ctx, providers.PageRequest{}); return err }},
		{"FindVM", func() error { _, err := p.FindVM(ctx, vm.VMID); return err }},
		{"CreateVM", func() error { _, _, err := p.CreateVM(ctx, fresh); return err }},
		{"StartVM", func() error { _, err := p.StartVM(ctx, t); return err }},
		{"StopVM", func() error { _, err := p.StopVM(ctx, t, models.ModeForce); return err }},
		{"RebootVM", func() error { _, err := p.RebootVM(ctx, t, models.ModeForce, "token"); return err }},
		{"DeleteVM", func() error { _, err := p.DeleteVM(ctx, t); return err }},
		{"Leftovers", func() error { _, err := p.Leftovers(ctx, vm.VMID); return err }},
		{"PollTask", func() error { _, err := p.PollTask(ctx, "task"); return err }},
	}
	for _, m := range methods() {
		if slices.ContainsFunc(m.of, c.h.has) {
			calls = append(calls, call{m.name, func() error { return m.call(ctx, p, t, fresh) }})
		}
	}
	for _, call := range calls {
		began := time.Now()
		err := call.do()
		check(call.op, err, time.Since(began))
	}
}
