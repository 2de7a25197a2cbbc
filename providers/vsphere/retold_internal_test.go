package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestCloudInitIsToldOfLaterInterfaces adds and removes interfaces: the write that does
// so changes what cloud-init would configure, and not who it takes the VM for.
func TestCloudInitIsToldOfLaterInterfaces(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	before := made(t, p, req)
	was, ok := before.metadata()
	require.True(t, ok)
	nic := providers.NIC{
		MAC: "00:50:56:AA:BB:01", Network: models.NetworkBinding{Ref: vspheresim.Network},
		IPAddress: "198.51.100.7", PrefixLength: 24, Gateway: "198.51.100.1", DNSServers: []string{"198.51.100.53"},
	}
	s.Forget()
	settleOf(t, p)(p.AttachNIC(t.Context(), target(req), nic))
	require.Equal(t, 1, s.Count("ReconfigVM_Task"))
	m := found(t, p, req.VMID)
	is, ok := m.metadata()
	require.True(t, ok)
	require.Equal(t, was.InstanceID, is.InstanceID)
	require.Equal(t, was.PublicKeys, is.PublicKeys)
	require.Len(t, is.Network.Ethernets, 3)
	e := is.Network.Ethernets["nic2"]
	require.Equal(t, "00:50:56:aa:bb:01", e.Match.MAC)
	require.Equal(t, []string{"198.51.100.7/24"}, e.Addresses)
	require.Equal(t, []string{"198.51.100.53"}, e.Nameservers.Addresses)
	require.Empty(t, e.Routes, "there are two default routes")
	require.Equal(t, extraOf(before.VM.Config.ExtraConfig)[keyUserdata], extraOf(m.VM.Config.ExtraConfig)[keyUserdata])

	settleOf(t, p)(p.DetachNIC(t.Context(), target(req), req.NICs[1].MAC))
	settleOf(t, p)(p.DetachNIC(t.Context(), target(req), nic.MAC))
	settleOf(t, p)(p.AttachNIC(t.Context(), target(req), nic))
	is, ok = found(t, p, req.VMID).metadata()
	require.True(t, ok)
	require.Len(t, is.Network.Ethernets, 2)
	require.Equal(t, []cloudinit.Route{{To: "0.0.0.0/0", Via: "198.51.100.1"}}, is.Network.Ethernets["nic1"].Routes)

	for _, mac := range []string{req.NICs[0].MAC, nic.MAC} {
		settleOf(t, p)(p.DetachNIC(t.Context(), target(req), mac))
	}
	is, ok = found(t, p, req.VMID).metadata()
	require.True(t, ok)
	require.Nil(t, is.Network)

	nic.PrefixLength = 0
	_, err := p.AttachNIC(t.Context(), target(req), nic)
	wantCode(t, "AttachNIC with an address without its prefix", err, providers.InvalidArgument)
}

// TestMetadataOfOthersIsLeftAlone has somebody write metadata of his own.
func TestMetadataOfOthersIsLeftAlone(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	foreign, err := encodeGuestInfo([]byte(`{"instance-id": "a", "local-hostname": "b", "something": "else"}`))
	require.NoError(t, err)
	for value, encoding := range map[string]string{
		foreign: guestEncoding, "instance-id: a\n": "", "not packed": guestEncoding, "": "",
	} {
		m, failure := p.configure(t.Context(), "Test", found(t, p, req.VMID), types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
			option(keyMetadata, value), option(keyMetadataEncoding, encoding),
		}})
		require.Nil(t, failure)
		require.Equal(t, value, extraOf(m.VM.Config.ExtraConfig)[keyMetadata])
		nic := providers.NIC{MAC: "00:50:56:aa:bb:02", Network: models.NetworkBinding{Ref: vspheresim.Network}}
		settleOf(t, p)(p.AttachNIC(t.Context(), target(req), nic))
		m = found(t, p, req.VMID)
		require.NotNil(t, m.card(nic.MAC))
		require.Equal(t, value, extraOf(m.VM.Config.ExtraConfig)[keyMetadata])
		settleOf(t, p)(p.DetachNIC(t.Context(), target(req), nic.MAC))
		m = found(t, p, req.VMID)
		require.Equal(t, value, extraOf(m.VM.Config.ExtraConfig)[keyMetadata])
	}
}
