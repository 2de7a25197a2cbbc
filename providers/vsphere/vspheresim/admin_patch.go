package vspheresim

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// PatchVM changes a VM behind the control plane's back.
func (s admin) PatchVM(ctx context.Context, nativeID string, set simadmin.VMChange) (simadmin.VM, error) {
	vm, err := s.adminFind(nativeID)
	switch {
	case err != nil:
	case set.NativeID != nil:
		err = simadmin.Invalid("the server gives references itself")
	case set.Power != nil && !simadmin.IsPower(*set.Power):
		err = simadmin.NoPower()
	case set.Node != nil && s.host(*set.Node) == nil:
		err = simadmin.Invalid("no such node")
	}
	if err != nil {
		return simadmin.VM{}, err
	}
	spec, err := changeSpec(set)
	if err != nil {
		return simadmin.VM{}, err
	}
	c, err := s.Client(ctx)
	if err != nil {
		return simadmin.VM{}, err
	}
	if err := s.patch(ctx, c, vm.Self, spec, set); err != nil {
		return simadmin.VM{}, err
	}
	if err := s.write(s.view(vm), set); err != nil {
		return simadmin.VM{}, err
	}
	if set.Power != nil {
		s.setPower(vm, *set.Power)
	}
	return s.view(vm), nil
}

// write has a guest write on its disks.
func (s *Server) write(vm simadmin.VM, set simadmin.VMChange) error {
	files := map[string]string{} // by the disk's ID
	for _, d := range vm.DataDisks {
		files[d.ID] = d.Name
	}
	for id, text := range set.DiskData {
		if files[id] == "" || len(text) > simadmin.MaxData {
			return simadmin.Invalid("disk_data names a disk that is not there, or is too long")
		}
		s.guests.write(files[id], text)
	}
	if set.RootData == nil {
		return nil
	}
	if len(vm.Disks) == 0 || len(*set.RootData) > simadmin.MaxData {
		return simadmin.Invalid("there is no root disk, or root_data is too long")
	}
	s.guests.write(vm.Disks[0], *set.RootData)
	return nil
}

// changeSpec is what of a change the configuration holds.
func changeSpec(set simadmin.VMChange) (types.VirtualMachineConfigSpec, error) {
	var spec types.VirtualMachineConfigSpec
	if set.Name != nil {
		spec.Name = *set.Name
	}
	if set.VCPUs != nil {
		spec.NumCPUs = int32(min(*set.VCPUs, 1<<12)) //nolint:gosec // bounded
	}
	if set.MemoryMiB != nil {
		spec.MemoryMB = int64(*set.MemoryMiB)
	}
	mark, changed, err := set.NewMark()
	switch {
	case err != nil:
		return spec, err
	case mark != nil:
		spec.ExtraConfig, spec.InstanceUuid = markOptions(*mark), mark.VMID
	case changed:
		spec.ExtraConfig = markOptions(simadmin.Mark{})
	}
	if spec.NumCPUs < 0 || spec.MemoryMB < 0 || set.Name != nil && strings.TrimSpace(*set.Name) == "" {
		return spec, simadmin.Invalid("name, vcpus and memory_mib must be those of a VM")
	}
	return spec, nil
}

// patch makes a change past the API.
func (s *Server) patch(ctx context.Context, c *vim25.Client, vm types.ManagedObjectReference, spec types.VirtualMachineConfigSpec, set simadmin.VMChange) error {
	var tasks []types.ManagedObjectReference
	raw, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, []byte("{}")) {
		res, err := methods.ReconfigVM_Task(ctx, c, &types.ReconfigVM_Task{This: vm, Spec: spec})
		if err != nil {
			return err
		}
		tasks = append(tasks, res.Returnval)
	}
	if set.Node != nil {
		host := s.host(*set.Node).Self
		res, err := methods.RelocateVM_Task(ctx, c, &types.RelocateVM_Task{This: vm, Spec: types.VirtualMachineRelocateSpec{Host: &host}})
		if err != nil {
			return err
		}
		tasks = append(tasks, res.Returnval)
	}
	if set.Snapshot != nil {
		res, err := methods.CreateSnapshot_Task(ctx, c, &types.CreateSnapshot_Task{This: vm, Name: *set.Snapshot})
		if err != nil {
			return err
		}
		tasks = append(tasks, res.Returnval)
	}
	for _, task := range tasks {
		if err := s.ended(task); err != nil {
			return err
		}
	}
	return nil
}
