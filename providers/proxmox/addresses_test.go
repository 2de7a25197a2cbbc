package proxmox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// TestAnAttachedInterfaceIsTold attaches one to a VM that is off and one to a VM
// that runs: cloud-init is told its address and its DNS servers beside those that
// the VM has, and the default route stays where it is.
func TestAnAttachedInterfaceIsTold(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	address := func(nic *providers.NIC, n string) {
		nic.IPAddress, nic.PrefixLength = "192.0."+n+".7", 24
		nic.Gateway, nic.DNSServers = "192.0."+n+".1", []string{"192.0.2.53", "192.0." + n + ".54"}
	}
	address(&req.NICs[0], "2")
	target, vm := made(t, p, req)
	attach := func(mac, n string) {
		nic := providers.NIC{Network: models.NetworkBinding{Ref: "vmbr0"}, MAC: mac}
		address(&nic, n)
		settle(t, p, func() (providers.TaskRef, error) { return p.AttachNIC(t.Context(), target, nic) })
	}
	told := func(key string) any { return c.config(t, vm)[key] }
	attach("52:54:01:00:00:01", "3")
	require.Equal(t, "ip=192.0.2.7/24,gw=192.0.2.1", told("ipconfig0"))
	require.Equal(t, "ip=192.0.3.7/24", told("ipconfig1"))
	require.Equal(t, "192.0.2.53 192.0.2.54 192.0.3.54", told("nameserver"))

	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	attach("52:54:01:00:00:02", "4")
	require.Equal(t, "ip=192.0.4.7/24", told("ipconfig2"))
	require.Equal(t, "192.0.2.53 192.0.2.54 192.0.3.54 192.0.4.54", told("nameserver"))

	settle(t, p, func() (providers.TaskRef, error) { return p.DetachNIC(t.Context(), target, "52:54:01:00:00:01") })
	require.Nil(t, told("ipconfig1"))
	require.Equal(t, "ip=192.0.4.7/24", told("ipconfig2"))
	settle(t, p, func() (providers.TaskRef, error) { return p.StopVM(t.Context(), target, models.ModeForce) })
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	require.Equal(t, "ip=192.0.4.7/24", told("ipconfig2"))
	require.Nil(t, told("ipconfig1"))
}

// TestTheFirstGatewayIsTheDefaultRoute attaches an interface with a gateway to a
// VM that has none.
func TestTheFirstGatewayIsTheDefaultRoute(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	target, vm := made(t, p, req)
	nic := providers.NIC{
		Network: models.NetworkBinding{Ref: "vmbr0"}, MAC: "52:54:01:00:00:03",
		IPAddress: "2001:db8::7", PrefixLength: 64, Gateway: "2001:db8::1",
	}
	settle(t, p, func() (providers.TaskRef, error) { return p.AttachNIC(t.Context(), target, nic) })
	require.Equal(t, "ip6=2001:db8::7/64,gw6=2001:db8::1", c.config(t, vm)["ipconfig1"])
	require.Nil(t, c.config(t, vm)["nameserver"])
	nic.MAC, nic.Gateway = "52:54:01:00:00:04", "192.0.2.1"
	_, err := p.AttachNIC(t.Context(), target, nic)
	require.Equal(t, providers.InvalidArgument, providers.CodeOf(err), "a gateway of another family")
}
