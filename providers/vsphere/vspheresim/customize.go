package vspheresim

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// The library's simulator leaves out the customization of a clone. Ours checks it as the
// API reference says, lets it be pending in the clone, and has it done when that is
// started.

// maxComputerName is how long the name of a guest of Windows may be.
const maxComputerName = 15

// customizes refuses a clone whose customization does not fit, and remembers one that
// does.
func (s *Server) customizes(ctx *simulator.Context, req *types.CloneVM_Task, vm *simulator.VirtualMachine) types.BaseMethodFault {
	spec := req.Spec.Customization
	if spec == nil {
		return nil
	}
	cards := 0
	ctx.WithLock(vm, func() {
		for _, d := range vm.Config.Hardware.Device {
			if _, ok := d.(types.BaseVirtualEthernetCard); ok {
				cards++
			}
		}
	})
	if req.Spec.Config != nil {
		for _, change := range req.Spec.Config.DeviceChange {
			c := change.GetVirtualDeviceConfigSpec()
			_, ok := c.Device.(types.BaseVirtualEthernetCard)
			switch {
			case !ok:
			case c.Operation == types.VirtualDeviceConfigSpecOperationAdd:
				cards++
			case c.Operation == types.VirtualDeviceConfigSpecOperationRemove:
				cards--
			}
		}
	}
	if cards != len(spec.NicSettingMap) {
		return &types.NicSettingMismatch{NumberOfNicsInSpec: int32(len(spec.NicSettingMap)), NumberOfNicsInVM: int32(cards)} //nolint:gosec // a few
	}
	name, limit := guestName(spec)
	if name == "" || len(name) > limit || strings.Contains(name, ".") {
		return &types.InvalidArgument{InvalidProperty: "spec.customization.identity"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.customized[req.Name] = *spec
	return nil
}

// guestName is the name that a customization gives, and how long it may be.
func guestName(spec *types.CustomizationSpec) (name string, limit int) {
	var given types.BaseCustomizationName
	switch identity := spec.Identity.(type) {
	case *types.CustomizationLinuxPrep:
		given, limit = identity.HostName, 63
	case *types.CustomizationSysprep:
		given, limit = identity.UserData.ComputerName, maxComputerName
	}
	fixed, ok := given.(*types.CustomizationFixedName)
	if !ok {
		return "", limit
	}
	return fixed.Name, limit
}

// Customization is the specification that a VM was cloned with, nil without one.
func (s *Server) Customization(name string) *types.CustomizationSpec {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec, ok := s.customized[name]
	if !ok {
		return nil
	}
	return &spec
}

// customize does the customization of a VM that is started for the first time.
func (s *Server) customize(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	pending := false
	ctx.WithLock(vm, func() {
		tools := vm.Config.Tools
		if pending = tools != nil && tools.PendingCustomization != ""; pending {
			tools.PendingCustomization = ""
		}
	})
	spec := s.Customization(vm.Name)
	if !pending || spec == nil {
		return
	}
	body, ok := vm.CustomizeVMTask(ctx, &types.CustomizeVM_Task{This: vm.Self, Spec: *spec}).(*methods.CustomizeVM_TaskBody)
	if !ok || body.Res == nil {
		return
	}
	if task, ok := ctx.Map.Get(body.Res.Returnval).(*simulator.Task); ok {
		task.Wait()
	}
}

// pending marks a clone that is to be customized from its birth.
type pending struct{ server *Server }

// Reference implements mo.Reference.
func (pending) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Pending", Value: "pending"}
}

// PutObject implements simulator.RegisterObject.
func (pending) PutObject(*simulator.Context, mo.Reference) {}

// UpdateObject implements simulator.RegisterObject. A VM gets its name last when it is
// made.
func (p pending) UpdateObject(_ *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	vm, ok := object.(*mo.VirtualMachine)
	if !ok || len(changes) != 1 || changes[0].Name != "name" || vm.Config == nil || p.server.Customization(vm.Name) == nil {
		return
	}
	if vm.Config.Tools == nil {
		vm.Config.Tools = &types.ToolsConfigInfo{}
	}
	vm.Config.Tools.PendingCustomization = "/tmp/customization"
}

// RemoveObject implements simulator.RegisterObject.
func (pending) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}
