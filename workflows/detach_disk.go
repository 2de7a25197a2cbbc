package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// DetachDiskInput is recorded in history. Add fields; never rename or reuse them.
type DetachDiskInput struct {
	VMID    string
	DiskID  string
	SizeGiB int
}

// DetachDisk takes a disk from a VM and deletes it. A guest that does not let go
// of it in time keeps it: the job fails with GUEST_TIMEOUT.
//
//	step        undone by
//	BeginJob    SettleJob (always the last step)
//	DetachDisk  ReattachDisk (which leaves one that is gone so)
//	DeleteDisk  nothing: what was on it cannot be made again
func DetachDisk(ctx workflow.Context, in DetachDiskInput) (err error) {
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
	hv := j.hypervisor()
	disk := activities.PartInput{VMInput: j.input(), DiskID: in.DiskID, SizeGiB: in.SizeGiB, TimeoutSeconds: guestSeconds}
	sg.Defer("DetachDisk", undoPart(hv, parts().ReattachDisk, disk, &undone))
	if _, err := call(ctx, hv, parts().DetachDisk, disk); err != nil {
		return err
	}
	deleted, err := call(ctx, hv, parts().DeleteDisk, disk)
	if err != nil {
		return err
	}
	j.reachedPart(deleted)
	return nil
}
