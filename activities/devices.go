package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// AttachDisk makes the data disk exist, blank, and be a device of the VM.
//
// Idempotent: it looks for the disk by its ID first. Undone by RemoveDisk.
func (a *Parts) AttachDisk(ctx context.Context, in PartInput) (PartState, error) {
	return a.disk(ctx, in, "AttachDisk", func(w *work, p providers.DiskAttacher) (PartState, error) {
		return w.change(ctx, in, attaching(p, in))
	})
}

// DetachDisk makes the disk no device of the VM, and keeps what is on it.
// GUEST_TIMEOUT when the guest did not let go of it in time.
//
// Idempotent: a disk that is no device is success. Undone by ReattachDisk.
func (a *Parts) DetachDisk(ctx context.Context, in PartInput) (PartState, error) {
	return a.disk(ctx, in, "DetachDisk", func(w *work, p providers.DiskAttacher) (PartState, error) {
		return w.change(ctx, in, detaching(p, in))
	})
}

// ReattachDisk makes a disk that is still there a device of the VM again. One
// that is gone stays so: a blank one in its place would be a lie.
//
// Idempotent; it is the undo of DetachDisk, and has none.
func (a *Parts) ReattachDisk(ctx context.Context, in PartInput) (PartState, error) {
	return a.disk(ctx, in, "AttachDisk", func(w *work, p providers.DiskAttacher) (PartState, error) {
		c := attaching(p, in)
		c.done = func(s PartState) bool { return present(s) || gone(s) }
		return w.change(ctx, in, c)
	})
}

// DeleteDisk removes a disk that is no device of the VM, and proves it.
//
// Idempotent: one that is not there is success. It has no undo: what was on the
// disk cannot be made again.
func (a *Parts) DeleteDisk(ctx context.Context, in PartInput) (PartState, error) {
	return a.disk(ctx, in, "DeleteDisk", func(w *work, p providers.DiskAttacher) (PartState, error) {
		return w.change(ctx, in, deleting(p, in))
	})
}

// RemoveDisk detaches a disk, whatever time its guest takes, deletes it, and
// proves that it is gone.
//
// Idempotent; it is the undo of AttachDisk, and has none.
func (a *Parts) RemoveDisk(ctx context.Context, in PartInput) (PartState, error) {
	return a.disk(ctx, in, "DetachDisk", func(w *work, p providers.DiskAttacher) (PartState, error) {
		if out, err := w.change(ctx, in, detaching(p, in)); err != nil {
			return out, err
		}
		return w.change(ctx, in, deleting(p, in))
	})
}

// disk runs body as one attempt of a step on a data disk.
func (a *Parts) disk(ctx context.Context, in PartInput, op string, body func(*work, providers.DiskAttacher) (PartState, error)) (PartState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		p, err := capability[providers.DiskAttacher](w, op)
		if err != nil {
			return PartState{}, err
		}
		return body(w, p)
	})
}

func attaching(p providers.DiskAttacher, in PartInput) partChange {
	return partChange{done: present, act: func(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
		return p.AttachDisk(ctx, t, providers.DataDisk{ID: in.DiskID, SizeGiB: in.SizeGiB, Attached: true})
	}}
}

func detaching(p providers.DiskAttacher, in PartInput) partChange {
	return partChange{
		done: func(s PartState) bool { return !present(s) }, guest: true,
		act: func(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
			return p.DetachDisk(ctx, t, in.DiskID)
		},
	}
}

func deleting(p providers.DiskAttacher, in PartInput) partChange {
	return partChange{done: gone, act: func(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
		return p.DeleteDisk(ctx, t, in.DiskID)
	}}
}

// AttachNIC makes the interface be a device of the VM.
//
// Idempotent: it looks for the interface by its MAC first. Undone by DetachNIC;
// it is also the undo of that.
func (a *Parts) AttachNIC(ctx context.Context, in PartInput) (PartState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		p, err := capability[providers.NICAttacher](w, "AttachNIC")
		if err != nil {
			return PartState{}, err
		}
		nic, err := a.Store.BoundNIC(ctx, in.VMID, in.MAC)
		if err != nil {
			return PartState{}, fromStore(err)
		}
		done := func(s PartState) bool { return present(s) || in.Patient && s.Absent } // an undo has nothing to do for a VM that is gone
		return w.change(ctx, in, partChange{done: done, act: func(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
			return p.AttachNIC(ctx, t, nicOf(nic))
		}})
	})
}

// DetachNIC makes the interface no device of the VM. GUEST_TIMEOUT when the
// guest did not let go of it in time.
//
// Idempotent: one that is not there is success. Undone by AttachNIC; it is also
// the undo of that.
func (a *Parts) DetachNIC(ctx context.Context, in PartInput) (PartState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		p, err := capability[providers.NICAttacher](w, "DetachNIC")
		if err != nil {
			return PartState{}, err
		}
		return w.change(ctx, in, partChange{done: gone, guest: true, act: func(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
			return p.DetachNIC(ctx, t, in.MAC)
		}})
	})
}

// nicOf is an interface as an adapter is asked for it.
func nicOf(n models.BoundNIC) providers.NIC {
	return providers.NIC{
		Network: n.Binding, MAC: n.NIC.MAC, IPAddress: n.NIC.IPAddress,
		PrefixLength: n.PrefixLength, Gateway: n.Gateway, DNSServers: n.DNSServers,
	}
}
