package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// able is a hypervisor that can do more than the core.
type able struct {
	*hypervisor
	size    models.Size
	broken  bool // a part of the VM is missing
	suspend func() (providers.TaskRef, error)
	resize  func(providers.Shape) (providers.TaskRef, error)
	rebuild func(req providers.CreateVMRequest, token string) (providers.TaskRef, error)
	revert  func(token string) (providers.TaskRef, error)
}

func (h *able) Open(context.Context, string) (providers.Provider, error) { return h, nil }

func (h *able) FindVM(ctx context.Context, id string) (providers.VM, error) {
	vm, err := h.hypervisor.FindVM(ctx, id)
	vm.VCPUs, vm.MemoryMiB, vm.DiskGiB, vm.Incomplete = h.size.VCPUs, h.size.MemoryMiB, h.size.DiskGiB, h.broken
	return vm, err
}

func (h *able) SuspendVM(context.Context, providers.Target) (providers.TaskRef, error) {
	h.called("suspend")
	return h.suspend()
}

func (h *able) ResumeVM(context.Context, providers.Target) (providers.TaskRef, error) {
	h.called("resume")
	h.power = models.PowerRunning
	return "", nil
}

func (h *able) ResizeVM(_ context.Context, _ providers.Target, to providers.Shape) (providers.TaskRef, error) {
	h.called("resize")
	return h.resize(to)
}

func (h *able) RebuildVM(_ context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	h.called("rebuild")
	return h.rebuild(req, token)
}

func (h *able) RevertRebuild(_ context.Context, _ providers.Target, token string) (providers.TaskRef, error) {
	h.called("revert")
	return h.revert(token)
}

func (h *able) FinishRebuild(context.Context, providers.Target, string) (providers.TaskRef, error) {
	h.called("finish")
	return "", nil
}

func newAble(power models.PowerState) *able {
	return &able{hypervisor: &hypervisor{there: true, power: power}, size: models.Size{VCPUs: 1, MemoryMiB: 128, DiskGiB: 2}}
}

// state runs a step that answers a VMState.
func state[In any](t *testing.T, h *able, step func(*activities.VM) any, in In) (out activities.VMState, err error) {
	t.Helper()
	env, _ := h.env(t)
	a := &activities.VM{Providers: h, Store: h}
	env.RegisterActivity(a)
	v, err := env.ExecuteActivity(step(a), in)
	if err == nil && v.HasValue() {
		require.NoError(t, v.Get(&out))
	}
	return out, err
}

func refusal(code providers.Code) error { return &providers.Error{Code: code, Message: "no"} }

// TestWhatAHypervisorLacks ends the job with FEATURE_NOT_SUPPORTED.
func TestWhatAHypervisorLacks(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerRunning}
	env, a := h.env(t)
	for _, step := range []func() error{
		func() error { _, err := env.ExecuteActivity(a.SuspendVM, vmInput()); return err },
		func() error { _, err := env.ExecuteActivity(a.ResumeVM, vmInput()); return err },
		func() error {
			_, err := env.ExecuteActivity(a.ResizeVM, activities.ResizeInput{VMInput: vmInput()})
			return err
		},
		func() error {
			_, err := env.ExecuteActivity(a.RebuildVM, activities.RebuildInput{VMInput: vmInput()})
			return err
		},
	} {
		failure := typeOf(t, step())
		require.True(t, failure.NonRetryable())
		require.Equal(t, models.JobFeatureNotSupported, activities.JobCode(failure.Type()))
	}
	require.Empty(t, h.calls, "and nothing was asked of it")
}

func TestSuspendReadsBack(t *testing.T) {
	h := newAble(models.PowerRunning)
	for _, power := range []models.PowerState{models.PowerSuspended, models.PowerPaused} {
		h.power = models.PowerRunning
		h.suspend = func() (providers.TaskRef, error) { h.power = power; return "", nil }
		out, err := state(t, h, func(a *activities.VM) any { return a.SuspendVM }, vmInput())
		require.NoError(t, err)
		require.Equal(t, activities.VMState{Ref: "ref-1", Power: power}, out)
	}
	out, err := state(t, h, func(a *activities.VM) any { return a.SuspendVM }, vmInput())
	require.NoError(t, err)
	require.True(t, out.NoOp)
	require.Equal(t, 2, h.count("suspend"), "what sleeps is not sent to sleep")

	h.power, h.suspend = models.PowerRunning, nothing
	_, err = state(t, h, func(a *activities.VM) any { return a.SuspendVM }, vmInput())
	require.Equal(t, string(providers.Unknown), typeOf(t, err).Type(), "it says that it is done, but the VM runs")
	h.suspend = func() (providers.TaskRef, error) { return "", refusal(providers.FailedPrecondition) }
	_, err = state(t, h, func(a *activities.VM) any { return a.SuspendVM }, vmInput())
	require.Equal(t, models.JobProviderConflict, activities.JobCode(typeOf(t, err).Type()))
}

func TestResumeOfWhatRuns(t *testing.T) {
	h := newAble(models.PowerPaused)
	out, err := state(t, h, func(a *activities.VM) any { return a.ResumeVM }, vmInput())
	require.NoError(t, err)
	require.Equal(t, activities.VMState{Ref: "ref-1", Power: models.PowerRunning}, out)
	out, err = state(t, h, func(a *activities.VM) any { return a.ResumeVM }, vmInput())
	require.NoError(t, err)
	require.True(t, out.NoOp)
	require.Equal(t, 1, h.count("resume"))
}

func resizeTo(s models.Size) activities.ResizeInput {
	return activities.ResizeInput{VMInput: vmInput(), Size: s}
}

func TestResizeReadsBack(t *testing.T) {
	h := newAble(models.PowerStopped)
	to := models.Size{VCPUs: 2, MemoryMiB: 256, DiskGiB: 4}
	h.resize = func(s providers.Shape) (providers.TaskRef, error) { h.size = models.Size(s); return "", nil }
	resize := func(a *activities.VM) any { return a.ResizeVM }
	out, err := state(t, h, resize, resizeTo(to))
	require.NoError(t, err)
	require.Equal(t, to, out.Size)
	out, err = state(t, h, resize, resizeTo(to))
	require.NoError(t, err)
	require.True(t, out.NoOp)
	require.Equal(t, 1, h.count("resize"))

	h.resize = nothing2
	_, err = state(t, h, resize, resizeTo(models.Size{VCPUs: 3, MemoryMiB: 256, DiskGiB: 4}))
	require.Equal(t, string(providers.Unknown), typeOf(t, err).Type(), "it says that it is done, but the size is another")
}

func nothing2(providers.Shape) (providers.TaskRef, error) { return "", nil }

func TestRestoreSize(t *testing.T) {
	old, grown := models.Size{VCPUs: 1, MemoryMiB: 128, DiskGiB: 2}, models.Size{VCPUs: 2, MemoryMiB: 256, DiskGiB: 4}
	back := func(h *able) func(providers.Shape) (providers.TaskRef, error) {
		return func(s providers.Shape) (providers.TaskRef, error) {
			h.size.VCPUs, h.size.MemoryMiB = s.VCPUs, s.MemoryMiB // a disk does not shrink
			return "", nil
		}
	}
	for name, c := range map[string]struct {
		power  models.PowerState
		absent bool
		resize func(*able) func(providers.Shape) (providers.TaskRef, error)
		want   models.Size
		fails  providers.Code
	}{
		"given back":           {power: models.PowerStopped, resize: back, want: models.Size{VCPUs: 1, MemoryMiB: 128, DiskGiB: 4}},
		"a running VM keeps":   {power: models.PowerRunning, resize: refusing(providers.FailedPrecondition), want: grown},
		"a stopped one waits":  {power: models.PowerStopped, resize: refusing(providers.FailedPrecondition), want: grown, fails: providers.FailedPrecondition},
		"an absent VM":         {absent: true, resize: refusing(providers.NotFound), want: grown},
		"success that is none": {power: models.PowerStopped, resize: func(*able) func(providers.Shape) (providers.TaskRef, error) { return nothing2 }, want: grown, fails: providers.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			h := newAble(c.power)
			h.size, h.there = grown, !c.absent
			h.resize = c.resize(h)
			in := resizeTo(old)
			in.Patient = true
			_, err := state(t, h, func(a *activities.VM) any { return a.RestoreSize }, in)
			if c.fails != "" {
				require.Equal(t, string(c.fails), typeOf(t, err).Type())
				require.False(t, typeOf(t, err).NonRetryable(), "an undo is tried again")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.want, h.size)
			require.Equal(t, 1, h.count("resize"), "it asks, whatever is seen before")
		})
	}
}

func refusing(code providers.Code) func(*able) func(providers.Shape) (providers.TaskRef, error) {
	return func(*able) func(providers.Shape) (providers.TaskRef, error) {
		return func(providers.Shape) (providers.TaskRef, error) { return "", refusal(code) }
	}
}

func TestRebuildAsksForTheNewImage(t *testing.T) {
	h := newAble(models.PowerStopped)
	in := activities.RebuildInput{VMInput: vmInput(), ImageID: "new", Token: "job-1"}
	h.rebuild = func(req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
		require.Equal(t, []string{"new", "vm-1", "job-1"}, []string{req.Image.Ref, req.VMID, token})
		return "", nil
	}
	rebuild := func(a *activities.VM) any { return a.RebuildVM }
	_, err := state(t, h, rebuild, in)
	require.NoError(t, err)
	h.broken = true
	_, err = state(t, h, rebuild, in)
	require.Equal(t, string(providers.Unknown), typeOf(t, err).Type(), "it says that it is done, but the VM is not whole")

	h.rebuild = func(providers.CreateVMRequest, string) (providers.TaskRef, error) {
		return "", refusal(providers.NotFound)
	}
	_, err = state(t, h, rebuild, in)
	require.Equal(t, string(models.JobImageNotReady), typeOf(t, err).Type())
	h.there = false
	_, err = state(t, h, rebuild, in)
	require.Equal(t, string(providers.NotFound), typeOf(t, err).Type(), "it is the VM that is not there")
}

func TestRevertRebuildProvesThatTheVMIsWhole(t *testing.T) {
	h := newAble(models.PowerStopped)
	in := activities.RebuildInput{VMInput: vmInput(), Token: "job-1"}
	in.Patient = true
	h.broken = true
	h.revert = func(string) (providers.TaskRef, error) { h.broken = false; return "", nil }
	revert := func(a *activities.VM) any { return a.RevertRebuild }
	_, err := state(t, h, revert, in)
	require.NoError(t, err)
	h.broken = true
	h.revert = func(string) (providers.TaskRef, error) { return "", nil }
	_, err = state(t, h, revert, in)
	require.False(t, typeOf(t, err).NonRetryable())
	h.revert = func(string) (providers.TaskRef, error) { return "", refusal(providers.NotFound) }
	_, err = state(t, h, revert, in)
	require.NoError(t, err, "there is no VM any more")
	_, err = state(t, newAble(models.PowerStopped), func(a *activities.VM) any { return a.FinishRebuild }, in)
	require.NoError(t, err)
}

func TestLeftoversAreListedWithinBounds(t *testing.T) {
	h := newAble(models.PowerStopped)
	h.left = func() ([]providers.Object, error) {
		return append([]providers.Object{{Type: "vm", Ref: "vm-7"}}, make([]providers.Object, 99)...), nil
	}
	env, _ := h.env(t)
	a := &activities.VM{Providers: h, Store: h}
	env.RegisterActivity(a)
	v, err := env.ExecuteActivity(a.ListLeftovers, vmInput())
	require.NoError(t, err)
	var out []models.Residue
	require.NoError(t, v.Get(&out))
	require.Len(t, out, 50)
	require.Equal(t, models.Residue{Type: "vm", Ref: "vm-7"}, out[0])
}
