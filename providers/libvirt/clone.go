package libvirt

import (
	"context"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// CloneVM is CreateVM by full copy, with the source's root disk for the image.
// The copy takes in what stands behind that disk, so that the clone hangs on
// neither source nor image. QEMU refuses to start the source for as long as its
// disk is read.
func (p *Provider) CloneVM(ctx context.Context, source providers.Target, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	r := p.rpc("CloneVM")
	if err := p.ready(ctx, r); err != nil {
		return "", "", err
	}
	req.Image = models.ImageBinding{Format: "qcow2", CloneMode: models.CloneFull}
	req, err := normalize(r, req)
	if err != nil {
		return "", "", err
	}
	if _, ok := parseVMID(source.VMID); !ok || source.VMID == req.VMID {
		return "", "", r.errorf(providers.InvalidArgument, "the VM to clone must be another VM")
	}
	ref := providers.VMRef(req.VMID)
	done, task, err := p.existing(ctx, r, req.VMID)
	if err != nil || done {
		return ref, task, err
	}
	if err := p.checkNode(ctx, r, req.Node); err != nil {
		return "", "", err
	}
	from, err := p.cloneSource(ctx, r, source)
	if err != nil {
		return "", "", err
	}
	task, err = p.build(ctx, r, req, from)
	if err != nil {
		return "", "", err
	}
	return ref, task, nil
}

// cloneSource returns the root disk of a VM that is off and whole.
func (p *Provider) cloneSource(ctx context.Context, r rpc, source providers.Target) (rootSource, error) {
	d, state, err := p.findPower(ctx, r, source.VMID)
	if err != nil {
		return rootSource{}, err
	}
	if state != models.PowerStopped {
		return rootSource{}, r.errorf(providers.FailedPrecondition, "the VM has to be off to be cloned")
	}
	_, incomplete, err := p.parts(ctx, r, d)
	if err != nil {
		return rootSource{}, err
	}
	if incomplete {
		return rootSource{}, r.errorf(providers.FailedPrecondition, "the VM to clone lacks a part")
	}
	v, err := do(ctx, r, func(c *lv.Libvirt) (lv.StorageVol, error) { return c.StorageVolLookupByPath(d.rootPath) })
	if err != nil {
		return rootSource{}, err
	}
	facts, err := describeVolume(ctx, r, v)
	return rootSource{v, facts}, err
}

var _ providers.Cloner = (*Provider)(nil)
