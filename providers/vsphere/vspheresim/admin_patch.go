package vspheresim

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// adminPatchVM changes a VM behind the control plane's back.
func (s *Server) adminPatchVM(r *http.Request, body []byte) (int, any, error) {
	var set simhv.VMChange
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	vm, err := s.adminFind(r)
	switch {
	case err != nil:
		return 0, nil, err
	case set.NativeID != nil:
		return 0, nil, invalid("the server gives references itself")
	case set.Power != nil && !isPower(*set.Power):
		return 0, nil, invalid(`power must be "running", "stopped" or "suspended"`)
	case set.Node != nil && s.host(*set.Node) == nil:
		return 0, nil, invalid("no such node")
	}
	spec, err := changeSpec(set)
	if err != nil {
		return 0, nil, err
	}
	c, err := s.Client(r.Context())
	if err != nil {
		return 0, nil, err
	}
	if err := s.patch(r.Context(), c, vm.Self, spec, set); err != nil {
		return 0, nil, err
	}
	if err := s.write(s.view(vm), set); err != nil {
		return 0, nil, err
	}
	if set.Power != nil {
		s.setPower(vm, *set.Power)
	}
	return http.StatusOK, s.view(vm), nil
}

// maxData is how much the admin side writes on a disk, in bytes.
const maxData = 64

// write has a guest write on its disks.
func (s *Server) write(vm simhv.VM, set simhv.VMChange) error {
	files := map[string]string{} // by the disk's ID
	for _, d := range vm.DataDisks {
		files[d.ID] = d.Name
	}
	for id, text := range set.DiskData {
		if files[id] == "" || len(text) > maxData {
			return invalid("disk_data names a disk that is not there, or is too long")
		}
		s.guests.write(files[id], text)
	}
	if set.RootData == nil {
		return nil
	}
	if len(vm.Disks) == 0 || len(*set.RootData) > maxData {
		return invalid("there is no root disk, or root_data is too long")
	}
	s.guests.write(vm.Disks[0], *set.RootData)
	return nil
}

// changeSpec is what of a change the configuration holds.
func changeSpec(set simhv.VMChange) (types.VirtualMachineConfigSpec, error) {
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
	switch {
	case set.Mark == nil:
	case bytes.Equal(set.Mark, []byte("null")):
		spec.ExtraConfig = []types.BaseOptionValue{
			&types.OptionValue{Key: keyVMID, Value: ""}, &types.OptionValue{Key: keyInstallation, Value: ""},
		}
	default:
		var m simhv.Mark
		if err := strict(set.Mark, &m); err != nil {
			return spec, err
		}
		options, err := markOptions(&m)
		if err != nil {
			return spec, err
		}
		spec.ExtraConfig, spec.InstanceUuid = options, m.VMID
	}
	if spec.NumCPUs < 0 || spec.MemoryMB < 0 || set.Name != nil && strings.TrimSpace(*set.Name) == "" {
		return spec, invalid("name, vcpus and memory_mib must be those of a VM")
	}
	return spec, nil
}

// patch makes a change past the API.
func (s *Server) patch(ctx context.Context, c *vim25.Client, vm types.ManagedObjectReference, spec types.VirtualMachineConfigSpec, set simhv.VMChange) error {
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
