package libvirt

import (
	"context"
	"net"
	"slices"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// describe completes what inspect has read with power, sizes, parts, data disks
// and addresses. volumes are the VM's, among others.
func (p *Provider) describe(ctx context.Context, r rpc, d domain, node string, volumes []lv.StorageVol) (providers.VM, error) {
	vm := providers.VM{VMID: d.mark.VMID, Ref: providers.VMRef(d.mark.VMID), Name: d.mark.Name, Node: node, MACs: d.macs}
	var err error
	if vm.Power, err = power(ctx, r, d.Domain); err != nil {
		return vm, err
	}
	type size struct {
		kib  uint64
		cpus uint16
	}
	s, err := do(ctx, r, func(c *lv.Libvirt) (size, error) {
		_, maxKiB, _, cpus, _, err := c.DomainGetInfo(d.Domain)
		return size{maxKiB, cpus}, err
	})
	if err != nil {
		return vm, err
	}
	vm.VCPUs, vm.MemoryMiB = int(s.cpus), int(s.kib/1024) //nolint:gosec // a VM has less memory than that
	if vm.DiskGiB, vm.Incomplete, err = p.parts(ctx, r, d); err != nil {
		return vm, err
	}
	if vm.DataDisks, err = p.dataDisks(ctx, r, d, volumes); err != nil {
		return vm, err
	}
	vm.Addresses = []models.Address{}
	if vm.Power == models.PowerRunning {
		if vm.Addresses, err = addresses(ctx, r, d); err != nil {
			return vm, err
		}
	}
	return vm, nil
}

// parts reports the size of the root disk in GiB and whether a part is missing
// or not yet copied.
func (p *Provider) parts(ctx context.Context, r rpc, d domain) (diskGiB int, incomplete bool, err error) {
	capacity, err := do(ctx, r, func(c *lv.Libvirt) (uint64, error) {
		v, err := c.StorageVolLookupByPath(d.rootPath)
		if err != nil {
			return 0, err
		}
		_, capacity, _, err := c.StorageVolGetInfo(v)
		return capacity, err
	})
	switch {
	case isNotFound(err) || providers.CodeOf(err) == providers.FailedPrecondition:
		incomplete = true
	case err != nil:
		return 0, false, err
	}
	_, err = do(ctx, r, func(c *lv.Libvirt) (lv.StorageVol, error) { return c.StorageVolLookupByPath(d.seedPath) })
	switch {
	case isNotFound(err):
		incomplete = true
	case err != nil:
		return 0, false, err
	}
	if d.mark.CloneMode == models.CloneFull && !incomplete {
		st, err := p.copyStateOf(ctx, r, d)
		if err != nil {
			return 0, false, err
		}
		incomplete = st.phase != copyNone
	}
	return int(capacity / gib), incomplete, nil //nolint:gosec // a disk's size in GiB
}

// power reads the power state. UNKNOWN never comes from a failed read.
func power(ctx context.Context, r rpc, dom lv.Domain) (models.PowerState, error) {
	return do(ctx, r, func(c *lv.Libvirt) (models.PowerState, error) { return readPower(c, dom) })
}

// readPower looks for a saved memory by itself: a domain that is off says that it
// was saved also when the memory was thrown away since, and does not say so any
// more when its daemon was restarted.
func readPower(c *lv.Libvirt, dom lv.Domain) (models.PowerState, error) {
	code, _, err := c.DomainGetState(dom, 0)
	state := lv.DomainState(code)
	if err != nil || state != lv.DomainShutoff {
		return powerOf(state, false), err
	}
	saved, err := c.DomainHasManagedSaveImage(dom, 0)
	if hasNumber(err, lv.ErrNoSupport) {
		return powerOf(state, false), nil
	}
	return powerOf(state, saved == 1), err
}

func powerOf(state lv.DomainState, saved bool) models.PowerState {
	switch state {
	case lv.DomainRunning, lv.DomainBlocked, lv.DomainShutdown: // shutting down still runs
		return models.PowerRunning
	case lv.DomainPaused:
		return models.PowerPaused
	case lv.DomainPmsuspended:
		return models.PowerSuspended
	case lv.DomainShutoff:
		if saved {
			return models.PowerSuspended
		}
		return models.PowerStopped
	case lv.DomainCrashed:
		return models.PowerStopped
	case lv.DomainNostate:
		return models.PowerUnknown
	}
	return models.PowerUnknown
}

// addresses reads libvirt's DHCP leases and, for what is on a host bridge, the
// host's neighbour table.
func addresses(ctx context.Context, r rpc, d domain) ([]models.Address, error) {
	// Stopped since it was read, or a driver without addresses.
	none := []providers.Code{providers.FailedPrecondition, providers.Unimplemented, providers.InvalidArgument}
	out := []models.Address{}
	for _, source := range []struct {
		kind        lv.DomainInterfaceAddressesSource
		ask         bool
		dispensable []providers.Code
	}{
		{lv.DomainInterfaceAddressesSrcLease, d.networks, none},
		// libvirt 9 fails on a neighbour table that is empty ("wrong nlmsg len").
		// An address is worth less than the rest of the answer.
		{lv.DomainInterfaceAddressesSrcArp, d.bridged, append(none, providers.Unknown)},
	} {
		if !source.ask {
			continue
		}
		ifaces, err := do(ctx, r, func(c *lv.Libvirt) ([]lv.DomainInterface, error) {
			return c.DomainInterfaceAddresses(d.Domain, uint32(source.kind), 0) //nolint:gosec // a small constant
		})
		if hasCode(err, source.dispensable...) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, i := range ifaces {
			out = appendAddresses(out, i)
		}
	}
	return out, nil
}

func appendAddresses(out []models.Address, i lv.DomainInterface) []models.Address {
	mac := ""
	if len(i.Hwaddr) > 0 {
		mac = i.Hwaddr[0]
	}
	for _, a := range i.Addrs {
		address := models.Address{MAC: mac, IP: a.Addr}
		if net.ParseIP(a.Addr) != nil && !slices.Contains(out, address) {
			out = append(out, address)
		}
	}
	return out
}
