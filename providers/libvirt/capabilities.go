package libvirt

import (
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// capabilities are what this adapter can do with a driver of libvirt's. The mock
// driver resizes no volume and plugs no device.
func (s settings) capabilities() []models.Capability {
	out := []models.Capability{
		models.CapCloudInit, models.CapSuspend, models.CapRebuild, models.CapClone, models.CapSnapshot, models.CapSnapshotMemory,
	}
	if s.endpoint.driver == domainTest {
		return out
	}
	return append(out, models.CapResize, models.CapDataDisks, models.CapAttachNetwork)
}

// offers checks that the driver at hand has a capability.
func (p *Provider) offers(r rpc, c models.Capability) error {
	if slices.Contains(p.cfg.capabilities(), c) {
		return nil
	}
	return r.errorf(providers.Unimplemented, "not supported by this hypervisor")
}
