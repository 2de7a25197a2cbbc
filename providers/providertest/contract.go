package providertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// contract is one case at work: its test, its harness and its adapter.
type contract struct {
	t *testing.T
	h Harness
	p providers.Provider
	// other is another process's adapter, see second.
	other providers.Provider
}

func newContract(t *testing.T, h Harness) *contract {
	t.Helper()
	c := &contract{t: t, h: h}
	c.p = c.open()
	return c
}

// open returns one more adapter on the same hypervisor, as another process
// would have it.
func (c *contract) open() providers.Provider {
	c.t.Helper()
	p := c.h.Open(c.t.Context(), c.t)
	if p == nil {
		c.t.Fatal("Harness.Open returned no adapter")
	}
	c.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			c.t.Errorf("Close: %v", err)
		}
	})
	return p
}

// request returns a request for a fresh VM, which is removed when the case ends.
func (c *contract) request() providers.CreateVMRequest {
	c.t.Helper()
	return c.removeAtEnd(c.h.Request(c.t))
}

func (c *contract) removeAtEnd(req providers.CreateVMRequest) providers.CreateVMRequest {
	c.t.Helper()
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), c.h.Settle)
		defer cancel()
		p := c.h.Open(ctx, c.t)
		defer func() { _ = p.Close() }()
		c.until(ctx, "the VM of this case is removed", func() bool {
			task, err := p.DeleteVM(ctx, providers.Target{VMID: req.VMID})
			if err != nil {
				return false
			}
			return c.wait(ctx, p, task) == nil
		})
	})
	return req
}

// create makes a VM of req and returns it as read back.
func (c *contract) create(req providers.CreateVMRequest) providers.VM {
	c.t.Helper()
	_, task, err := c.p.CreateVM(c.t.Context(), req)
	c.noError("CreateVM", err)
	c.settle("CreateVM", task)
	return c.find(req.VMID)
}

// running makes a VM of req and starts it.
func (c *contract) running(req providers.CreateVMRequest) providers.VM {
	c.t.Helper()
	vm := c.create(req)
	task, err := c.p.StartVM(c.t.Context(), target(vm))
	c.noError("StartVM", err)
	c.settle("StartVM", task)
	return c.wantPower(vm.VMID, models.PowerRunning)
}

func target(vm providers.VM) providers.Target {
	return providers.Target{VMID: vm.VMID, Ref: vm.Ref}
}

func (c *contract) find(vmID string) providers.VM {
	c.t.Helper()
	vm, err := c.p.FindVM(c.t.Context(), vmID)
	c.noError("FindVM", err)
	if vm.VMID != vmID {
		c.t.Fatalf("FindVM(%q) returned the VM %q", vmID, vm.VMID)
	}
	if vm.Ref == "" {
		c.t.Fatalf("FindVM(%q) returned no Ref", vmID)
	}
	return vm
}

func (c *contract) wantPower(vmID string, want models.PowerState) providers.VM {
	c.t.Helper()
	vm := c.find(vmID)
	if vm.Power != want {
		c.t.Fatalf("power = %s, want %s", vm.Power, want)
	}
	return vm
}

// wantGone proves absence: of the VM and of its parts.
func (c *contract) wantGone(vmID string) {
	c.t.Helper()
	_, err := c.p.FindVM(c.t.Context(), vmID)
	c.wantCode("FindVM of a deleted VM", err, providers.NotFound)
	left, err := c.p.Leftovers(c.t.Context(), vmID)
	c.noError("Leftovers", err)
	if len(left) != 0 {
		c.t.Fatalf("left on the hypervisor: %v", left)
	}
}

// settle waits until a task is done and fails the test when the task failed.
// Forgotten counts as done: the read back decides, as it does in a workflow.
func (c *contract) settle(op string, task providers.TaskRef) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), c.h.Settle)
	defer cancel()
	c.noError("the task of "+op, c.wait(ctx, c.p, task))
}

// within waits for a condition as long as work may take.
func (c *contract) within(what string, holds func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), c.h.Settle)
	defer cancel()
	c.until(ctx, what, holds)
}

// wait polls a task to its end, and returns why it failed.
func (c *contract) wait(ctx context.Context, p providers.Provider, task providers.TaskRef) error {
	c.t.Helper()
	if task == "" {
		return nil
	}
	var result error
	c.until(ctx, "the task is done", func() bool {
		st, err := p.PollTask(ctx, task)
		if providers.CodeOf(err) == providers.NotFound {
			return true
		}
		c.noError("PollTask", err)
		if st.Progress < 0 || st.Progress > 100 {
			c.t.Fatalf("progress = %d, want 0 to 100", st.Progress)
		}
		if st.Err != nil && !st.Done {
			c.t.Fatalf("a task at work reports the error %v", st.Err)
		}
		result = st.Err
		return st.Done
	})
	return result
}

// until waits for a condition and fails the test when ctx ends first.
func (c *contract) until(ctx context.Context, what string, holds func() bool) {
	c.t.Helper()
	tick := time.NewTicker(c.h.PollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			c.t.Fatalf("waited in vain until %s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}

func (c *contract) noError(op string, err error) {
	c.t.Helper()
	if err != nil {
		c.wellFormed(op, err)
		c.t.Fatalf("%s: %v", op, err)
	}
}

// wantCode checks that err is an error of the contract with one of the codes.
func (c *contract) wantCode(op string, err error, codes ...providers.Code) {
	c.t.Helper()
	if err == nil {
		c.t.Fatalf("%s succeeded, want the code %v", op, codes)
	}
	c.wellFormed(op, err)
	if got := providers.CodeOf(err); !slices.Contains(codes, got) {
		c.t.Fatalf("%s: code = %q, want %v: %v", op, got, codes, err)
	}
}

// wellFormed checks that err is itself a complete *providers.Error.
func (c *contract) wellFormed(op string, err error) {
	c.t.Helper()
	e, ok := err.(*providers.Error) //nolint:errorlint // the error itself must be of the type: nothing else crosses the boundary
	if !ok {
		c.t.Fatalf("%s: the error is a %T, want a *providers.Error: %v", op, err, err)
	}
	if !slices.Contains(providers.Codes(), e.Code) {
		c.t.Errorf("%s: the code %q does not exist", op, e.Code)
	}
	if e.Provider == "" || e.Op == "" || e.Message == "" {
		c.t.Errorf("%s: the error lacks its kind, operation or message: %+v", op, *e)
	}
}
