package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// AttachNICInput is recorded in history. Add fields; never rename or reuse them.
type AttachNICInput struct {
	VMID string
	// MAC is the interface's identity.
	MAC string
}

// AttachNIC gives a VM an interface to a network. One that fails or is cancelled
// leaves none.
//
//	step       undone by
//	BeginJob   SettleJob (always the last step)
//	AttachNIC  DetachNIC
func AttachNIC(ctx workflow.Context, in AttachNICInput) (err error) {
	j := newJob(ctx, in.VMID)
	var sg saga.Saga
	var undone models.PartTruth
	defer func() {
		if err = sg.Unwind(ctx, err); err != nil {
			j.partTruth(ctx, err, undone)
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return err
	}
	hv, nic := j.hypervisor(), activities.PartInput{VMInput: j.input(), MAC: in.MAC}
	sg.Defer("AttachNIC", undoPart(hv, parts().DetachNIC, nic, &undone))
	made, err := call(ctx, hv, parts().AttachNIC, nic)
	if err != nil {
		return err
	}
	j.reachedPart(made)
	return nil
}
