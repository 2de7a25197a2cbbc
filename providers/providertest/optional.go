package providertest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// optionalCases are the rules of what not every hypervisor can do. A case runs
// where the harness declares the capability, and Info must list the same.
func optionalCases() []Case {
	return slices.Concat(
		[]Case{
			{Name: "WhatIsListedIsImplementedAndNoMore", run: testImplemented},
			{Name: "OptionalOperationsOnAbsentVMs", run: testOptionalAbsent},
			{Name: "OptionalOperationsLeaveForeignVMsAlone", run: testOptionalForeign, foreign: true},
			{Name: "ALostAnswerIsFoundOut", run: testLostAnswers, lost: true},
		},
		suspendCases(), resizeCases(), rebuildCases(), cloneCases(), snapshotCases(),
		migrationCases(), diskCases(), nicCases(), consoleCases(),
	)
}

// capable returns an adapter as one of the optional interfaces.
func capable[T any](c *contract, p providers.Provider) T {
	c.t.Helper()
	v, ok := p.(T)
	if !ok {
		c.t.Fatalf("the adapter does not implement %T, though Harness.Capabilities says so", new(T))
	}
	return v
}

// second is another adapter on the same hypervisor, as another process has it.
func (c *contract) second() providers.Provider {
	c.t.Helper()
	if c.other == nil {
		c.other = c.open()
	}
	return c.other
}

// done takes what a method returned, and has another process follow the task
// to its end: c.done("SuspendVM")(s.SuspendVM(ctx, t)).
func (c *contract) done(op string) func(providers.TaskRef, error) {
	c.t.Helper()
	return func(task providers.TaskRef, err error) {
		c.t.Helper()
		c.noError(op, err)
		c.noError("the task of "+op, c.outcome(task))
	}
}

// refused takes what a method returned and checks that it, or the task, was
// refused with one of the codes.
func (c *contract) refused(op string, codes ...providers.Code) func(providers.TaskRef, error) {
	c.t.Helper()
	return func(task providers.TaskRef, err error) {
		c.t.Helper()
		if err == nil {
			err = c.outcome(task)
		}
		c.wantCode(op, err, codes...)
	}
}

// outcome follows a task by another process, and returns why it failed.
func (c *contract) outcome(task providers.TaskRef) error {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), c.h.Settle)
	defer cancel()
	return c.wait(ctx, c.second(), task)
}

// guest makes a VM whose guest obeys, and starts it.
func (c *contract) guest() providers.VM {
	c.t.Helper()
	return c.running(c.removeAtEnd(c.h.GuestRequest(c.t)))
}

func (c *contract) forceOff(vm providers.VM) {
	c.t.Helper()
	c.done("StopVM by force")(c.p.StopVM(c.t.Context(), target(vm), models.ModeForce))
	c.wantPower(vm.VMID, models.PowerStopped)
}

// write and wantText do nothing where the harness cannot look at disks.
func (c *contract) write(vm providers.VM, diskID, text string) {
	c.t.Helper()
	if c.h.Disks != nil {
		c.h.Disks.WriteDisk(c.t.Context(), c.t, vm.VMID, diskID, text)
	}
}

func (c *contract) wantText(vm providers.VM, diskID, want string) {
	c.t.Helper()
	if c.h.Disks == nil {
		return
	}
	if got := c.h.Disks.ReadDisk(c.t.Context(), c.t, vm.VMID, diskID); got != want {
		c.t.Fatalf("on the disk %q of the VM is %q, want %q", diskID, got, want)
	}
}

// boot names the guest's boot; "" where the harness cannot tell.
func (c *contract) boot(vm providers.VM) string {
	c.t.Helper()
	if c.h.Boots == nil {
		return ""
	}
	boot := c.h.Boots.Boot(c.t.Context(), c.t, vm.VMID)
	if boot == "" {
		c.t.Fatal("Harness.Boots named no boot")
	}
	return boot
}

func (c *contract) wantBoot(vm providers.VM, want string) {
	c.t.Helper()
	if got := c.boot(vm); got != want {
		c.t.Fatalf("the guest began anew: its boot is %q, want %q", got, want)
	}
}

// wantShape checks a VM's size.
func (c *contract) wantShape(vmID string, want providers.Shape) providers.VM {
	c.t.Helper()
	vm := c.find(vmID)
	if got := shapeOf(vm); got != want {
		c.t.Fatalf("size = %+v, want %+v", got, want)
	}
	return vm
}

func shapeOf(vm providers.VM) providers.Shape {
	return providers.Shape{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB}
}

// leftovers is what belongs to a VM, sorted.
func (c *contract) leftovers(vmID string) []string {
	c.t.Helper()
	left, err := c.p.Leftovers(c.t.Context(), vmID)
	c.noError("Leftovers", err)
	out := make([]string, 0, len(left))
	for _, o := range left {
		out = append(out, o.Type+" "+o.Ref)
	}
	slices.Sort(out)
	return out
}

// remove deletes a VM and proves that nothing is left.
func (c *contract) remove(vm providers.VM) {
	c.t.Helper()
	c.done("DeleteVM")(c.p.DeleteVM(c.t.Context(), target(vm)))
	c.wantGone(vm.VMID)
}

// obeyed asks until the guest has done its part, as StopVM by ModeGraceful and
// the detaching of devices need: a guest that still boots may not hear.
func (c *contract) obeyed(op string, ask func() (providers.TaskRef, error), holds func() bool) {
	c.t.Helper()
	var task providers.TaskRef
	var asked time.Time
	c.within("the guest obeyed "+op, func() bool {
		if time.Since(asked) > c.h.AskAgain {
			var err error
			task, err = ask()
			c.noError(op, err)
			asked = time.Now()
		}
		if task == "" {
			return true
		}
		st, err := c.p.PollTask(c.t.Context(), task)
		if providers.CodeOf(err) == providers.NotFound {
			return holds()
		}
		c.noError("PollTask", err)
		c.noError("the task of "+op, st.Err)
		return st.Done
	})
	if !holds() {
		c.t.Fatalf("%s is done, but what it should make true is not", op)
	}
}

// testImplemented checks that what Info lists can be called, and that what is
// not listed says so, for a VM that is there.
func testImplemented(c *contract) {
	info, err := c.p.Info(c.t.Context())
	c.noError("Info", err)
	vm, req, ctx := c.create(c.request()), c.request(), c.t.Context()
	for _, m := range methods() {
		listed := slices.ContainsFunc(m.of, func(of models.Capability) bool { return slices.Contains(info.Capabilities, of) })
		if !listed {
			err := m.call(ctx, c.p, target(vm), req)
			if !errors.Is(err, errNotImplemented) && !(m.undo && err == nil) {
				c.wantCode(m.name+", which is not listed", err, providers.Unimplemented)
			}
			continue
		}
		err := m.call(ctx, c.p, providers.Target{VMID: models.NewID()}, req)
		if errors.Is(err, errNotImplemented) || providers.CodeOf(err) == providers.Unimplemented {
			c.t.Errorf("%v is listed, but %s says: %v", m.of, m.name, err)
		}
	}
	c.wantPower(vm.VMID, models.PowerStopped)
}

// testOptionalAbsent calls each method for a VM that is not there.
func testOptionalAbsent(c *contract) { c.wantOptionalAbsent(models.NewID()) }

func (c *contract) wantOptionalAbsent(vmID string) {
	c.t.Helper()
	req := c.request()
	for _, m := range methods() {
		if !slices.ContainsFunc(m.of, c.h.has) {
			continue
		}
		err := m.call(c.t.Context(), c.p, providers.Target{VMID: vmID}, req)
		if m.undo && err == nil {
			continue // what it would undo is not there
		}
		c.wantCode(m.name+" of an absent VM", err, providers.NotFound)
	}
	c.wantGone(vmID)
	c.wantGone(req.VMID)
}

// testOptionalForeign calls each method for somebody else's VM.
func testOptionalForeign(c *contract) {
	vmID := models.NewID()
	probe := c.h.Foreign(c.t.Context(), c.t, vmID)
	c.wantOptionalAbsent(vmID)
	probe(c.t)
}
