package vsphere

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestADirectoryWithoutItsVMIsRemoved shows that what a process leaves that dies
// before it makes the VM is told, and removed, and nothing else is.
func TestADirectoryWithoutItsVMIsRemoved(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{ESXi: true})
	ds, ok := s.Model.Map().Any("Datastore").(*simulator.Datastore)
	require.True(t, ok)
	at := func(vmID string) string { return filepath.Join(ds.Info.GetDatastoreInfo().Url, homeName(vmID)) }
	empty, full := newRequest().VMID, newRequest().VMID
	require.NoError(t, os.Mkdir(at(empty), 0o700))
	require.NoError(t, os.Mkdir(at(full), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(at(full), "disk.vmdk"), []byte("of a VM that an operator took out of the inventory"), 0o600))

	left, err := p.Leftovers(t.Context(), empty)
	require.NoError(t, err)
	require.Equal(t, []providers.Object{{Type: "directory", Ref: "[" + ds.Name + "] " + homeName(empty)}}, left)
	for _, vmID := range []string{empty, full} {
		task, err := p.DeleteVM(t.Context(), providers.Target{VMID: vmID})
		require.NoError(t, err)
		settle(t, p, task)
		gone(t, p, vmID)
	}
	require.NoDirExists(t, at(empty))
	require.FileExists(t, filepath.Join(at(full), "disk.vmdk"))
}

// TestAVMWhoseMarkIsNotSeenYetIsNobodyElses shows that the identity of a VM which is
// being made is not taken for another VM's.
func TestAVMWhoseMarkIsNotSeenYetIsNobodyElses(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	wantCode(t, "it was made meanwhile", orNil(p.unclaimed(t.Context(), "Test", req.VMID)), providers.Aborted)
	vm, ok := s.Model.Map().Get(m.Ref).(*simulator.VirtualMachine)
	require.True(t, ok)
	ctx := &simulator.Context{Map: s.Model.Map()}
	ctx.WithLock(vm, func() { vm.Config.ExtraConfig = nil })
	wantCode(t, "nothing is at work", orNil(p.unclaimed(t.Context(), "Test", req.VMID)), providers.AlreadyExists)
	again := req
	again.Name = "another" // of one name one clone would fail at once
	begin := begun(t, p, again)
	held(t, s, func() {
		begin()
		wantCode(t, "it is being made", orNil(p.unclaimed(t.Context(), "Test", req.VMID)), providers.Aborted)
	})
}

func orNil(err *providers.Error) error {
	if err == nil {
		return nil
	}
	return err
}
