package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// MigrateVMInput is recorded in history. Add fields; never rename or reuse them.
type MigrateVMInput struct {
	VMID string
	// NodeID is where it goes; empty lets the scheduler choose.
	NodeID string `json:",omitempty"`
	// Live keeps the guest running; otherwise the VM is off.
	Live bool `json:",omitempty"`
	// Unchanged says that the VM was on the node when it was asked for.
	Unchanged bool `json:",omitempty"`
}

// MigrateVMResult is recorded in history.
type MigrateVMResult struct {
	NodeID string
	Power  models.PowerState
}

// MigrateVM moves a VM to another node of its cluster. Room is reserved on both
// nodes while it moves. However the job ends, the record has the node that the
// last read found the VM on, and room on that node alone: a migration that could
// not be stopped any more is one that has failed, or was cancelled, of a VM that
// is on the other node.
//
//	step         undone by
//	BeginJob     SettleJob (always the last step)
//	ReserveMove  ReleaseMove
//	MigrateVM    AbortMigration, which reads where the VM is
func MigrateVM(ctx workflow.Context, in MigrateVMInput) (out MigrateVMResult, err error) {
	j := newJob(ctx, in.VMID)
	var sg saga.Saga
	var back activities.VMState
	defer func() {
		if err = sg.Unwind(ctx, err); err != nil {
			j.moved(ctx, back)
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return out, err
	}
	if in.Unchanged {
		j.end.NoOp = true
		return out, nil
	}
	move := activities.JobInput{JobID: j.id, VMID: in.VMID}
	sg.Defer("ReserveMove", undoLocal(jobs().ReleaseMove, move))
	to, err := callLocal(ctx, jobs().ReserveMove, activities.MoveInput{JobInput: move, NodeID: in.NodeID})
	if err != nil {
		return out, err
	}
	hv, vm := j.hypervisor(), j.input()
	sg.Defer("MigrateVM", undoRead(hv, vms().AbortMigration, patient(vm), &back))
	there, err := call(ctx, hv, vms().MigrateVM, activities.MigrateInput{VMInput: vm, Node: to.NodeName, Live: in.Live})
	if err != nil {
		return out, err
	}
	j.reached(there)
	return MigrateVMResult{NodeID: to.NodeID, Power: there.Power}, nil
}

// moved makes the settlement of a migration that did not end well say where the
// VM is: what its undo read, or a read of its own.
func (j *job) moved(ctx workflow.Context, back activities.VMState) {
	switch {
	case back.Absent:
		j.end = models.Settlement{Power: models.PowerUnknown}
	case back.Node != "":
		j.end = models.Settlement{}
		j.reached(back)
	default:
		j.truth(ctx)
	}
}
