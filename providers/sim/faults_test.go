package sim_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// life is the whole life of a VM, each step driven as a workflow drives it, and
// what must hold after it, faults or not.
type life struct {
	t   *testing.T
	p   *peer
	a   providers.Provider
	req providers.CreateVMRequest
}

// drive asks, polls and reads back until the step's end holds. It goes on after
// any error that says that the same call may succeed later, and no other.
func (l *life) drive(step string, ask func(ctx context.Context) (providers.TaskRef, error), holds func(vm providers.VM, found bool) bool) {
	l.t.Helper()
	ctx := l.t.Context()
	within(l.t, 20*time.Second, step, func() bool {
		task, err := ask(ctx)
		if l.failed(step, err) {
			return false
		}
		for task != "" {
			st, err := l.a.PollTask(ctx, task)
			if providers.CodeOf(err) == providers.NotFound {
				break // forgotten: the read back decides
			}
			if l.failed("PollTask", err) {
				continue
			}
			if l.failed("the task of "+step, st.Err) {
				return false
			}
			if st.Done {
				break
			}
		}
		vm, err := l.a.FindVM(ctx, l.req.VMID)
		if found := providers.CodeOf(err) != providers.NotFound; !found || !l.failed("FindVM", err) {
			return holds(vm, found)
		}
		return false
	})
}

func (l *life) failed(what string, err error) bool {
	l.t.Helper()
	if err == nil {
		return false
	}
	require.True(l.t, providers.CodeOf(err).Retryable(), "%s: %v", what, err)
	return true
}

func powered(want models.PowerState) func(providers.VM, bool) bool {
	return func(vm providers.VM, found bool) bool { return found && vm.Power == want }
}

func (l *life) power(step string, want models.PowerState, ask func(context.Context) (providers.TaskRef, error)) {
	l.t.Helper()
	l.drive(step, ask, powered(want))
}

func (l *life) live() {
	l.t.Helper()
	vm := providers.Target{VMID: l.req.VMID}
	l.inventory()
	l.drive("create", func(ctx context.Context) (providers.TaskRef, error) {
		_, task, err := l.a.CreateVM(ctx, l.req)
		return task, err
	}, func(vm providers.VM, found bool) bool { return found && !vm.Incomplete })
	require.Len(l.t, l.p.of(l.t, l.req.VMID), 1)

	start := func(ctx context.Context) (providers.TaskRef, error) { return l.a.StartVM(ctx, vm) }
	l.power("start", models.PowerRunning, start)
	l.power("reboot", models.PowerRunning, func(ctx context.Context) (providers.TaskRef, error) {
		return l.a.RebootVM(ctx, vm, models.ModeForce, "token")
	})
	l.power("stop", models.PowerStopped, func(ctx context.Context) (providers.TaskRef, error) {
		return l.a.StopVM(ctx, vm, models.ModeGraceful)
	})
	l.power("start again", models.PowerRunning, start)
	l.power("stop by force", models.PowerStopped, func(ctx context.Context) (providers.TaskRef, error) {
		return l.a.StopVM(ctx, vm, models.ModeForce)
	})
	made := l.p.of(l.t, l.req.VMID)
	require.Len(l.t, made, 1, "the VM was made twice")
	require.Equal(l.t, 3, made[0].Boots, "two starts and one reboot")
	require.NotNil(l.t, made[0].Mark)
	require.Len(l.t, made[0].Disks, 1)

	l.drive("delete", func(ctx context.Context) (providers.TaskRef, error) { return l.a.DeleteVM(ctx, vm) },
		func(_ providers.VM, found bool) bool { return !found })
	require.Empty(l.t, l.p.of(l.t, l.req.VMID))
	left, err := l.a.Leftovers(l.t.Context(), l.req.VMID)
	require.NoError(l.t, err)
	require.Empty(l.t, left)
}

// inventory reads everything, until it can.
func (l *life) inventory() {
	l.t.Helper()
	ctx := l.t.Context()
	for _, read := range []func() error{
		func() error { _, err := l.a.Info(ctx); return err },
		func() error { _, err := l.a.ListNodes(ctx); return err },
		func() error { _, err := l.a.ListImages(ctx); return err },
		func() error { _, err := l.a.ListNetworks(ctx); return err },
		func() error { _, err := l.a.ListVMs(ctx, providers.PageRequest{}); return err },
	} {
		within(l.t, 10*time.Second, "the inventory is read", func() bool { return !l.failed("a read", read()) })
	}
}

// faultsEverywhere lists each kind of fault at each operation at which it can
// happen, early and late.
func faultsEverywhere() []simadmin.Fault {
	calls := []simadmin.Fault{
		{Kind: simadmin.FaultErrorBefore},
		{Kind: simadmin.FaultErrorBefore, Status: 500, Code: "something else"},
		{Kind: simadmin.FaultErrorAfter},
		{Kind: simadmin.FaultErrorAfter, Status: 502},
		{Kind: simadmin.FaultDropConnection},
		{Kind: simadmin.FaultHang},
		{Kind: simadmin.FaultThrottle},
		{Kind: simadmin.FaultLocked},
	}
	tasks := []simadmin.Fault{
		{Kind: simadmin.FaultSlowTask, Delay: simadmin.Duration(20 * time.Millisecond)},
		{Kind: simadmin.FaultTaskFails},
		{Kind: simadmin.FaultTaskFails, Code: "busy"},
		{Kind: simadmin.FaultForgetTask},
	}
	var out []simadmin.Fault
	add := func(op string, f simadmin.Fault, nth, count int) {
		f.Op, f.Nth, f.Count = op, nth, count
		out = append(out, f)
	}
	for op, most := range map[string]int{
		"login": 1, "info": 1, "list_nodes": 1, "list_images": 1, "list_networks": 1, "list_vms": 1,
		"find_vm": 4, "create_vm": 1, "set_power": 4, "reboot": 1, "delete_vm": 1, "poll_task": 6,
	} {
		for nth := 1; nth <= most; nth++ {
			for _, f := range calls {
				add(op, f, nth, 1)
			}
			if slices.Contains([]string{"create_vm", "set_power", "reboot", "delete_vm"}, op) {
				for _, f := range tasks {
					add(op, f, nth, 1)
				}
			}
			if op == "poll_task" {
				add(op, simadmin.Fault{Kind: simadmin.FaultForgetTask}, nth, 1)
			}
		}
		add(op, simadmin.Fault{Kind: simadmin.FaultDropConnection}, 1, 3)
	}
	for _, part := range []simadmin.Part{simadmin.PartDisk, simadmin.PartMark} {
		add("create_vm", simadmin.Fault{Kind: simadmin.FaultPartial, Part: part}, 1, 1)
		add("create_vm", simadmin.Fault{Kind: simadmin.FaultPartial, Part: part}, 1, 3)
	}
	return out
}

// TestEachFaultAtEachOperation shows that every fault is survived: the VM's life
// goes on to its end, nothing is made twice, a foreign VM is not touched, and
// the fault did happen.
func TestEachFaultAtEachOperation(t *testing.T) {
	for _, opts := range []simhv.Options{{}, {TaskDelay: 2 * time.Millisecond}} {
		for _, f := range faultsEverywhere() {
			if opts.TaskDelay > 0 && f.Nth > 2 {
				continue
			}
			name := fmt.Sprintf("%s/%s%s%s%d/nth=%d/count=%d/delay=%v", f.Op, f.Kind, f.Part, f.Code, f.Status, f.Nth, f.Count, opts.TaskDelay)
			t.Run(name, func(t *testing.T) {
				p := start(t, opts)
				p.options[sim.OptionCallTimeout] = "5s"
				if f.Kind == simadmin.FaultHang {
					p.options[sim.OptionCallTimeout] = "150ms"
				}
				probe := p.foreign(t.Context(), t, models.NewID())
				require.NoError(t, p.SetFaults(t.Context(), f))
				(&life{t: t, p: p, a: p.open(t), req: request()}).live()
				probe(t)
				reports, err := p.Faults(t.Context())
				require.NoError(t, err)
				require.Len(t, reports, 1)
				require.Equal(t, f.Count, reports[0].Fired, "the fault never happened")
				require.Zero(t, reports[0].Remaining)
			})
		}
	}
}

// TestConformanceAfterFaults runs the contract on a hypervisor that has just
// been through one of each kind.
func TestConformanceAfterFaults(t *testing.T) {
	p := start(t, simhv.Options{})
	p.options[sim.OptionCallTimeout] = "150ms"
	for _, kind := range []simadmin.FaultKind{
		simadmin.FaultErrorBefore, simadmin.FaultErrorAfter, simadmin.FaultDropConnection, simadmin.FaultHang, simadmin.FaultThrottle,
		simadmin.FaultLocked, simadmin.FaultTaskFails, simadmin.FaultForgetTask, simadmin.FaultPartial,
	} {
		require.NoError(t, p.SetFaults(t.Context(), simadmin.Fault{Op: "create_vm", Kind: kind}))
		(&life{t: t, p: p, a: p.open(t), req: request()}).live()
	}
	p.options[sim.OptionCallTimeout] = "10s"
	providertest.Run(t, p.harness())
}

// TestFaultsReachTheCallerAsCodes shows what one fault looks like from outside.
func TestFaultsReachTheCallerAsCodes(t *testing.T) {
	for _, tc := range []struct {
		fault simadmin.Fault
		want  providers.Code
		after time.Duration
	}{
		{simadmin.Fault{Kind: simadmin.FaultErrorBefore}, providers.Unavailable, 0},
		{simadmin.Fault{Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied"}, providers.PermissionDenied, 0},
		{simadmin.Fault{Kind: simadmin.FaultErrorAfter}, providers.Unavailable, 0},
		{simadmin.Fault{Kind: simadmin.FaultDropConnection}, providers.Unavailable, 0},
		{simadmin.Fault{Kind: simadmin.FaultHang}, providers.DeadlineExceeded, 0},
		{simadmin.Fault{Kind: simadmin.FaultThrottle, Delay: simadmin.Duration(1500 * time.Millisecond)}, providers.Throttled, 2 * time.Second},
		{simadmin.Fault{Kind: simadmin.FaultLocked}, providers.Aborted, 0},
	} {
		t.Run(string(tc.fault.Kind), func(t *testing.T) {
			p := start(t, simhv.Options{})
			p.options[sim.OptionCallTimeout] = "300ms"
			a := p.open(t)
			_, err := a.Info(t.Context())
			require.NoError(t, err)
			tc.fault.Op = "info"
			require.NoError(t, p.SetFaults(t.Context(), tc.fault))
			_, err = a.Info(t.Context())
			require.Equal(t, tc.want, providers.CodeOf(err), "%v", err)
			var e *providers.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.after, e.RetryAfter)
			require.NotContains(t, e.Message, p.URL[len("http://"):])
		})
	}
}

// TestALostAnswerIsFollowedByAFind shows that a create whose answer was lost is
// not made again, and is reported as made at once.
func TestALostAnswerIsFollowedByAFind(t *testing.T) {
	p := start(t, simhv.Options{})
	a, req := p.open(t), request()
	require.NoError(t, p.SetFaults(t.Context(), simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorAfter}))
	ref, _, err := a.CreateVM(t.Context(), req)
	require.NoError(t, err)
	calls, err := p.Calls(t.Context(), 0)
	require.NoError(t, err)
	var ops []string
	for _, c := range calls {
		ops = append(ops, c.Op)
	}
	require.Equal(t, []string{"login", "find_vm", "create_vm", "find_vm"}, ops)
	require.Equal(t, string(ref), p.of(t, req.VMID)[0].NativeID)
}
