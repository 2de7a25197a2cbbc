package libvirt

import (
	"context"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// AttachNIC is done when it returns. A host bridge is looked for only where the
// VM runs: libvirt opens it then.
func (p *Provider) AttachNIC(ctx context.Context, t providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	r := p.rpc("AttachNIC")
	if err := p.offers(r, models.CapAttachNetwork); err != nil {
		return "", err
	}
	nic, err := normalizeNIC(r, nic)
	if err != nil {
		return "", err
	}
	d, err := p.pluggable(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	if nic.Network.Type == models.NetworkNetwork {
		_, err := do(ctx, r, func(c *lv.Libvirt) (lv.Network, error) { return c.NetworkLookupByName(nic.Network.Ref) })
		if err != nil {
			return "", err
		}
	}
	x := interfaces([]providers.NIC{nic})[0]
	doc, err := x.Marshal()
	if err != nil {
		return "", r.fail(err)
	}
	err = attach(ctx, r, d, isNIC(nic.MAC), doc)
	if nic.Network.Type == models.NetworkBridge && hasNumber(err, lv.ErrSystemError) && hasCode(err, providers.FailedPrecondition) {
		return "", r.errorf(providers.NotFound, "the hypervisor has no such network")
	}
	return "", err
}

// DetachNIC is done at once for a VM that is off.
func (p *Provider) DetachNIC(ctx context.Context, t providers.Target, mac string) (providers.TaskRef, error) {
	r := p.rpc("DetachNIC")
	if err := p.offers(r, models.CapAttachNetwork); err != nil {
		return "", err
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	now, err := p.devicesOf(ctx, r, d, state == models.PowerRunning || state == models.PowerPaused)
	if err != nil {
		return "", err
	}
	is := isNIC(mac)
	if !now.has(is) {
		return "", nil
	}
	return p.unplug(ctx, r, now, state, is, taskOf(taskDetachNIC, t.VMID, mac))
}

var _ providers.NICAttacher = (*Provider)(nil)
