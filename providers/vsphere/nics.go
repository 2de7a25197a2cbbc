package vsphere

import (
	"context"
	"net"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// AttachNIC adds an interface, to a running VM as well.
func (p *Provider) AttachNIC(ctx context.Context, t providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	return boundary(p.attachNIC(ctx, "AttachNIC", t.VMID, nic))
}

func (p *Provider) attachNIC(ctx context.Context, op, vmID string, nic providers.NIC) (providers.TaskRef, *providers.Error) {
	mac, macErr := parseMAC(nic.MAC)
	if macErr != nil {
		return "", fail(op, providers.InvalidArgument, nil, "the interface's MAC address is not one")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if m.card(mac) != nil {
		return "", p.rests(ctx, op, m)
	}
	if err := m.plugs(op); err != nil {
		return "", err
	}
	if len(cards(&m.VM)) >= maxNICs {
		return "", fail(op, providers.ResourceExhausted, nil, "the VM has no room for another interface")
	}
	backing, err := p.backing(ctx, op, m, nic.Network.Ref)
	if err != nil {
		return "", err
	}
	nic.MAC = mac
	told, tellErr := m.toldOf(nic)
	if tellErr != nil {
		return "", fail(op, providers.InvalidArgument, nil, tellErr.Error())
	}
	return p.reconfigVM(ctx, op, m, types.VirtualMachineConfigSpec{
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{newCard(nic, backing, newKey(0))}, ExtraConfig: told,
	})
}

// DetachNIC removes an interface. The hypervisor takes it from a running guest
// without asking.
func (p *Provider) DetachNIC(ctx context.Context, t providers.Target, mac string) (providers.TaskRef, error) {
	return boundary(p.detachNIC(ctx, "DetachNIC", t.VMID, mac))
}

func (p *Provider) detachNIC(ctx context.Context, op, vmID, mac string) (providers.TaskRef, *providers.Error) {
	mac, macErr := parseMAC(mac)
	if macErr != nil {
		return "", fail(op, providers.InvalidArgument, nil, "the interface's MAC address is not one")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	card := m.card(mac)
	if card == nil {
		return "", p.rests(ctx, op, m)
	}
	if err := m.plugs(op); err != nil {
		return "", err
	}
	device, ok := card.(types.BaseVirtualDevice)
	if !ok {
		return "", fail(op, providers.Internal, nil, "the interface is no device")
	}
	return p.reconfigVM(ctx, op, m, types.VirtualMachineConfigSpec{
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{withoutDevice(device)}, ExtraConfig: m.toldWithout(mac),
	})
}

// card is the interface with a MAC, nil without one.
func (m *machine) card(mac string) types.BaseVirtualEthernetCard {
	for _, c := range cards(&m.VM) {
		if macOf(c) == mac {
			return c
		}
	}
	return nil
}

// plugs is FailedPrecondition for a VM that is asleep: its memory knows its devices.
func (m *machine) plugs(op string) *providers.Error {
	if state := m.power(); state != models.PowerRunning && state != models.PowerStopped {
		return fail(op, providers.FailedPrecondition, nil, "devices of a VM can be changed while it runs or is off")
	}
	return nil
}

// parseMAC returns the address of one interface, in lower case.
func parseMAC(s string) (string, error) {
	mac, err := net.ParseMAC(s)
	if err == nil && (len(mac) != 6 || mac[0]&1 == 1) {
		err = &net.AddrError{Err: "no address of one Ethernet interface", Addr: s}
	}
	return mac.String(), err
}

var _ providers.NICAttacher = (*Provider)(nil)
