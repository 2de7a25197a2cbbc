package vsphere

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestATemplatesNameIsLookedForOnce shows that VMs made one after the other do not read
// the names of all VMs each time, and that what was remembered is never believed.
func TestATemplatesNameIsLookedForOnce(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{Templates: []vspheresim.Image{{Name: "one", DiskGiB: 1}, {Name: "two", DiskGiB: 1}}})
	find := func(name string) types.ManagedObjectReference {
		t.Helper()
		vm, err := p.template(t.Context(), "Test", name)
		require.Nil(t, err)
		return vm.Self
	}
	one, two := find("one"), find("two")
	s.Forget()
	require.Equal(t, one, find("one"))
	require.Equal(t, two, find("two"))
	require.Zero(t, s.Count("CreateContainerView"), "names were read again")

	c, err := s.Client(t.Context())
	require.NoError(t, err)
	rename := func(ref types.ManagedObjectReference, name string) {
		t.Helper()
		task, err := object.NewVirtualMachine(c, ref).Rename(t.Context(), name)
		require.NoError(t, err)
		require.NoError(t, task.Wait(t.Context()))
	}
	rename(one, "three")
	_, failure := p.template(t.Context(), "Test", "one")
	require.NotNil(t, failure)
	require.Equal(t, providers.NotFound, failure.Code)
	rename(two, "one")
	require.Equal(t, two, find("one"))
	require.Equal(t, one, find("three"))
}

// TestANameIsRememberedForAWhile shows that a name is looked for anew in the end: another
// may have it too.
func TestANameIsRememberedForAWhile(t *testing.T) {
	t.Parallel()
	var n named
	now := time.Now()
	ref := types.ManagedObjectReference{Type: typeVM, Value: "vm-1"}
	n.put("one", []types.ManagedObjectReference{ref}, now)
	got, ok := n.get("one", now.Add(nameLife-time.Second))
	require.True(t, ok)
	require.Equal(t, ref, got)
	_, ok = n.get("one", now.Add(nameLife))
	require.False(t, ok)
	n.put("two", []types.ManagedObjectReference{ref, ref}, now.Add(nameLife))
	require.Empty(t, n.all, "a name of several, and one that is too old, are not kept")
}
