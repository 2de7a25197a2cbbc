package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// partful is a hypervisor that has parts of its VM, and tells of each call.
type partful struct {
	*hypervisor
	disks     []providers.DataDisk
	macs      []string
	snapshots []providers.Snapshot
	// obeys says that what is asked for happens.
	obeys bool
	task  providers.TaskRef
}

func (p *partful) Open(context.Context, string) (providers.Provider, error) { return p, nil }

func (p *partful) FindVM(ctx context.Context, id string) (providers.VM, error) {
	vm, err := p.hypervisor.FindVM(ctx, id)
	vm.DataDisks, vm.MACs = p.disks, p.macs
	return vm, err
}

func (p *partful) AttachDisk(_ context.Context, _ providers.Target, d providers.DataDisk) (providers.TaskRef, error) {
	p.called("attach disk")
	if p.obeys {
		p.disks = []providers.DataDisk{d}
	}
	return p.task, nil
}

func (p *partful) DetachDisk(context.Context, providers.Target, string) (providers.TaskRef, error) {
	p.called("detach disk")
	if p.obeys && len(p.disks) > 0 {
		p.disks[0].Attached = false
	}
	return p.task, nil
}

func (p *partful) DeleteDisk(context.Context, providers.Target, string) (providers.TaskRef, error) {
	p.called("delete disk")
	if p.obeys {
		p.disks = nil
	}
	return p.task, nil
}

func (p *partful) AttachNIC(_ context.Context, _ providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	p.called("attach nic " + nic.Network.Ref + " " + nic.IPAddress)
	if p.obeys {
		p.macs = []string{nic.MAC}
	}
	return p.task, nil
}

func (p *partful) DetachNIC(context.Context, providers.Target, string) (providers.TaskRef, error) {
	p.called("detach nic")
	if p.obeys {
		p.macs = nil
	}
	return p.task, nil
}

func (p *partful) CreateSnapshot(_ context.Context, _ providers.Target, s providers.SnapshotRequest) (providers.TaskRef, error) {
	p.called("snapshot " + s.Name)
	if p.obeys {
		p.snapshots = []providers.Snapshot{{ID: s.ID, Memory: s.Memory}}
	}
	return p.task, nil
}

func (p *partful) ListSnapshots(context.Context, providers.Target) ([]providers.Snapshot, error) {
	return p.snapshots, nil
}

func (p *partful) RevertSnapshot(_ context.Context, _ providers.Target, _, token string) (providers.TaskRef, error) {
	p.called("revert " + token)
	return p.task, nil
}

func (p *partful) DeleteSnapshot(context.Context, providers.Target, string) (providers.TaskRef, error) {
	p.called("delete snapshot")
	if p.obeys {
		p.snapshots = nil
	}
	return p.task, nil
}

// SnapshotName and BoundNIC make partful the store as well.
func (p *partful) SnapshotName(context.Context, string) (string, error) { return "before", nil }

func (p *partful) BoundNIC(_ context.Context, _, mac string) (models.BoundNIC, error) {
	return models.BoundNIC{NIC: models.NIC{MAC: mac, IPAddress: "10.0.0.9"}, Binding: models.NetworkBinding{Ref: "br0"}}, nil
}

func (p *partful) env(t *testing.T) (*testsuite.TestActivityEnvironment, *activities.Parts) {
	t.Helper()
	p.there = true
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestActivityEnvironment()
	a := &activities.Parts{Providers: p, Store: p}
	env.RegisterActivity(a)
	return env, a
}

func partOf(change func(*activities.PartInput)) activities.PartInput {
	in := activities.PartInput{VMInput: vmInput()}
	change(&in)
	return in
}

func disk() activities.PartInput {
	return partOf(func(in *activities.PartInput) { in.DiskID, in.SizeGiB = "disk-1", 5 })
}

func nic() activities.PartInput {
	return partOf(func(in *activities.PartInput) { in.MAC = "02:00:00:00:00:01" })
}

func snapshot() activities.PartInput {
	return partOf(func(in *activities.PartInput) { in.SnapshotID = "snapshot-1" })
}

// TestGuestThatDoesNotLetGo: the wait is bounded, and the failure is the guest's.
func TestGuestThatDoesNotLetGo(t *testing.T) {
	for name, run := range map[string]func(*testsuite.TestActivityEnvironment, *activities.Parts) error{
		"disk": func(env *testsuite.TestActivityEnvironment, a *activities.Parts) error {
			in := disk()
			in.TimeoutSeconds = 1
			_, err := env.ExecuteActivity(a.DetachDisk, in)
			return err
		},
		"interface": func(env *testsuite.TestActivityEnvironment, a *activities.Parts) error {
			in := nic()
			in.TimeoutSeconds = 1
			_, err := env.ExecuteActivity(a.DetachNIC, in)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &partful{hypervisor: &hypervisor{}, task: "t", macs: []string{"02:00:00:00:00:01"}, disks: []providers.DataDisk{{ID: "disk-1", Attached: true}}}
			p.poll = func(providers.TaskRef) (providers.TaskStatus, error) { return providers.TaskStatus{}, nil }
			env, a := p.env(t)
			app := typeOf(t, run(env, a))
			require.Equal(t, string(models.JobGuestTimeout), app.Type())
			require.True(t, app.NonRetryable())
		})
	}
}

// TestRemovedDiskIsNotMadeAnew: the undo of a detach attaches what is there, and
// never a blank disk in the place of one that is gone.
func TestRemovedDiskIsNotMadeAnew(t *testing.T) {
	in := disk()
	in.Patient = true
	p := &partful{hypervisor: &hypervisor{}, obeys: true}
	env, a := p.env(t)
	v, err := env.ExecuteActivity(a.ReattachDisk, in)
	require.NoError(t, err)
	var out activities.PartState
	require.NoError(t, v.Get(&out))
	require.Equal(t, models.PartAbsent, out.Part)
	require.Zero(t, p.count("attach disk"))

	p.disks = []providers.DataDisk{{ID: "disk-1", SizeGiB: 5}}
	v, err = env.ExecuteActivity(a.ReattachDisk, in)
	require.NoError(t, err)
	require.NoError(t, v.Get(&out))
	require.Equal(t, models.PartPresent, out.Part)
	require.Equal(t, 1, p.count("attach disk"))
}

// TestUndoAsksWhateverItSees: the work that it undoes may still be going on.
func TestUndoAsksWhateverItSees(t *testing.T) {
	p := &partful{hypervisor: &hypervisor{}, obeys: true}
	env, a := p.env(t)
	for call, run := range map[string]func(activities.PartInput) error{
		"delete snapshot": func(in activities.PartInput) error {
			in.SnapshotID = "snapshot-1"
			_, err := env.ExecuteActivity(a.DeleteSnapshot, in)
			return err
		},
		"detach nic": func(in activities.PartInput) error {
			in.MAC = nic().MAC
			_, err := env.ExecuteActivity(a.DetachNIC, in)
			return err
		},
		"delete disk": func(in activities.PartInput) error {
			in.DiskID = "disk-1"
			_, err := env.ExecuteActivity(a.RemoveDisk, in)
			return err
		},
	} {
		require.NoError(t, run(partOf(func(in *activities.PartInput) { in.Patient = true })), call)
		require.Equal(t, 1, p.count(call), call)
	}
	require.Equal(t, 1, p.count("detach disk"))
}

// TestUndoOfAVMThatIsGone: there is nothing left to undo.
func TestUndoOfAVMThatIsGone(t *testing.T) {
	p := &partful{hypervisor: &hypervisor{}}
	env, a := p.env(t)
	p.there = false
	in := partOf(func(in *activities.PartInput) { in.Patient = true })
	for _, step := range []struct {
		act  any
		part activities.PartInput
	}{
		{a.DeleteSnapshot, activities.PartInput{VMInput: in.VMInput, SnapshotID: "s"}},
		{a.RemoveDisk, activities.PartInput{VMInput: in.VMInput, DiskID: "d"}},
		{a.ReattachDisk, activities.PartInput{VMInput: in.VMInput, DiskID: "d"}},
		{a.DetachNIC, activities.PartInput{VMInput: in.VMInput, MAC: "m"}},
		{a.AttachNIC, activities.PartInput{VMInput: in.VMInput, MAC: "m"}},
	} {
		_, err := env.ExecuteActivity(step.act, step.part)
		require.NoError(t, err)
	}
	require.NotContains(t, p.calls, "delete snapshot")
}

// TestPartsAreMade: what is there already is not asked for, and the interface has
// what the store says of it.
func TestPartsAreMade(t *testing.T) {
	p := &partful{hypervisor: &hypervisor{}, obeys: true}
	env, a := p.env(t)
	for range 2 {
		for _, step := range []struct {
			act any
			in  activities.PartInput
		}{{a.AttachDisk, disk()}, {a.AttachNIC, nic()}, {a.CreateSnapshot, snapshot()}} {
			v, err := env.ExecuteActivity(step.act, step.in)
			require.NoError(t, err)
			var out activities.PartState
			require.NoError(t, v.Get(&out))
			require.Equal(t, models.PartPresent, out.Part)
		}
	}
	for _, call := range []string{"attach disk", "attach nic br0 10.0.0.9", "snapshot before"} {
		require.Equal(t, 1, p.count(call), call)
	}
}

// TestPartReadBackBeliesSuccess: a part that is not as it was asked for is not
// made, whatever the hypervisor says.
func TestPartReadBackBeliesSuccess(t *testing.T) {
	p := &partful{hypervisor: &hypervisor{}}
	env, a := p.env(t)
	p.snapshots = []providers.Snapshot{{ID: "snapshot-1", Incomplete: true}}
	p.disks = []providers.DataDisk{{ID: "disk-1"}}
	for _, step := range []struct {
		act any
		in  activities.PartInput
	}{{a.AttachDisk, disk()}, {a.AttachNIC, nic()}, {a.CreateSnapshot, snapshot()}, {a.DeleteSnapshot, snapshot()}, {a.DeleteDisk, disk()}} {
		_, err := env.ExecuteActivity(step.act, step.in)
		app := typeOf(t, err)
		require.Equal(t, string(providers.Unknown), app.Type())
		require.False(t, app.NonRetryable())
	}
	v, err := env.ExecuteActivity(a.ObservePart, snapshot())
	require.NoError(t, err)
	var out activities.PartState
	require.NoError(t, v.Get(&out))
	require.Equal(t, models.PartBroken, out.Part)
}

// TestRevertBearsTheRunsToken: all attempts of one run ask with one.
func TestRevertBearsTheRunsToken(t *testing.T) {
	p := &partful{hypervisor: &hypervisor{power: models.PowerStopped}}
	env, a := p.env(t)
	for range 2 {
		_, err := env.ExecuteActivity(a.RevertSnapshot, snapshot())
		require.NoError(t, err)
	}
	require.Equal(t, 2, p.count("revert default-test-workflow-id/default-test-run-id"))
	p.power = models.PowerRunning
	_, err := env.ExecuteActivity(a.RevertSnapshot, snapshot())
	require.Equal(t, string(providers.Unknown), typeOf(t, err).Type(), "a VM that is back without memory is off")
}

// TestProviderWithoutTheCapability: the step says so and does nothing.
func TestProviderWithoutTheCapability(t *testing.T) {
	h := &hypervisor{there: true}
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestActivityEnvironment()
	a := &activities.Parts{Providers: h, Store: &partful{hypervisor: h}}
	env.RegisterActivity(a)
	for _, act := range []any{a.CreateSnapshot, a.RevertSnapshot, a.DeleteSnapshot} {
		_, err := env.ExecuteActivity(act, snapshot())
		app := typeOf(t, err)
		require.Equal(t, string(providers.Unimplemented), app.Type())
		require.True(t, app.NonRetryable())
	}
	_, err := env.ExecuteActivity(a.AttachDisk, disk())
	require.Equal(t, string(providers.Unimplemented), typeOf(t, err).Type())
	_, err = env.ExecuteActivity(a.CloneVM, activities.CloneInput{VMInput: vmInput(), SourceVMID: "s"})
	require.Equal(t, string(providers.Unimplemented), typeOf(t, err).Type())
	v, err := env.ExecuteActivity(a.ObservePart, snapshot())
	require.NoError(t, err)
	var out activities.PartState
	require.NoError(t, v.Get(&out))
	require.Empty(t, out.Part, "not known")
	require.Equal(t, providers.VMRef("ref-1"), out.Ref)
}
