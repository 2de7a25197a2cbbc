package vsphere

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// setTools sets whether a guest's tools run.
func setTools(t *testing.T, s *vspheresim.Server, vmID string, to types.VirtualMachineToolsRunningStatus) {
	t.Helper()
	ctx := &simulator.Context{Context: t.Context(), Map: s.Model.Map()}
	set := false
	for _, e := range s.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		ctx.WithLock(vm, func() {
			if vm.Config.InstanceUuid == vmID {
				vm.Guest.ToolsRunningStatus, set = string(to), true
			}
		})
	}
	require.True(t, set, "the simulator has no such VM")
}

// snapshotBy takes a snapshot as an operator does.
func snapshotBy(vm types.ManagedObjectReference, name string) func(context.Context, *vim25.Client) (types.ManagedObjectReference, error) {
	return func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.CreateSnapshot_Task(ctx, c, &types.CreateSnapshot_Task{This: vm, Name: name})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	}
}
