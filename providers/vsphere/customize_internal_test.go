package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// The specifications that the library's simulator has.
const (
	linuxSpec   = "vcsim-linux"
	windowsSpec = "vcsim-windows-domain"
)

func customizing(t *testing.T, spec string) (*vspheresim.Server, *Provider) {
	t.Helper()
	s := newPeer(t, vspheresim.Options{})
	return s, openWith(t, testConfig(s, map[string]string{optCustomization: spec}))
}

// customRequest is a request that a specification can carry.
func customRequest() providers.CreateVMRequest {
	req := newRequest()
	req.CloudInit.SSHKeys, req.CloudInit.UserData = nil, nil
	req.NICs[1].DNSServers = []string{"192.0.2.53"}
	return req
}

func TestGuestsAreCustomized(t *testing.T) {
	t.Parallel()
	s, p := customizing(t, linuxSpec)
	req := customRequest()
	m := made(t, p, req)
	spec := s.Customization(m.VM.Name)
	require.NotNil(t, spec)
	linux, ok := spec.Identity.(*types.CustomizationLinuxPrep)
	require.True(t, ok)
	require.Equal(t, &types.CustomizationFixedName{Name: "guest"}, linux.HostName)
	require.Equal(t, []string{"192.0.2.53"}, spec.GlobalIPSettings.DnsServerList)
	require.Equal(t, []types.CustomizationAdapterMapping{
		{MacAddress: req.NICs[0].MAC, Adapter: types.CustomizationIPSettings{Ip: &types.CustomizationDhcpIpGenerator{}}},
		{MacAddress: req.NICs[1].MAC, Adapter: types.CustomizationIPSettings{
			Ip: &types.CustomizationFixedIp{IpAddress: "192.0.2.7"}, SubnetMask: "255.255.255.0",
			Gateway: []string{"192.0.2.1"}, DnsServerList: []string{"192.0.2.53"},
		}},
	}, spec.NicSettingMap)

	// It is pending in the VM that CreateVM has read and finished, and done once.
	require.NotEmpty(t, m.VM.Config.Tools.PendingCustomization)
	extra := extraOf(m.VM.Config.ExtraConfig)
	require.Empty(t, extra[keyMetadata]+extra[keyUserdata])
	require.False(t, m.Mark.Making)
	settleOf(t, p)(p.StartVM(t.Context(), target(req)))
	m = found(t, p, req.VMID)
	require.Empty(t, m.VM.Config.Tools.PendingCustomization)
	require.Equal(t, "192.0.2.7", m.VM.Guest.IpAddress)

	info, err := p.Info(t.Context())
	require.NoError(t, err)
	require.NotContains(t, info.Capabilities, models.CapCloudInit)
	require.NotContains(t, info.Capabilities, models.CapRebuild)
}

// TestACustomizedCloneIsOneVM loses the answers of the clone and of the write after it.
func TestACustomizedCloneIsOneVM(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GetCustomizationSpec", "CloneVM_Task", "ReconfigVM_Task"} {
		s, p := customizing(t, linuxSpec)
		s.LoseAnswer(method)
		req := customRequest()
		makeAnyhow(t, func() *Provider { return p }, req)
		m := found(t, p, req.VMID)
		require.NotEmpty(t, m.VM.Config.Tools.PendingCustomization, method)
		require.Equal(t, 1, machines(t, s), method)
	}
}

// TestPasswordsOfASpecificationAreHandedOn as the server gave them, and are in no error.
func TestPasswordsOfASpecificationAreHandedOn(t *testing.T) {
	t.Parallel()
	s, p := customizing(t, windowsSpec)
	req := customRequest()
	req.CloudInit.Hostname = "a-rather-long-name.example.com"
	m := made(t, p, req)
	spec := s.Customization(m.VM.Name)
	windows, ok := spec.Identity.(*types.CustomizationSysprep)
	require.True(t, ok)
	require.Equal(t, &types.CustomizationPassword{Value: "H3g...=="}, windows.Identification.DomainAdminPassword)
	require.Equal(t, &types.CustomizationFixedName{Name: computerName("a-rather-long-name", req.VMID)}, windows.UserData.ComputerName)

	s.Service.AddFaultRule(faultOf("CloneVM_Task", &types.CustomizationFault{}))
	req = customRequest()
	_, _, err := p.CreateVM(t.Context(), req)
	wantCode(t, "a guest that cannot be customized", err, providers.FailedPrecondition)
	require.NotContains(t, err.Error(), "H3g")
	require.Nil(t, ownedBy(t, p, req.VMID))
}

func TestComputerNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"guest": "guest", "guest.example.com": "guest", "fifteen-letters": "fifteen-letters",
		"sixteen--letters": "sixteen-2c9d11", "a-------------long-one": "a-2c9d11",
	} {
		got := computerName(name, testVM)
		require.LessOrEqual(t, len(got), maxComputerName)
		require.Equal(t, want, got, name)
	}
}

// TestWhatASpecificationCannotCarryIsRefused instead of lost.
func TestWhatASpecificationCannotCarryIsRefused(t *testing.T) {
	t.Parallel()
	s, p := customizing(t, linuxSpec)
	for name, change := range map[string]func(*providers.CreateVMRequest){
		"user data":                func(r *providers.CreateVMRequest) { r.CloudInit.UserData = []byte("#cloud-config\n") },
		"SSH keys":                 func(r *providers.CreateVMRequest) { r.CloudInit.SSHKeys = []string{"ssh-ed25519 AAAA"} },
		"an address that is none":  func(r *providers.CreateVMRequest) { r.NICs[1].IPAddress = "none" },
		"a medium with an address": func(r *providers.CreateVMRequest) { r.Image.Ref = "[LocalDS_0] a.iso" },
	} {
		req := customRequest()
		change(&req)
		_, _, err := p.CreateVM(t.Context(), req)
		wantCode(t, name, err, providers.InvalidArgument)
		require.Nil(t, ownedBy(t, p, req.VMID))
	}
	req := customRequest()
	made(t, p, req)
	_, err := p.RebuildVM(t.Context(), req, "token")
	wantCode(t, "RebuildVM", err, providers.Unimplemented)
	require.Equal(t, 1, s.Count("CloneVM_Task"))

	_, other := customizing(t, "none")
	_, _, err = other.CreateVM(t.Context(), customRequest())
	wantCode(t, "a specification that is not there", err, providers.FailedPrecondition)

	host := newPeer(t, vspheresim.Options{ESXi: true})
	alone := openWith(t, testConfig(host, map[string]string{optCustomization: linuxSpec}))
	plain := newHostRequest()
	plain.CloudInit = providers.CloudInit{}
	_, _, err = alone.CreateVM(t.Context(), plain)
	wantCode(t, "a host that stands alone", err, providers.FailedPrecondition)
}

// TestIPv6IsCustomized has an interface with an address of IPv6, and one more gateway.
func TestIPv6IsCustomized(t *testing.T) {
	t.Parallel()
	req := customRequest()
	req.NICs[0].IPAddress, req.NICs[0].Gateway = "2001:db8::7/64", "2001:db8::1"
	third := req.NICs[1]
	third.MAC, third.IPAddress = "02:50:56:00:00:09", "192.0.2.9"
	got, err := adaptersOf(append(req.NICs, third))
	require.NoError(t, err)
	require.Equal(t, &types.CustomizationIPSettingsIpV6AddressSpec{
		Ip:      []types.BaseCustomizationIpV6Generator{&types.CustomizationFixedIpV6{IpAddress: "2001:db8::7", SubnetMask: 64}},
		Gateway: []string{"2001:db8::1"},
	}, got[0].Adapter.IpV6Spec)
	require.Equal(t, []string{"192.0.2.1"}, got[1].Adapter.Gateway)
	require.Empty(t, got[2].Adapter.Gateway, "one default route of each family")
}
