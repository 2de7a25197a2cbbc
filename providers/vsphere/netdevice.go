package vsphere

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// validMACs reports whether each interface has a MAC of its own, and a network.
func validMACs(nics []providers.NIC) bool {
	seen := map[string]bool{}
	for _, nic := range nics {
		mac, err := net.ParseMAC(nic.MAC)
		if err != nil || len(mac) != 6 || mac[0]&1 == 1 || nic.Network.Ref == "" || seen[mac.String()] {
			return false
		}
		seen[mac.String()] = true
	}
	return true
}

// backingOf is what an interface on a network is backed by: a standard or a
// distributed port group that is one of those given. The network is named, or given
// by its reference.
func backingOf(
	ctx context.Context, c *vim25.Client, op, ref string, among []types.ManagedObjectReference,
) (types.BaseVirtualDeviceBackingInfo, error) {
	var all []mo.Network
	if len(among) > 0 {
		if err := property.DefaultCollector(c).Retrieve(ctx, among, []string{"name"}, &all); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(all, func(n mo.Network) bool { return n.Name == ref || n.Self.Value == ref })
	if i < 0 {
		return nil, fail(op, providers.NotFound, nil, "no such network on the node")
	}
	network, ok := object.NewReference(c, all[i].Self).(object.NetworkReference)
	if !ok {
		return nil, fail(op, providers.InvalidArgument, nil, "interfaces cannot be attached to this network")
	}
	return network.EthernetCardBackingInfo(ctx)
}

// newCard is the change that adds an interface. key tells it apart from others in
// the same change, and is negative.
func newCard(nic providers.NIC, backing types.BaseVirtualDeviceBackingInfo, key int32) types.BaseVirtualDeviceConfigSpec {
	card := &types.VirtualVmxnet3{}
	card.Key = key
	card.Backing = backing
	card.AddressType = string(types.VirtualEthernetCardMacTypeManual)
	card.MacAddress = strings.ToLower(nic.MAC)
	card.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, AllowGuestControl: true, Connected: true}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: card}
}

// backing is backingOf for a network of the host that a VM is on.
func (p *Provider) backing(ctx context.Context, op string, m *machine, ref string) (types.BaseVirtualDeviceBackingInfo, *providers.Error) {
	var out types.BaseVirtualDeviceBackingInfo
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		if m.VM.Runtime.Host == nil {
			return fail(op, providers.FailedPrecondition, nil, "the VM is on no host")
		}
		var host mo.HostSystem
		err := property.DefaultCollector(c).RetrieveOne(ctx, *m.VM.Runtime.Host, []string{"network"}, &host)
		if err == nil {
			out, err = backingOf(ctx, c, op, ref, host.Network)
		}
		return err
	})
	return out, err
}

func sameMAC(a, b string) bool {
	x, err1 := net.ParseMAC(a)
	y, err2 := net.ParseMAC(b)
	return err1 == nil && err2 == nil && x.String() == y.String()
}
