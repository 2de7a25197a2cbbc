package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestEachClusterIsProbed has clusters that differ: an operator is told of each what it
// can do, by a handful of calls for all of them.
func TestEachClusterIsProbed(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{Clusters: 5})
	s.SetDRS("DC0_C1", "")
	s.SetDRS("DC0_C2", types.DrsBehaviorManual)
	s.SetVMotion(false, "DC0_C2_H0")
	s.License([]string{"dvs"}, "DC0_C3_H1")
	s.SetGraphics(types.HostGraphicsInfo{DeviceName: "A40", VendorName: "NVIDIA"}, []string{"nvidia_a40-8q", "nvidia_a40-4q"}, "DC0_C4_H0", "DC0_C4_H1")
	require.Nil(t, p.ready(t.Context(), "Test"))
	s.Forget()
	info, err := p.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{
		"DC0_C0: live migration; DRS fullyAutomated",
		"DC0_C1: live migration; DRS is off",
		"DC0_C2: no live migration: no two hosts have a network for vMotion; DRS manual",
		"DC0_C3: no live migration: no two hosts have a licence for vMotion; DRS fullyAutomated",
		"DC0_C4: live migration; DRS fullyAutomated; graphics devices: 2 NVIDIA A40; vGPU profiles: nvidia_a40-4q, nvidia_a40-8q",
	}, info.Remarks)
	require.Contains(t, info.Capabilities, models.CapLiveMigration)
	require.NotContains(t, info.Capabilities, models.CapGPUPassthrough, "no VM is given one")
	require.LessOrEqual(t, len(s.Calls()), 5, "%v", s.Calls())
}

// TestWithoutVMotionLiveMigrationIsWithdrawn has no cluster with it, and is refused it
// besides.
func TestWithoutVMotionLiveMigrationIsWithdrawn(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	s.SetVMotion(false, "DC0_C0_H1")
	info, err := p.Info(t.Context())
	require.NoError(t, err)
	require.NotContains(t, info.Capabilities, models.CapLiveMigration)
	require.Contains(t, info.Capabilities, models.CapColdMigration)
	req := newRequest()
	running(t, p, req)
	_, err = p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1", Live: true})
	wantCode(t, "MigrateVM", err, providers.FailedPrecondition)
	require.ErrorContains(t, err, "vMotion")
	settleOf(t, p)(p.StopVM(t.Context(), target(req), models.ModeForce))
	settleOf(t, p)(p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1"}))
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, "DC0_C0_H1", vm.Node)
}

// TestAHostThatStandsAloneIsRemarked says why nothing moves there.
func TestAHostThatStandsAloneIsRemarked(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{ESXi: true})
	info, err := p.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"default: no live migration: there is no vCenter"}, info.Remarks)
}

// TestWhoChoosesTheHost makes VMs without a node. Where DRS does not place them, the
// host with the most memory left is chosen among those that can take the VM.
func TestWhoChoosesTheHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(s *vspheresim.Server)
		want    string // "" leaves it to DRS
		code    providers.Code
	}{
		"DRS": {func(*vspheresim.Server) {}, "", ""},
		"DRS places, and moves nothing": {
			func(s *vspheresim.Server) { s.SetDRS("DC0_C0", types.DrsBehaviorPartiallyAutomated) }, "", "",
		},
		"DRS is off": {func(s *vspheresim.Server) {
			s.SetDRS("DC0_C0", "")
			s.SetMemoryUsed("DC0_C0_H0", 3000)
			s.SetMemoryUsed("DC0_C0_H2", 2500)
		}, "DC0_C0_H1", ""},
		"DRS only recommends": {func(s *vspheresim.Server) {
			s.SetDRS("DC0_C0", types.DrsBehaviorManual)
			s.SetMemoryUsed("DC0_C0_H0", 3000)
			s.SetMaintenance("DC0_C0_H1", true)
		}, "DC0_C0_H2", ""},
		"the image's datastore counts more": {func(s *vspheresim.Server) {
			s.SetDRS("DC0_C0", "")
			s.SetMemoryUsed("DC0_C0_H2", 3000)
			s.MountOnly("LocalDS_1", "DC0_C0_H0", "DC0_C0_H1")
		}, "DC0_C0_H2", ""},
		"no host takes VMs": {func(s *vspheresim.Server) {
			s.SetDRS("DC0_C0", "")
			for _, h := range []string{"DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"} {
				s.SetMaintenance(h, true)
			}
		}, "", providers.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, vspheresim.Options{Hosts: 3, Datastores: 2})
			c.prepare(s)
			req := newRequest()
			req.Node = ""
			if c.code != "" {
				_, _, err := p.CreateVM(t.Context(), req)
				wantCode(t, name, err, c.code)
				gone(t, p, req.VMID)
				return
			}
			o, failure := p.check("Test", req)
			require.Nil(t, failure)
			src, failure := p.template(t.Context(), "Test", req.Image.Ref)
			require.Nil(t, failure)
			at, failure := p.place(t.Context(), "Test", o, src)
			require.Nil(t, failure)
			if c.want == "" {
				require.Nil(t, at.host, "the host is named, and DRS does not choose")
				return
			}
			require.NotNil(t, at.host)
			made(t, p, req)
			vm, err := p.FindVM(t.Context(), req.VMID)
			require.NoError(t, err)
			require.Equal(t, c.want, vm.Node)
		})
	}
}

// TestTooOldServersAreRefused before a login is tried.
func TestTooOldServersAreRefused(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"6.7.3": false, "6.5": false, "": false, "seven": false, "7.0": true, "7.0.3.0": true, "8.0.3.0": true, "9.0.0.0": true, "10.1": true,
	} {
		require.Equal(t, ok, supported(types.AboutInfo{ApiVersion: version}) == nil, version)
	}
	s, p := openPeer(t, vspheresim.Options{APIVersion: "6.7.3"})
	_, err := p.Info(t.Context())
	wantCode(t, "Info", err, providers.FailedPrecondition)
	require.ErrorContains(t, err, "6.7.3")
	require.ErrorContains(t, err, oldestAPI)
	require.Zero(t, s.Count("Login"))
}
