package vsphere

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// RevertRebuild puts the old disk and cloud-init back, and destroys the new disk, by
// one write.
func (p *Provider) RevertRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return boundary(p.revertRebuild(ctx, "RevertRebuild", t.VMID, token))
}

func (p *Provider) revertRebuild(ctx context.Context, op, vmID, token string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil || token == "" {
		return "", err
	}
	note := m.rebuilding()
	switch {
	case note.Token != token:
		return "", p.rests(ctx, op, m)
	case !note.Swapped:
	case note.Ending:
		return "", fail(op, providers.FailedPrecondition, nil, "what the rebuild set aside is being removed")
	case m.power() != models.PowerStopped:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM has to be off to be put back")
	case m.hasSnapshots():
		return "", fail(op, providers.FailedPrecondition, nil, "the VM has snapshots")
	case m.rootDisk() == nil:
		return "", fail(op, providers.FailedPrecondition, nil, "a part of the VM is missing on the hypervisor")
	}
	return p.carry(ctx, op, workTask(vmID, workUnbuild, token), func(ctx context.Context) *providers.Error {
		if note.Swapped {
			spec, err := m.putBack(op)
			if err == nil {
				_, err = p.configure(ctx, op, m, spec)
			}
			return err
		}
		return p.endRebuild(ctx, op, m, note.New)
	})
}

// putBack is the write that undoes the one of the rebuild.
func (m *machine) putBack(op string) (types.VirtualMachineConfigSpec, *providers.Error) {
	note, root := m.rebuilding(), m.rootDisk()
	spec, err := m.noteSpec(op, noteRebuild, nil)
	if err != nil {
		return spec, err
	}
	spec.DeviceChange = []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{
			Operation:     types.VirtualDeviceConfigSpecOperationRemove,
			FileOperation: types.VirtualDeviceConfigSpecFileOperationDestroy, Device: root,
		},
		inPlaceOf(root, note.Old, note.OldBytes),
	}
	var guest []types.BaseOptionValue
	for key, value := range note.Init {
		guest = append(guest, option(key, value))
	}
	spec.ExtraConfig = append(spec.ExtraConfig, changed(m.VM.Config.ExtraConfig, guest)...)
	return spec, nil
}

// stopCopy ends the copy of a disk to the new file of a rebuild, or of a VM's first
// disk, if it is at work.
func (p *Provider) stopCopy(ctx context.Context, op string, note rebuildNote) *providers.Error {
	switch {
	case note.Token == "" || note.Swapped:
		return nil
	case note.Copy == "":
		return p.copiesEnded(ctx, op)
	}
	if err := p.cancelTask(ctx, op, note.Copy); err != nil && ctx.Err() != nil {
		return err
	}
	if err := p.ended(ctx, op, note.Copy); err != nil || len(note.Left) == 0 {
		return err
	}
	return p.copiesEnded(ctx, op)
}

// copiesEnded waits until no disk is being copied. Nothing of a task tells which file
// it makes, so a file whose copy was not noted is there for good, or will never be,
// after all of them.
func (p *Provider) copiesEnded(ctx context.Context, op string) *providers.Error {
	var tasks []types.TaskInfo
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		tasks, err = recentTasks(ctx, c, *c.ServiceContent.TaskManager)
		return err
	})
	for _, t := range tasks {
		if err == nil && atWork(t) && strings.HasSuffix(t.DescriptionId, typeCopySuffix) {
			err = p.ended(ctx, op, t.Task.Value)
		}
	}
	return err
}

// cancelTask asks the hypervisor to break a task off. Nil for one that has ended.
func (p *Provider) cancelTask(ctx context.Context, op, task string) *providers.Error {
	st, err := p.pollMoref(ctx, op, task)
	if hasCode(err, providers.NotFound) || err == nil && st.Done {
		return nil
	}
	if err != nil {
		return err
	}
	err = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		_, err := methods.CancelTask(ctx, c, &types.CancelTask{This: types.ManagedObjectReference{Type: "Task", Value: task}})
		return err
	})
	if hasCode(err, providers.NotFound, providers.FailedPrecondition) {
		return nil // it ended meanwhile
	}
	return err
}

// endRebuild removes the disk that is not needed any more, and then the note. What
// is to happen is noted first, by which whoever goes on with the rebuild meanwhile
// learns that the VM was changed.
func (p *Provider) endRebuild(ctx context.Context, op string, m *machine, file string) *providers.Error {
	note := m.rebuilding()
	if !note.Ending {
		note.Ending = true
		var err *providers.Error
		if m, err = p.noted(ctx, op, m, noteRebuild, note); err != nil {
			return err
		}
	}
	if err := p.stopCopy(ctx, op, note); err != nil {
		return err
	}
	for _, file := range append(note.Left, file) {
		if err := p.deleteFile(ctx, op, m, file); err != nil {
			return err
		}
	}
	_, err := p.noted(ctx, op, m, noteRebuild, nil)
	return err
}

// FinishRebuild removes the old disk.
func (p *Provider) FinishRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return boundary(p.finishRebuild(ctx, "FinishRebuild", t.VMID, token))
}

func (p *Provider) finishRebuild(ctx context.Context, op, vmID, token string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	note := m.rebuilding()
	switch {
	case token == "" || note.Token != token:
		return "", p.rests(ctx, op, m)
	case !note.Swapped:
		return "", fail(op, providers.FailedPrecondition, nil, "the rebuild is not done")
	}
	return p.carry(ctx, op, workTask(vmID, workEndRebuild, token), func(ctx context.Context) *providers.Error {
		return p.endRebuild(ctx, op, m, note.Old)
	})
}

func lookRebuildEnded(_ context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil || m.rebuilding().Token != w.Argument {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, interrupted(op)
}
