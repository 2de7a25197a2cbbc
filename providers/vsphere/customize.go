package vsphere

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

// With the option customization_spec a guest is told its name and its addresses by a
// specification of vCenter's in place of cloud-init. The specification is part of the
// clone, so a VM has it from its birth, once. What it holds beside, as passwords, is
// handed on as vCenter gave it out, encrypted, and never looked at.

// maxComputerName is how long the name of a guest of Windows may be.
const maxComputerName = 15

// withoutCloudInit is what an order tells by the extra configuration where guests are
// customized: nothing, and what a template brings is taken away.
func withoutCloudInit(req providers.CreateVMRequest) ([]types.BaseOptionValue, error) {
	if len(req.CloudInit.UserData) > 0 || len(req.CloudInit.SSHKeys) > 0 {
		return nil, cloudinit.InputError("this provider customizes guests by a specification, which carries no user data and no SSH keys")
	}
	if _, err := cloudinit.NetworkOf(req.NICs); err != nil {
		return nil, err
	}
	return []types.BaseOptionValue{
		option(keyMetadata, ""), option(keyMetadataEncoding, ""), option(keyUserdata, ""), option(keyUserdataEncoding, ""),
	}, nil
}

// customization is the specification that a clone for an order has; nil where the
// provider uses none.
func (p *Provider) customization(ctx context.Context, op string, o order) (*types.CustomizationSpec, *providers.Error) {
	if p.cfg.customization == "" {
		return nil, nil //nolint:nilnil // nil is the use of none
	}
	var spec types.CustomizationSpec
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		noSpec := fail(op, providers.FailedPrecondition, nil, "the customization specification that this provider is configured with is not there")
		if c.ServiceContent.CustomizationSpecManager == nil {
			return noSpec
		}
		res, err := methods.GetCustomizationSpec(ctx, c, &types.GetCustomizationSpec{
			This: *c.ServiceContent.CustomizationSpecManager, Name: p.cfg.customization,
		})
		if err != nil && fault.Is(err, &types.NotFound{}) {
			return noSpec
		}
		if err == nil {
			spec = res.Returnval.Spec
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if !nameGuest(&spec, o.req) {
		return nil, fail(op, providers.FailedPrecondition, nil, "the customization specification is of a kind that carries no host name")
	}
	adapters, invalid := adaptersOf(o.req.NICs)
	if invalid != nil {
		return nil, fail(op, providers.InvalidArgument, nil, invalid.Error())
	}
	spec.NicSettingMap = adapters
	if servers := serversOf(adapters); len(servers) > 0 {
		spec.GlobalIPSettings.DnsServerList = servers
	}
	return &spec, nil
}

// nameGuest puts the guest's name into a specification, and reports whether it can
// hold one.
func nameGuest(spec *types.CustomizationSpec, req providers.CreateVMRequest) bool {
	name := hostname(req)
	switch identity := spec.Identity.(type) {
	case *types.CustomizationLinuxPrep:
		label, domain, dotted := strings.Cut(name, ".")
		identity.HostName = &types.CustomizationFixedName{Name: label}
		if dotted {
			identity.Domain = domain
		}
	case *types.CustomizationSysprep:
		identity.UserData.ComputerName = &types.CustomizationFixedName{Name: computerName(name, req.VMID)}
	default:
		return false
	}
	return true
}

// computerName is a name that a guest of Windows can have. One that is too long ends
// with a part of the VM ID.
func computerName(name, vmID string) string {
	label, _, _ := strings.Cut(name, ".")
	if len(label) <= maxComputerName {
		return label
	}
	end := "-" + vmID[len(vmID)-6:]
	return strings.TrimRight(label[:maxComputerName-len(end)], "-") + end
}

// adaptersOf are the settings of the interfaces, which vCenter tells by their order and
// their MAC. The default route of each family is that of the first interface with a
// gateway.
func adaptersOf(nics []providers.NIC) ([]types.CustomizationAdapterMapping, error) {
	var out []types.CustomizationAdapterMapping
	routed := map[bool]bool{}
	for _, nic := range nics {
		a, err := cloudinit.AddressOf(nic)
		if err != nil {
			return nil, err
		}
		m := types.CustomizationAdapterMapping{MacAddress: strings.ToLower(nic.MAC)}
		m.Adapter.DnsServerList = a.DNS
		var gateway []string
		if family := a.Gateway.Is6(); a.Gateway.IsValid() && !routed[family] {
			routed[family] = true
			gateway = []string{a.Gateway.String()}
		}
		m.Adapter.Ip = &types.CustomizationDhcpIpGenerator{}
		switch {
		case !a.Prefix.IsValid():
		case a.Prefix.Addr().Is6():
			m.Adapter.IpV6Spec = &types.CustomizationIPSettingsIpV6AddressSpec{
				Ip: []types.BaseCustomizationIpV6Generator{&types.CustomizationFixedIpV6{
					IpAddress: a.Prefix.Addr().String(), SubnetMask: int32(a.Prefix.Bits()), //nolint:gosec // at most 128
				}},
				Gateway: gateway,
			}
		default:
			m.Adapter.Ip = &types.CustomizationFixedIp{IpAddress: a.Prefix.Addr().String()}
			m.Adapter.SubnetMask, m.Adapter.Gateway = maskOf(a.Prefix), gateway
		}
		out = append(out, m)
	}
	return out, nil
}

func maskOf(prefix netip.Prefix) string {
	return net.IP(net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())).String()
}

// serversOf are the DNS servers of all interfaces: guests of Linux have one list.
func serversOf(adapters []types.CustomizationAdapterMapping) []string {
	var out []string
	seen := map[string]bool{}
	for _, a := range adapters {
		for _, server := range a.Adapter.DnsServerList {
			if !seen[server] {
				seen[server] = true
				out = append(out, server)
			}
		}
	}
	return out
}

// customizable is an error where a VM that is not a clone could not be told what was
// asked for.
func (p *Provider) customizable(op string, o order, alone bool) *providers.Error {
	if p.cfg.customization == "" {
		return nil
	}
	if alone {
		return fail(op, providers.FailedPrecondition, nil, "a host that stands alone customizes no guests")
	}
	for _, nic := range o.req.NICs {
		if nic.IPAddress != "" && isISO(o.req.Image.Ref) {
			return fail(op, providers.InvalidArgument, nil, "a guest that is installed from a medium is not customized, and cannot be given an address")
		}
	}
	return nil
}
