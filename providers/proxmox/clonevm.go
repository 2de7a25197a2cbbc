package proxmox

import (
	"context"
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// CloneVM has the hypervisor copy a VM of ours in full, and sets the copy up like
// one that was made from a template. Proxmox VE copies the data disks as well: they
// are removed from the copy.
func (p *Provider) CloneVM(ctx context.Context, from providers.Target, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	const op = "CloneVM"
	ref, task, err := p.cloneVM(ctx, op, from.VMID, req)
	if err != nil {
		return "", "", elsewhere(err)
	}
	return ref, task, nil
}

func (p *Provider) cloneVM(ctx context.Context, op, from string, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, *providers.Error) {
	req.Image.Ref = "the source"
	o, err := p.check(op, req)
	if err != nil {
		return "", "", err
	}
	if from == req.VMID {
		return "", "", fail(op, providers.InvalidArgument, nil, "a VM cannot be a clone of itself")
	}
	o.rootOnly = true
	m, err := p.settled(ctx, op, req.VMID)
	if err != nil {
		return "", "", err
	}
	if m != nil {
		task, err := p.goOn(ctx, op, o, m)
		return refOf(m.VMID), task, err
	}
	s, err := p.cloneSource(ctx, op, from, req)
	if err != nil {
		return "", "", err
	}
	if err := p.checkNetworks(ctx, op, s.node(), o.nics); err != nil {
		return "", "", err
	}
	o.req.Image.CloneMode = models.CloneFull
	upid, err := p.clone(ctx, op, o, s)
	if err != nil {
		return "", "", err
	}
	task, err := p.carryOn(ctx, op, o, upid)
	if err != nil {
		return "", "", err
	}
	return p.begun(ctx, op, req.VMID, task)
}

// cloneSource is a VM of ours that can be copied to the request's node.
func (p *Provider) cloneSource(ctx context.Context, op, from string, req providers.CreateVMRequest) (source, *providers.Error) {
	m, err := p.mine(ctx, op, from)
	if err != nil {
		return source{}, err
	}
	root, _ := parseDiskConfig(m.Config[rootKey(m.Config)])
	switch {
	case m.Lock != "" && m.power() == models.PowerStopped:
		return source{}, free(op, m)
	case m.power() != models.PowerStopped || m.Mark.Making || root.volume == "":
		return source{}, fail(op, providers.FailedPrecondition, nil, "the VM has to be complete and off to be cloned")
	case root.sizeGiB() > req.DiskGiB:
		return source{}, fail(op, providers.InvalidArgument, nil, "the disk is smaller than the source's")
	}
	s := source{row: row{Node: m.Node, VMID: m.VMID}, config: m.Config}
	if req.Node != "" && req.Node != m.Node {
		s.target = req.Node
	}
	return s, p.checkNode(ctx, op, s)
}

// dropCopies removes the disks beside the root disk from a copy that is being
// made, and reads it anew where it did.
func (p *Provider) dropCopies(ctx context.Context, op string, m *machine) (*machine, *providers.Error) {
	vmID := m.Mark.VMID
	for {
		gone := slices.DeleteFunc(diskKeys(m.Config), func(key string) bool {
			d, ok := parseDiskConfig(m.Config[key])
			return !ok || d.isMedium() || key == rootKey(m.Config)
		})
		if len(gone) == 0 {
			gone = keysOf(m.Config, "unused")
		}
		if len(gone) == 0 {
			return m, nil
		}
		// What is no device any more becomes an unused disk, and then nothing.
		task, err := p.configureLong(ctx, op, m, params{"delete": gone[0]})
		if err == nil && task != "" {
			err = p.await(ctx, op, string(task))
		}
		if err != nil {
			return nil, err
		}
		if m, err = p.unlocked(ctx, op, vmID); err != nil {
			return nil, err
		}
	}
}

var _ providers.Cloner = (*Provider)(nil)
