package vspheresim

import (
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// need is a privilege on an object.
type need struct {
	on        types.ManagedObjectReference
	privilege string
}

// fixedNeeds are the privileges on the object of a call that its method needs whatever
// it is to do: the "Required Privileges" of the API reference, for the methods that
// read and change VMs and their files. Those of methods that need others with what
// they are to do are in neededFor.
func fixedNeeds() map[string]string {
	return map[string]string{
		"RetrievePropertiesEx": "System.Read", "RetrieveProperties": "System.Read", "QueryPerf": "System.Read",
		"QueryAssignedLicenses": "Global.Licenses",
		"PowerOnVM_Task":        "VirtualMachine.Interact.PowerOn",
		"PowerOffVM_Task":       "VirtualMachine.Interact.PowerOff",
		"ShutdownGuest":         "VirtualMachine.Interact.PowerOff",
		"ResetVM_Task":          "VirtualMachine.Interact.Reset",
		"RebootGuest":           "VirtualMachine.Interact.Reset",
		"SuspendVM_Task":        "VirtualMachine.Interact.Suspend",
		"CreateSnapshot_Task":   "VirtualMachine.State.CreateSnapshot",
		"RevertToSnapshot_Task": "VirtualMachine.State.RevertToSnapshot",
		"RemoveSnapshot_Task":   "VirtualMachine.State.RemoveSnapshot",
		"RenameSnapshot":        "VirtualMachine.State.RenameSnapshot",
		"RelocateVM_Task":       "Resource.ColdMigrate",
		"MarkAsTemplate":        "VirtualMachine.Provisioning.MarkAsTemplate",
		"GetCustomizationSpec":  "VirtualMachine.Provisioning.ReadCustSpecs",
		"CopyVirtualDisk_Task":  "Datastore.FileManagement", "DeleteVirtualDisk_Task": "Datastore.FileManagement",
		"MakeDirectory": "Datastore.FileManagement", "SearchDatastore_Task": "Datastore.Browse",
	}
}

// neededFor are the privileges that a call needs.
func neededFor(ctx *simulator.Context, call *simulator.Method) []need {
	var out []need
	also := func(on types.ManagedObjectReference, privileges ...string) {
		for _, p := range privileges {
			out = append(out, need{on, p})
		}
	}
	if p, ok := fixedNeeds()[call.Name]; ok {
		also(objectOf(ctx, call.This), p)
	}
	vm, _ := ctx.Map.Get(call.This).(*simulator.VirtualMachine)
	switch req := call.Body.(type) {
	case *types.AcquireTicket:
		if strings.HasSuffix(req.TicketType, "mks") {
			also(call.This, "VirtualMachine.Interact.ConsoleInteract")
		}
	case *types.Destroy_Task:
		also(call.This, "VirtualMachine.Inventory.Delete")
	case *types.RelocateVM_Task:
		if vm != nil && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
			also(call.This, "Resource.HotMigrate")
		}
		also1(also, req.Spec.Pool, "Resource.AssignVMToPool")
		also1(also, req.Spec.Datastore, "Datastore.AllocateSpace")
	case *types.CloneVM_Task:
		kind := "VirtualMachine.Provisioning.Clone"
		if vm != nil && vm.Config.Template {
			kind = "VirtualMachine.Provisioning.DeployTemplate"
		}
		also(call.This, kind)
		also(req.Folder, "VirtualMachine.Inventory.CreateFromExisting", "VirtualMachine.Config.AddNewDisk", "Datastore.AllocateSpace")
		also1(also, req.Spec.Location.Pool, "Resource.AssignVMToPool")
		if req.Spec.Customization != nil {
			also(call.This, "VirtualMachine.Provisioning.Customize")
		}
		if req.Spec.Config != nil {
			out = append(out, neededToConfigure(ctx, req.Folder, *req.Spec.Config)...)
		}
	case *types.CreateVM_Task:
		also(req.Pool, "Resource.AssignVMToPool")
		also(req.This, "VirtualMachine.Inventory.Create", "Datastore.AllocateSpace")
		out = append(out, neededToCreate(ctx, req.This, req.Config)...)
	case *types.ReconfigVM_Task:
		out = append(out, neededToConfigure(ctx, call.This, req.Spec)...)
	}
	return out
}

func also1(also func(types.ManagedObjectReference, ...string), on *types.ManagedObjectReference, privilege string) {
	if on != nil {
		also(*on, privilege)
	}
}

// objectOf is the object whose permissions count: a snapshot's are its VM's.
func objectOf(ctx *simulator.Context, ref types.ManagedObjectReference) types.ManagedObjectReference {
	if s, ok := ctx.Map.Get(ref).(*simulator.VirtualMachineSnapshot); ok {
		return s.Vm
	}
	return ref
}

// neededToCreate are the privileges that a new VM needs beside those of its making:
// what it is made with needs none of its own but for disks, networks and the extra
// configuration.
func neededToCreate(ctx *simulator.Context, on types.ManagedObjectReference, spec types.VirtualMachineConfigSpec) []need {
	var out []need
	for _, n := range neededToConfigure(ctx, on, spec) {
		switch n.privilege {
		case "VirtualMachine.Config.AddNewDisk", "VirtualMachine.Config.AddExistingDisk", "VirtualMachine.Config.AdvancedConfig", "Network.Assign":
			out = append(out, n)
		}
	}
	return out
}

// neededToConfigure are the privileges that a change of a VM needs, by what it changes.
func neededToConfigure(ctx *simulator.Context, on types.ManagedObjectReference, spec types.VirtualMachineConfigSpec) []need {
	var out []need
	for _, change := range []struct {
		changes   bool
		privilege string
	}{
		{spec.Name != "", "VirtualMachine.Config.Rename"},
		{spec.Annotation != "", "VirtualMachine.Config.Annotation"},
		{spec.NumCPUs != 0 || spec.NumCoresPerSocket != nil || spec.CpuHotAddEnabled != nil, "VirtualMachine.Config.CPUCount"},
		{spec.MemoryMB != 0 || spec.MemoryHotAddEnabled != nil, "VirtualMachine.Config.Memory"},
		{len(spec.ExtraConfig) > 0, "VirtualMachine.Config.AdvancedConfig"},
		{
			spec.InstanceUuid != "" || spec.Uuid != "" || spec.GuestId != "" || spec.Files != nil || spec.Flags != nil || spec.BootOptions != nil,
			"VirtualMachine.Config.Settings",
		},
	} {
		if change.changes {
			out = append(out, need{on, change.privilege})
		}
	}
	for _, d := range spec.DeviceChange {
		out = append(out, neededForDevice(ctx, on, d.GetVirtualDeviceConfigSpec())...)
	}
	return out
}

// neededForDevice are the privileges that the change of one device needs.
func neededForDevice(ctx *simulator.Context, on types.ManagedObjectReference, d *types.VirtualDeviceConfigSpec) []need {
	adds := d.Operation == types.VirtualDeviceConfigSpecOperationAdd
	if d.Operation == types.VirtualDeviceConfigSpecOperationEdit {
		out := []need{{on, "VirtualMachine.Config.EditDevice"}}
		if grows(ctx, on, d.Device) {
			out = append(out, need{on, "VirtualMachine.Config.DiskExtend"})
		}
		return out
	}
	switch device := d.Device.(type) {
	case *types.VirtualDisk:
		switch {
		case !adds:
			return []need{{on, "VirtualMachine.Config.RemoveDisk"}}
		case d.FileOperation == types.VirtualDeviceConfigSpecFileOperationCreate:
			return []need{{on, "VirtualMachine.Config.AddNewDisk"}, {on, "Datastore.AllocateSpace"}}
		}
		return []need{{on, "VirtualMachine.Config.AddExistingDisk"}}
	default:
		out := []need{{on, "VirtualMachine.Config.AddRemoveDevice"}}
		if adds && device.GetVirtualDevice().Connectable != nil {
			out = append(out, need{on, "VirtualMachine.Interact.DeviceConnection"})
		}
		if _, medium := device.(*types.VirtualCdrom); adds && medium {
			out = append(out, need{on, "VirtualMachine.Interact.SetCDMedia"})
		}
		if card, ok := device.(types.BaseVirtualEthernetCard); ok && adds {
			out = append(out, need{networkOf(ctx, card), "Network.Assign"})
		}
		return out
	}
}

// grows reports whether a change gives a disk another size.
func grows(ctx *simulator.Context, on types.ManagedObjectReference, device types.BaseVirtualDevice) bool {
	disk, ok := device.(*types.VirtualDisk)
	vm, there := ctx.Map.Get(on).(*simulator.VirtualMachine)
	if !ok || !there {
		return false
	}
	var was int64
	ctx.WithLock(vm, func() {
		if old, ok := object.VirtualDeviceList(vm.Config.Hardware.Device).FindByKey(disk.Key).(*types.VirtualDisk); ok {
			was = old.CapacityInBytes
		}
	})
	return disk.CapacityInBytes != was
}

// networkOf is what an interface is attached to: a port group by its key, or a standard
// network by its name.
func networkOf(ctx *simulator.Context, card types.BaseVirtualEthernetCard) types.ManagedObjectReference {
	switch b := card.GetVirtualEthernetCard().Backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if b.Network != nil {
			return *b.Network
		}
		for _, e := range ctx.Map.All("Network") {
			if e.Entity().Name == b.DeviceName {
				return e.Reference()
			}
		}
	}
	return types.ManagedObjectReference{Type: "Network"}
}
