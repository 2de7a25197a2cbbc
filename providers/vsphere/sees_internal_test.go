package vsphere

import (
	"testing"

	"github.com/vmware/govmomi/simulator"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestWhoSeesNoVMsProvesNothing takes the account's role on the inventory away.
func TestWhoSeesNoVMsProvesNothing(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	p := openWith(t, testConfig(s, nil))
	_, err := p.FindVM(t.Context(), testVM)
	wantCode(t, "FindVM", err, providers.NotFound)
	root, ok := s.Model.Map().Get(s.Model.ServiceContent.RootFolder).(*simulator.Folder)
	if !ok {
		t.Fatal("there is no root folder")
	}
	root.EffectiveRole = []int32{roleView, roleNoAccess}
	_, err = p.FindVM(t.Context(), testVM)
	wantCode(t, "FindVM without a role", err, providers.PermissionDenied)
	_, err = p.DeleteVM(t.Context(), providers.Target{VMID: testVM})
	wantCode(t, "DeleteVM without a role", err, providers.PermissionDenied)

	inFolder := openWith(t, testConfig(s, map[string]string{optFolder: "/DC0/vm"}))
	_, err = inFolder.FindVM(t.Context(), testVM)
	wantCode(t, "FindVM in a folder that we see", err, providers.NotFound)
	unseen := openWith(t, testConfig(s, map[string]string{optFolder: "/DC0/vm/none"}))
	_, err = unseen.FindVM(t.Context(), testVM)
	wantCode(t, "FindVM in a folder that we do not see", err, providers.PermissionDenied)
}
