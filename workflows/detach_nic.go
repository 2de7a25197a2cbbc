package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// DetachNICInput is recorded in history. Add fields; never rename or reuse them.
type DetachNICInput struct {
	VMID string
	// MAC is the interface's identity.
	MAC string
}

// DetachNIC takes an interface from a VM; its address is given back. A guest that
// does not let go of it in time keeps it: the job fails with GUEST_TIMEOUT.
//
//	step       undone by
//	BeginJob   SettleJob (always the last step)
//	DetachNIC  AttachNIC
func DetachNIC(ctx workflow.Context, in DetachNICInput) (err error) {
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
	hv, nic := j.hypervisor(), activities.PartInput{VMInput: j.input(), MAC: in.MAC, TimeoutSeconds: guestSeconds}
	sg.Defer("DetachNIC", undoPart(hv, parts().AttachNIC, nic, &undone))
	detached, err := call(ctx, hv, parts().DetachNIC, nic)
	if err != nil {
		return err
	}
	j.reachedPart(detached)
	return nil
}
