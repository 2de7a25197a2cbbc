package vsphere

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestAVMWhoseHostIsNotReached shows that what the inventory has of it is not taken
// for what it is.
func TestAVMWhoseHostIsNotReached(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	ref := running(t, p, req).Ref
	reach := func(state types.VirtualMachineConnectionState) {
		vm, ok := s.Model.Map().Get(ref).(*simulator.VirtualMachine)
		require.True(t, ok)
		s.Model.Map().WithLock(&simulator.Context{}, vm, func() { vm.Runtime.ConnectionState = state })
	}
	reach(types.VirtualMachineConnectionStateDisconnected)
	require.Equal(t, models.PowerUnknown, found(t, p, req.VMID).power())
	target := providers.Target{VMID: req.VMID}
	for _, mode := range []models.PowerMode{models.ModeForce, models.ModeGraceful} {
		_, err := p.StopVM(t.Context(), target, mode)
		wantCode(t, "StopVM", err, providers.Unavailable)
		_, err = p.RebootVM(t.Context(), target, mode, "token")
		wantCode(t, "RebootVM", err, providers.Unavailable)
	}
	_, err := p.StartVM(t.Context(), target)
	wantCode(t, "StartVM", err, providers.Unavailable)
	task, err := p.DeleteVM(t.Context(), target)
	if err == nil {
		err = outcome(t, p, task)
	}
	wantCode(t, "DeleteVM", err, providers.Unavailable)
	reach(types.VirtualMachineConnectionStateConnected)
	require.Equal(t, models.PowerRunning, found(t, p, req.VMID).power())
}

// TestHostsThatTakeNoVMs shows that a host which is not there for now is no mistake of
// the request.
func TestHostsThatTakeNoVMs(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	for _, entity := range s.Model.Map().All("HostSystem") {
		host, ok := entity.(*simulator.HostSystem)
		require.True(t, ok)
		if host.Name == testNode {
			s.Model.Map().WithLock(&simulator.Context{}, host, func() { host.Runtime.InMaintenanceMode = true })
		}
	}
	_, _, err := p.CreateVM(t.Context(), newRequest())
	wantCode(t, "CreateVM on a host in maintenance", err, providers.Unavailable)
	req := newRequest()
	req.Node = "DC0_C0_H1"
	wantAsAsked(t, made(t, p, req), req)
}

// TestPlaces shows where a VM is made that is given no host, and what the options say.
func TestPlaces(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	req := newRequest()
	req.Node = ""
	wantAsAsked(t, made(t, openWith(t, testConfig(s, nil)), req), req)

	p := openWith(t, testConfig(s, map[string]string{optFolder: "/DC0/vm", optResourcePool: "/DC0/host/DC0_C0/Resources", optDatastore: "LocalDS_0"}))
	req = newRequest()
	wantAsAsked(t, made(t, p, req), req)
	for _, option := range []string{optFolder, optResourcePool, optDatastore} {
		p := openWith(t, testConfig(s, map[string]string{option: "not-there"}))
		req := newRequest()
		_, _, err := p.CreateVM(t.Context(), req)
		if providers.CodeOf(err) != providers.FailedPrecondition && providers.CodeOf(err) != providers.PermissionDenied {
			t.Errorf("CreateVM with another %s: %v", option, err)
		}
	}
}

func TestGuestInfoHasALimit(t *testing.T) {
	t.Parallel()
	req := newRequest()
	req.CloudInit.UserData = make([]byte, 64<<10)
	_, err := guestInfo(req)
	require.NoError(t, err, "zeros are small when they are packed")
	_, _ = rand.Read(req.CloudInit.UserData)
	_, err = guestInfo(req)
	require.ErrorContains(t, err, "larger than 64 KiB")
}
