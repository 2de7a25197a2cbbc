package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// CreateSnapshot makes the snapshot exist, complete. The VM's power stays.
//
// Idempotent: it looks for the snapshot by its ID first. Undone by
// DeleteSnapshot.
func (a *Parts) CreateSnapshot(ctx context.Context, in PartInput) (PartState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		p, err := capability[providers.Snapshotter](w, "CreateSnapshot")
		if err != nil {
			return PartState{}, err
		}
		name, err := a.Store.SnapshotName(ctx, in.SnapshotID)
		if err != nil {
			return PartState{}, fromStore(err)
		}
		return w.change(ctx, in, partChange{done: present, act: func(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
			return p.CreateSnapshot(ctx, t, providers.SnapshotRequest{ID: in.SnapshotID, Name: name, Memory: in.Memory})
		}})
	})
}

// DeleteSnapshot makes the snapshot not exist, and proves it by a list.
//
// Idempotent: one that is not there is success. It is the undo of
// CreateSnapshot, and has none: what a snapshot kept cannot be made again.
func (a *Parts) DeleteSnapshot(ctx context.Context, in PartInput) (PartState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		p, err := capability[providers.Snapshotter](w, "DeleteSnapshot")
		if err != nil {
			return PartState{}, err
		}
		return w.change(ctx, in, partChange{done: gone, act: func(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
			return p.DeleteSnapshot(ctx, t, in.SnapshotID)
		}})
	})
}

// RevertSnapshot takes the VM back: it runs afterwards if the snapshot holds
// memory, and is off if not.
//
// Idempotent for a run of the job: all attempts ask with one token, by which the
// adapter goes back once. It has no undo: what the VM was is lost.
func (a *Parts) RevertSnapshot(ctx context.Context, in PartInput) (PartState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		p, err := capability[providers.Snapshotter](w, "RevertSnapshot")
		if err != nil {
			return PartState{}, err
		}
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			vm, err := w.provider.FindVM(ctx, in.VMID)
			if err != nil {
				return "", err
			}
			return p.RevertSnapshot(ctx, providers.Target{VMID: in.VMID, Ref: vm.Ref}, in.SnapshotID, token(ctx))
		})
		if err != nil {
			return PartState{}, err
		}
		want := models.PowerStopped
		if in.Memory {
			want = models.PowerRunning
		}
		state, err := w.readBack(ctx, in.VMID, false, want)
		return PartState{VMState: state, Part: models.PartPresent}, err
	})
}
