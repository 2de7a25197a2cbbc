package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// PartRecords reads what a part of a VM is made from.
type PartRecords interface {
	Blueprints
	// SnapshotName is what the tenant calls a snapshot.
	SnapshotName(ctx context.Context, id string) (string, error)
	// BoundNIC returns an interface with what its network is where its VM is.
	BoundNIC(ctx context.Context, vmID, mac string) (models.BoundNIC, error)
}

// Parts groups the steps on snapshots, data disks and interfaces, and the one
// that copies a VM. As VM's they find before they act and read back after.
type Parts struct {
	Providers Providers
	Store     PartRecords
}

// PartInput names a part of a VM: one of the three.
type PartInput struct {
	VMInput
	SnapshotID string `json:",omitempty"`
	DiskID     string `json:",omitempty"`
	MAC        string `json:",omitempty"`
	// Memory says that the snapshot holds memory.
	Memory bool `json:",omitempty"`
	// SizeGiB is the size of the disk.
	SizeGiB int `json:",omitempty"`
	// TimeoutSeconds bounds the wait for the guest; 0 does not.
	TimeoutSeconds int `json:",omitempty"`
}

// PartState is what a step read back of a VM and of the part that it is about.
type PartState struct {
	VMState
	Part models.PartTruth `json:",omitempty"`
}

// CloneInput names a VM to make, and the one that it is copied from.
type CloneInput struct {
	VMInput
	SourceVMID string
}

// ObservePart reads the VM and the part once. It changes nothing.
func (a *Parts) ObservePart(ctx context.Context, in PartInput) (PartState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		st, err := w.part(ctx, in)
		return st, w.count(ctx, err)
	})
}

// step runs body as one attempt of a provider step.
func (a *Parts) step(ctx context.Context, in VMInput, body func(*work) (PartState, error)) (PartState, error) {
	var out PartState
	_, err := (&VM{Providers: a.Providers}).step(ctx, in, func(w *work) (VMState, error) {
		var err error
		out, err = body(w)
		return VMState{}, err
	})
	if err != nil {
		return PartState{}, err
	}
	return out, nil
}

// part reads the VM and the part fresh. A VM that is not there has no parts.
func (w *work) part(ctx context.Context, in PartInput) (PartState, error) {
	vm, err := w.provider.FindVM(ctx, in.VMID)
	if providers.CodeOf(err) == providers.NotFound {
		return PartState{VMState: VMState{Absent: true}, Part: models.PartAbsent}, nil
	}
	if err != nil {
		return PartState{}, err
	}
	out := PartState{VMState: stateOf(vm), Part: models.PartAbsent}
	switch {
	case in.SnapshotID != "":
		out.Part, err = w.snapshot(ctx, in, vm)
	case in.DiskID != "":
		if i := slices.IndexFunc(vm.DataDisks, func(d providers.DataDisk) bool { return d.ID == in.DiskID }); i >= 0 {
			out.Part = models.PartBroken
			if vm.DataDisks[i].Attached {
				out.Part = models.PartPresent
			}
		}
	case slices.Contains(vm.MACs, in.MAC):
		out.Part = models.PartPresent
	}
	return out, err
}

func (w *work) snapshot(ctx context.Context, in PartInput, vm providers.VM) (models.PartTruth, error) {
	p, err := capability[providers.Snapshotter](w, "ListSnapshots")
	if err != nil {
		return "", err
	}
	all, err := p.ListSnapshots(ctx, providers.Target{VMID: in.VMID, Ref: vm.Ref})
	if providers.CodeOf(err) == providers.NotFound {
		return models.PartAbsent, nil
	}
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(s providers.Snapshot) bool { return s.ID == in.SnapshotID })
	switch {
	case i < 0:
		return models.PartAbsent, nil
	case all[i].Incomplete:
		return models.PartBroken, nil
	}
	return models.PartPresent, nil
}

// capability is the provider as one that has an optional capability.
// Unimplemented where it lacks it.
func capability[C any](w *work, op string) (C, error) {
	return providers.As[C](w.provider, "", op)
}

// change makes the hypervisor do something to a VM's part unless it is done
// already, and reads back that it is.
func (w *work) change(ctx context.Context, in PartInput, c partChange) (PartState, error) {
	noop := false
	ask := func(ctx context.Context) (providers.TaskRef, error) {
		seen, err := w.part(ctx, in)
		if err != nil {
			return "", err
		}
		if c.done(seen) {
			noop = untouched(ctx, w)
			return "", nil
		}
		return c.act(ctx, providers.Target{VMID: in.VMID, Ref: seen.Ref})
	}
	run := func() error { return w.run(ctx, nil, ask) }
	if c.guest {
		run = func() error { return w.runWithGuest(ctx, in.TimeoutSeconds, ask) }
	}
	if err := run(); err != nil {
		return PartState{}, err
	}
	seen, err := w.part(ctx, in)
	if err == nil && !c.done(seen) {
		err = mismatch("the provider reported success, but it is not as was asked for")
	}
	if err != nil {
		return PartState{}, w.count(ctx, err)
	}
	seen.NoOp = noop
	return seen, nil
}

// partChange is a change of a VM's part.
type partChange struct {
	done func(PartState) bool
	act  func(context.Context, providers.Target) (providers.TaskRef, error)
	// guest says that the guest has to go along.
	guest bool
}

// runWithGuest is run with a guest that may not hear the first time: it is asked
// again every few seconds, until its time is over (GUEST_TIMEOUT); 0 seconds
// leave it all the time it wants.
func (w *work) runWithGuest(ctx context.Context, timeoutSeconds int, ask func(context.Context) (providers.TaskRef, error)) error {
	for {
		again := time.Now().Add(askAgain)
		until := func() time.Time {
			if timeoutSeconds == 0 {
				return again
			}
			return earlier(again, w.guestDeadline(timeoutSeconds))
		}
		err := w.run(ctx, until, ask)
		if !errors.Is(err, errTimeOver) {
			return err
		}
		if timeoutSeconds > 0 && !time.Now().Before(w.guestDeadline(timeoutSeconds)) {
			return guestTimeout()
		}
		w.note(ctx, func(p *progress) { p.Task = "" })
	}
}

// token is the identity of a change that must be made once for a run of the job.
func token(ctx context.Context) string {
	run := activity.GetInfo(ctx).WorkflowExecution
	return run.ID + "/" + run.RunID
}

func present(s PartState) bool { return s.Part == models.PartPresent }
func gone(s PartState) bool    { return s.Part == models.PartAbsent }
