package vsphere

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// FindVM reads a VM, with the addresses that the guest's tools have told. One that a
// clone at work is to become is not absent: it is incomplete.
func (p *Provider) FindVM(ctx context.Context, vmID string) (providers.VM, error) {
	const op = "FindVM"
	m, cloning, err := p.settled(ctx, op, vmID)
	switch {
	case err != nil:
		return providers.VM{}, err
	case m == nil && cloning != "":
		return providers.VM{VMID: vmID, Ref: refOf(vmID), Power: models.PowerStopped, Incomplete: true}, nil
	case m == nil:
		return providers.VM{}, notFound(op)
	}
	vm := m.shown()
	if m.VM.Runtime.Host == nil {
		return vm, nil
	}
	err = p.read(ctx, op, wanted{typeHost: {"name"}}, []types.ManagedObjectReference{*m.VM.Runtime.Host}, func(object any) {
		if h, ok := object.(mo.HostSystem); ok {
			vm.Node = h.Name
		}
	})
	if err != nil {
		return providers.VM{}, err
	}
	return vm, nil
}

// shown is the VM as the contract has it, without its node.
func (m *machine) shown() providers.VM {
	vm := providers.VM{
		VMID: m.Mark.VMID, Ref: refOf(m.Mark.VMID), Name: m.Mark.Name, Power: m.power(), Incomplete: m.Mark.Making,
		Addresses: m.addresses(), DataDisks: m.dataDisks(),
	}
	if m.VM.Config != nil {
		vm.VCPUs, vm.MemoryMiB = int(m.VM.Config.Hardware.NumCPU), int(m.VM.Config.Hardware.MemoryMB)
	}
	if root := m.rootDisk(); root != nil {
		vm.DiskGiB = diskSize(root)
	} else {
		vm.Incomplete = true
	}
	for _, card := range cards(&m.VM) {
		vm.MACs = append(vm.MACs, macOf(card))
	}
	return vm
}

// addresses are those that the guest's tools have told, none for a VM that does not
// run, and nil for one whose tools tell nothing.
func (m *machine) addresses() []models.Address {
	if state := m.power(); state == models.PowerStopped || state == models.PowerSuspended {
		return []models.Address{}
	}
	if m.VM.Guest == nil || len(m.VM.Guest.Net) == 0 {
		return nil
	}
	var known []string
	for _, card := range cards(&m.VM) {
		known = append(known, macOf(card))
	}
	out := []models.Address{}
	for _, nic := range m.VM.Guest.Net {
		for _, ip := range nic.IpAddress {
			if a, ok := guestAddress(nic.MacAddress, ip, known); ok {
				out = append(out, a)
			}
		}
	}
	return out
}

// guestAddress is an address that the guest tells of, if others can reach it and it
// is of an interface that the VM has: not a bridge's inside the guest.
func guestAddress(mac, ip string, known []string) (models.Address, bool) {
	mac = strings.ToLower(mac)
	a, err := netip.ParseAddr(ip)
	if err != nil || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || !slices.Contains(known, mac) {
		return models.Address{}, false
	}
	return models.Address{MAC: mac, IP: a.WithZone("").String()}, true
}
