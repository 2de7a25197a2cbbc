package vsphere

import (
	"context"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Between two steps of a work the hypervisor shows nothing of it. A process that does
// not do the work itself waits that long for the next sign, before it takes the work
// for interrupted: whoever asks for it again then would be in another's way.

// maxSilence is many times what lies between two steps.
const maxSilence = 10 * time.Second

// hasSteps reports whether a kind of work is carried by a process, rather than by one
// task of the hypervisor.
func hasSteps(kind string) bool {
	switch kind {
	case workCreate, workDelete, workAttachDisk, workDeleteDisk, workRebuild, workUnbuild, workEndRebuild, workSnapshot, workSnapshots, workRevert:
		return true
	}
	return false
}

// fresh reports whether there was a sign of a work not long ago: that its reference
// was given out, or a task at the VM or at the disk that is copied for it.
func (p *Provider) fresh(ctx context.Context, op string, w workRef, m *machine) (bool, *providers.Error) {
	if !w.Since.IsZero() && time.Since(w.Since).Abs() < p.silence {
		return true, nil
	}
	if m == nil {
		return false, nil
	}
	var tasks []types.TaskInfo
	var now time.Time
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		if tasks, err = recentTasks(ctx, c, m.Ref); err != nil {
			return err
		}
		res, err := methods.GetCurrentTime(ctx, c)
		if err == nil {
			now = *res
		}
		return err
	})
	if err != nil {
		return false, err
	}
	// These are of the template, or of a disk, and not of the VM.
	others := []string{m.rebuilding().Copy}
	if w.Kind == workCreate {
		others = append(others, w.Argument)
	}
	for _, task := range others {
		if !isTask(task) {
			continue
		}
		switch info, err := p.taskInfo(ctx, op, task); {
		case err == nil:
			tasks = append(tasks, info)
		case !hasCode(err, providers.NotFound):
			return false, err
		}
	}
	for _, t := range tasks {
		if atWork(t) || t.CompleteTime != nil && now.Sub(*t.CompleteTime).Abs() < p.silence {
			return true, nil
		}
	}
	return false, nil
}
