package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// MoveInput names the VM that is to be moved. An empty NodeID lets the scheduler
// choose.
type MoveInput struct {
	JobInput
	NodeID string `json:",omitempty"`
}

// MigrateInput says where a VM goes, by the hypervisor's name of the node.
type MigrateInput struct {
	VMInput
	Node string
	Live bool `json:",omitempty"`
}

// ReserveMove reserves the VM's room on another node, beside that on its own; a
// job that has reserved some keeps it. NO_CAPACITY ends the job. Undone by
// ReleaseMove.
func (a *Jobs) ReserveMove(ctx context.Context, in MoveInput) (models.Placement, error) {
	out, err := a.Store.ReserveMove(ctx, in.JobID, in.VMID, in.NodeID)
	return out, fromStore(err)
}

// ReleaseMove gives the room on the other node back, and reads that it has.
// Success when there is none.
func (a *Jobs) ReleaseMove(ctx context.Context, in JobInput) error {
	return fromStore(a.Store.ReleaseMove(ctx, in.JobID, in.VMID))
}

// MigrateVM makes the VM be on the node, whole, and reads where it is and its
// power.
//
// Idempotent: a VM that is there already is left alone, and an attempt that
// finds a task in its heartbeat waits for that task. Undone by AbortMigration.
func (a *VM) MigrateVM(ctx context.Context, in MigrateInput) (VMState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		m, err := providers.As[providers.Migrator](w.provider, "", "MigrateVM")
		if err != nil {
			return VMState{}, err
		}
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			vm, err := w.provider.FindVM(ctx, in.VMID)
			if err != nil {
				return "", err
			}
			return m.MigrateVM(ctx, providers.Target{VMID: in.VMID, Ref: vm.Ref}, providers.Migration{Node: in.Node, Live: in.Live})
		})
		if err != nil {
			return VMState{}, err
		}
		vm, err := w.find(ctx, in.VMID)
		if err == nil && (vm.Incomplete || vm.Node != in.Node) {
			err = mismatch("the provider reported success, but the VM is not where it was to go")
		}
		if err != nil {
			return VMState{}, w.count(ctx, err)
		}
		return stateOf(vm), nil
	})
}

// AbortMigration ends the migration at work, and reads that the VM is whole on
// one node, and which. Absent says that there is no VM any more.
//
// Idempotent; it is the undo of MigrateVM, and has no undo.
func (a *VM) AbortMigration(ctx context.Context, in VMInput) (VMState, error) {
	return a.step(ctx, in, func(w *work) (VMState, error) {
		m, err := providers.As[providers.Migrator](w.provider, "", "AbortMigration")
		if err != nil {
			return VMState{}, err
		}
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			return m.AbortMigration(ctx, providers.Target{VMID: in.VMID})
		})
		if providers.CodeOf(err) == providers.NotFound {
			return VMState{Absent: true}, nil
		}
		if err != nil {
			return VMState{}, err
		}
		vm, err := w.provider.FindVM(ctx, in.VMID)
		if providers.CodeOf(err) == providers.NotFound {
			return VMState{Absent: true}, nil
		}
		if err == nil && vm.Incomplete {
			err = mismatch("the provider reported the migration as ended, but the VM is not whole")
		}
		if err != nil {
			return VMState{}, w.count(ctx, err)
		}
		return stateOf(vm), nil
	})
}
