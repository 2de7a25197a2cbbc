package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// DeleteVM powers the VM off and has the hypervisor destroy it with all of its files.
// A clone at work that is to become the VM is waited for. It works in the background.
func (p *Provider) DeleteVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	const op = "DeleteVM"
	if !vmid.Valid(t.VMID) {
		return "", fail(op, providers.InvalidArgument, nil, "the VM ID is not a UUID in its canonical form")
	}
	return boundary(p.remove(ctx, op, t.VMID))
}

func (p *Provider) remove(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	// The first look is the caller's own, so that its context counts for it.
	m, cloning, err := p.settled(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	p.stopWork(vmID, workDelete)
	if m == nil && cloning == "" {
		homes, err := p.strayHomes(ctx, op, vmID)
		if err != nil || len(homes) == 0 {
			return "", err
		}
	}
	return p.carry(ctx, op, workTask(vmID, workDelete, ""), func(ctx context.Context) *providers.Error {
		return p.removeAll(ctx, op, vmID)
	})
}

// removeLooks is how often a VM that another one is at work on is looked at anew.
const removeLooks = 5

// removeAll destroys the VM until there is none.
func (p *Provider) removeAll(ctx context.Context, op, vmID string) *providers.Error {
	for misses := 0; ; {
		m, cloning, err := p.settled(ctx, op, vmID)
		switch {
		case err != nil:
			return err
		case cloning != "":
			if err := p.ended(ctx, op, cloning); err != nil {
				return err
			}
			continue
		case m == nil:
			return p.removeHomes(ctx, op, vmID)
		}
		err = p.destroy(ctx, op, m)
		stale := isGone(err) || isFaultOf(err, &types.InvalidPowerState{})
		switch {
		case stale && misses < removeLooks:
			misses++ // it went away, or was started or stopped meanwhile
		case stale:
			return fail(op, providers.Aborted, err, "the VM was changed meanwhile")
		case err != nil:
			return err
		}
	}
}

// destroy powers a VM off and destroys it with all of its files.
func (p *Provider) destroy(ctx context.Context, op string, m *machine) *providers.Error {
	if err := m.reached(op); err != nil {
		return err
	}
	if m.power() != models.PowerStopped {
		task, err := p.powerOff(ctx, op, m)
		if err == nil {
			err = p.await(ctx, op, task)
		}
		if err != nil && !isFaultOf(err, &types.InvalidPowerState{}) {
			return err
		}
		// That took its time: what is destroyed is what is ours now.
		if m, err = p.find(ctx, op, m.Mark.VMID); err != nil || m == nil {
			return err
		}
	}
	if err := p.deleteKept(ctx, op, m); err != nil {
		return err
	}
	task, err := p.once(ctx, op, m, typeDestroy, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.Destroy_Task(ctx, c, &types.Destroy_Task{This: m.Ref})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil {
		return err
	}
	return p.await(ctx, op, task)
}

// deleteKept removes the files that the VM has beside the disks that are attached
// to it, of which the hypervisor does not know that they are its own.
func (p *Provider) deleteKept(ctx context.Context, op string, m *machine) *providers.Error {
	if err := p.stopCopy(ctx, op, m.rebuilding()); err != nil {
		return err
	}
	for _, file := range m.keptFiles() {
		if err := p.deleteFile(ctx, op, m, file); err != nil {
			return err
		}
	}
	return nil
}

// lookDelete tells by what is there whether a VM is gone.
func (p *Provider) lookDelete(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil {
		var cloning string
		var err *providers.Error
		if m, cloning, err = p.settled(ctx, op, w.VMID); err != nil {
			return providers.TaskStatus{}, err
		}
		if m == nil && cloning == "" {
			homes, err := p.strayHomes(ctx, op, w.VMID)
			if err != nil || len(homes) == 0 {
				return background.Done(nil), err
			}
		}
	}
	return providers.TaskStatus{}, interrupted(op)
}

// Leftovers lists the VM with the files of its disks, attached, kept or set aside. Files without their VM bear
// nothing that says whose they are, so they are not listed;
// the empty directory of a VM that was never made is. Aborted while a clone is
// at work that is to become the VM.
func (p *Provider) Leftovers(ctx context.Context, vmID string) ([]providers.Object, error) {
	const op = "Leftovers"
	m, cloning, err := p.settled(ctx, op, vmID)
	switch {
	case err != nil:
		return nil, err
	case cloning != "":
		return nil, fail(op, providers.Aborted, nil, "the hypervisor is at work on the VM")
	case m == nil:
		homes, err := p.strayHomes(ctx, op, vmID)
		if err != nil {
			return nil, err
		}
		var out []providers.Object
		for _, home := range homes {
			out = append(out, providers.Object{Type: "directory", Ref: home})
		}
		return out, nil
	}
	out := []providers.Object{{Type: "vm", Ref: m.Ref.Value}}
	for _, d := range devices(&m.VM) {
		if disk, ok := d.(*types.VirtualDisk); ok {
			if file, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
				out = append(out, providers.Object{Type: "disk", Ref: file.GetVirtualDeviceFileBackingInfo().FileName})
			}
		}
	}
	for _, file := range m.keptFiles() {
		out = append(out, providers.Object{Type: "disk", Ref: file})
	}
	return out, nil
}
