package vspheresim

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// moves refuses a relocation that a real server refuses, and the library's simulator
// carries out: of a VM that runs, between hosts of which one has no network for vMotion,
// and to a host that does not reach the VM's files.
func moves(ctx *simulator.Context, vm *simulator.VirtualMachine, spec types.VirtualMachineRelocateSpec) types.BaseMethodFault {
	if spec.Host == nil {
		return nil
	}
	to, ok := ctx.Map.Get(*spec.Host).(*simulator.HostSystem)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: *spec.Host}
	}
	var at *types.ManagedObjectReference
	var runs bool
	var files []types.ManagedObjectReference
	ctx.WithLock(vm, func() {
		at, files = vm.Runtime.Host, slices.Clone(vm.Datastore)
		runs = vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
	})
	if runs && at != nil && *at != to.Self {
		from, _ := ctx.Map.Get(*at).(*simulator.HostSystem)
		if !to.Summary.Config.VmotionEnabled || from != nil && !from.Summary.Config.VmotionEnabled {
			return &types.VMotionNotConfigured{VMotionInterfaceIssue: types.VMotionInterfaceIssue{AtSourceHost: to.Summary.Config.VmotionEnabled, FailedHost: to.Name}}
		}
	}
	if spec.Datastore != nil {
		files = []types.ManagedObjectReference{*spec.Datastore}
	}
	for _, ref := range files {
		if !slices.Contains(to.Datastore, ref) {
			return &types.CannotAccessVmConfig{Reason: types.LocalizedMethodFault{Fault: &types.InvalidDatastore{Datastore: &ref}}}
		}
	}
	return nil
}

// relocated is a VM whose files go to another datastore: the library's simulator leaves
// them where they are.
type relocated struct {
	*simulator.VirtualMachine
}

// RelocateVMTask moves the VM's directory, and then the VM.
func (vm *relocated) RelocateVMTask(ctx *simulator.Context, req *types.RelocateVM_Task) soap.HasFault {
	ctx.Session.Remove(ctx, vm.Self)
	task := simulator.CreateTask(vm.Self, "relocateVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		ds, ok := ctx.Map.Get(*req.Spec.Datastore).(*simulator.Datastore)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *req.Spec.Datastore}
		}
		if err := carry(ctx, vm.VirtualMachine, ds); err != nil {
			return nil, &types.CannotCreateFile{FileFault: types.FileFault{File: vm.Config.Files.VmPathName}}
		}
		changes := []types.PropertyChange{{Name: "datastore", Val: []types.ManagedObjectReference{ds.Self}}}
		if req.Spec.Pool != nil {
			changes = append(changes, types.PropertyChange{Name: "resourcePool", Val: req.Spec.Pool})
		}
		if req.Spec.Host != nil {
			changes = append(changes,
				types.PropertyChange{Name: "runtime.host", Val: req.Spec.Host},
				types.PropertyChange{Name: "summary.runtime.host", Val: req.Spec.Host})
		}
		ctx.Update(vm.VirtualMachine, changes)
		return nil, nil
	})
	return &methods.RelocateVM_TaskBody{Res: &types.RelocateVM_TaskResponse{Returnval: task.Run(ctx)}}
}

// carry moves a VM's directory to a datastore, and has the VM name its files there. The
// VM is locked by its task.
func carry(ctx *simulator.Context, vm *simulator.VirtualMachine, to *simulator.Datastore) error {
	var at object.DatastorePath
	at.FromString(vm.Config.Files.VmPathName)
	if at.Datastore == to.Name {
		return nil
	}
	for _, e := range ctx.Map.All("Datastore") {
		from, ok := e.(*simulator.Datastore)
		if !ok || from.Name != at.Datastore {
			continue
		}
		dir := path.Dir(at.Path)
		old := filepath.Join(from.Summary.Url, dir)
		if err := os.Rename(old, filepath.Join(to.Summary.Url, dir)); err != nil {
			return err
		}
		// The library goes on writing the VM's log where it was.
		if err := os.Mkdir(old, 0o700); err != nil {
			return err
		}
	}
	there := func(file string) string {
		if rest, ok := strings.CutPrefix(file, "["+at.Datastore+"] "); ok {
			return "[" + to.Name + "] " + rest
		}
		return file
	}
	config := *vm.Config
	config.Files.VmPathName = there(config.Files.VmPathName)
	config.Files.SnapshotDirectory = there(config.Files.SnapshotDirectory)
	config.Files.SuspendDirectory = there(config.Files.SuspendDirectory)
	config.Files.LogDirectory = there(config.Files.LogDirectory)
	config.Hardware.Device = slices.Clone(config.Hardware.Device)
	for i, d := range config.Hardware.Device {
		disk, ok := d.(*types.VirtualDisk)
		if !ok {
			continue
		}
		if flat, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
			moved, backing := *disk, *flat
			backing.FileName, backing.Datastore = there(backing.FileName), &to.Self
			moved.Backing = &backing
			config.Hardware.Device[i] = &moved
		}
	}
	vm.Config = &config
	vm.Summary.Config.VmPathName = config.Files.VmPathName
	if vm.LayoutEx != nil {
		layout := *vm.LayoutEx
		layout.File = slices.Clone(layout.File)
		for i := range layout.File {
			layout.File[i].Name = there(layout.File[i].Name)
		}
		vm.LayoutEx = &layout
	}
	return nil
}
