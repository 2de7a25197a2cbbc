package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// AttachDiskInput is recorded in history. Add fields; never rename or reuse them.
type AttachDiskInput struct {
	VMID    string
	DiskID  string
	SizeGiB int
}

// AttachDisk gives a VM a new, blank disk. One that fails or is cancelled leaves
// none.
//
//	step        undone by
//	BeginJob    SettleJob (always the last step)
//	AttachDisk  RemoveDisk
func AttachDisk(ctx workflow.Context, in AttachDiskInput) (err error) {
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
	hv, disk := j.hypervisor(), activities.PartInput{VMInput: j.input(), DiskID: in.DiskID, SizeGiB: in.SizeGiB}
	sg.Defer("AttachDisk", undoPart(hv, parts().RemoveDisk, disk, &undone))
	made, err := call(ctx, hv, parts().AttachDisk, disk)
	if err != nil {
		return err
	}
	j.reachedPart(made)
	return nil
}
