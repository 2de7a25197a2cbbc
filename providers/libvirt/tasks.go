package libvirt

import (
	"context"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// A task reference is "<work>:<VM ID>", with ":<argument>" where the work has one,
// and says all that is needed to look: libvirt has no tasks of its own to follow.
const (
	taskStop         = "stop:"
	taskCopy         = "copy:" // the root disk's volume
	taskSuspend      = "suspend:"
	taskResume       = "resume:"
	taskSnapshot     = "snapshot:"        // the snapshot's ID
	taskRevert       = "revert:"          // the token
	taskDropSnapshot = "delete-snapshot:" // the snapshot's ID
	taskDetachDisk   = "detach-disk:"     // the disk's ID
	taskDetachNIC    = "detach-nic:"      // the MAC
)

func taskOf(work, vmID string, argument ...string) providers.TaskRef {
	return providers.TaskRef(strings.Join(append([]string{work + vmID}, argument...), ":"))
}

func stopTask(vmID string) providers.TaskRef { return taskOf(taskStop, vmID) }

func copyTask(vmID, root string) providers.TaskRef { return taskOf(taskCopy, vmID, root) }

// PollTask looks at the VM that a task is about. NotFound for a VM that is not
// there, and for what is no task of ours.
func (p *Provider) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	r := p.rpc("PollTask")
	if err := p.ready(ctx, r); err != nil {
		return providers.TaskStatus{}, err
	}
	if task == "" {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	work, rest, _ := strings.Cut(string(task), ":")
	vmID, argument, _ := strings.Cut(rest, ":")
	switch work + ":" {
	case taskStop:
		return p.pollStop(ctx, r, vmID)
	case taskCopy:
		return p.pollCopy(ctx, r, vmID, argument)
	case taskSuspend:
		return p.pollPower(ctx, r, task, vmID, models.PowerSuspended)
	case taskResume:
		return p.pollPower(ctx, r, task, vmID, models.PowerRunning)
	case taskSnapshot, taskDropSnapshot:
		return p.pollSnapshot(ctx, r, task, vmID, argument)
	case taskRevert:
		return p.pollRevert(ctx, r, task, vmID, argument)
	case taskDetachDisk:
		return p.pollDetach(ctx, r, vmID, p.isDisk(vmID, argument))
	case taskDetachNIC:
		return p.pollDetach(ctx, r, vmID, isNIC(argument))
	}
	return providers.TaskStatus{}, r.errorf(providers.NotFound, "no such task")
}

func (p *Provider) pollStop(ctx context.Context, r rpc, vmID string) (providers.TaskStatus, error) {
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	state, err := power(ctx, r, d.Domain)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	if state == models.PowerStopped {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	return providers.TaskStatus{}, nil
}

func (p *Provider) pollCopy(ctx context.Context, r rpc, vmID, root string) (providers.TaskStatus, error) {
	if _, ok := parseVMID(vmID); !ok || root == "" {
		return providers.TaskStatus{}, r.errorf(providers.NotFound, "no such task")
	}
	st, err := p.copyState(ctx, r, vmID, root)
	for look := 0; look < copyLooks && err == nil && st.phase == copyDead && st.err == nil; look++ {
		// Between libvirt's last byte and the removal of the marker lies a
		// moment in which a copy that went well looks dead to others. The disk is
		// set to its size in it, which a busy host takes seconds for.
		if err := p.pause(ctx, r, grace); err != nil {
			return providers.TaskStatus{}, err
		}
		st, err = p.copyState(ctx, r, vmID, root)
	}
	if err != nil {
		return providers.TaskStatus{}, err
	}
	switch st.phase {
	case copyRunning:
		return providers.TaskStatus{Progress: st.progress}, nil
	case copyDead:
		if st.err == nil {
			st.err = r.errorf(providers.Aborted, "the copy of the VM's disk was interrupted")
		}
		return providers.TaskStatus{Done: true, Progress: 100, Err: st.err}, nil
	case copyNone:
	}
	if st.root == nil {
		return providers.TaskStatus{}, r.errorf(providers.NotFound, "no such task")
	}
	return providers.TaskStatus{Done: true, Progress: 100}, nil
}

// grace is how long a process may take from the end of libvirt's work to its note
// of that: a few remote calls. One that takes longer only costs a repetition.
const grace = time.Second

// copyLooks is how often a copy that looks dead is looked at again, a grace
// apart.
const copyLooks = 5
