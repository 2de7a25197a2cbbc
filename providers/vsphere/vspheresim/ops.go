package vspheresim

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// Faults, latency and the list of calls speak of the operations of all simulated
// hypervisors. A call of the API is counted as the operation that it is the work of;
// what is not in these tables has no such name, and a fault can still name it by its
// method.

const (
	opLogin    = "login"
	opCreate   = "create_vm"
	opClone    = "clone_vm"
	opResize   = "resize_vm"
	opPollTask = "poll_task"
	opFind     = "find_vm"
)

// operations are the names of methods that are always the same operation.
func operations() map[string]string {
	return map[string]string{
		"Login": opLogin, "RetrieveServiceContent": "info", "FindAllByUuid": opFind,
		"CreateVM_Task": opCreate, "PowerOffVM_Task": "set_power", "ShutdownGuest": "set_power",
		"ResetVM_Task": "reboot", "RebootGuest": "reboot", "SuspendVM_Task": "suspend_vm", "Destroy_Task": "delete_vm",
		"CreateSnapshot_Task": "snapshot_create", "RevertToSnapshot_Task": "snapshot_revert", "RemoveSnapshot_Task": "snapshot_delete",
		"RelocateVM_Task": "migrate_vm", "AcquireTicket": "open_console", "CopyVirtualDisk_Task": "rebuild_vm", "DeleteVirtualDisk_Task": "delete_disk",
	}
}

// beginsTask reports whether a method begins a task that changes something.
func beginsTask(method string) bool {
	return strings.HasSuffix(method, "_Task") && !strings.HasPrefix(method, "Search")
}

// callOf is the call of a target.
func callOf(t simadmin.Target) Call { return Call{Method: t.Call, Object: t.NativeID} }

// target finds out what a call is about.
func (s *Server) target(c Call, raw []byte) simadmin.Target {
	t := simadmin.Target{Call: c.Method, NativeID: c.Object, Op: operations()[c.Method]}
	vm := s.seen(c.Object)
	t.VMID, t.Name, t.Node = vm.vmID, vm.name, vm.node
	switch c.Method {
	case "PowerOnVM_Task":
		t.Op = "set_power"
		if vm.power == types.VirtualMachinePowerStateSuspended {
			t.Op = "resume_vm"
		}
	case "CloneVM_Task", "CreateVM_Task", "ReconfigVM_Task", "RetrieveProperties", "RetrievePropertiesEx":
		method, err := simulator.UnmarshalBody(types.TypeFunc(), raw)
		if err == nil {
			s.readBody(&t, vm, method.Body)
		}
	}
	return t
}

// readBody adds what the body of a call says.
func (s *Server) readBody(t *simadmin.Target, vm sight, body any) {
	switch req := body.(type) {
	case *types.CloneVM_Task:
		t.Op = opClone
		if vm.template {
			t.Op = opCreate
		}
		t.Name, t.Node, t.VMID = req.Name, "", ""
		if req.Spec.Config != nil {
			t.VMID = textOf(req.Spec.Config.ExtraConfig)[keyVMID]
		}
		if req.Spec.Location.Host != nil {
			t.Node = s.hostName(*req.Spec.Location.Host)
		}
	case *types.CreateVM_Task:
		t.Name, t.VMID = req.Config.Name, textOf(req.Config.ExtraConfig)[keyVMID]
		if req.Host != nil {
			t.Node = s.hostName(*req.Host)
		}
	case *types.ReconfigVM_Task:
		t.Op = changeOf(req.Spec)
		if vm.making {
			t.Op = opCreate
		}
	case *types.RetrieveProperties:
		t.Op = readOf(req.SpecSet)
	case *types.RetrievePropertiesEx:
		t.Op = readOf(req.SpecSet)
	}
}

// changeOf names a change of a configuration by what it attaches, detaches or
// resizes. One of what is remembered of the VM has no name.
func changeOf(spec types.VirtualMachineConfigSpec) string {
	added, removed, op := 0, 0, ""
	for _, change := range spec.DeviceChange {
		c := change.GetVirtualDeviceConfigSpec()
		_, disk := c.Device.(*types.VirtualDisk)
		_, card := c.Device.(types.BaseVirtualEthernetCard)
		add := c.Operation == types.VirtualDeviceConfigSpecOperationAdd
		remove := c.Operation == types.VirtualDeviceConfigSpecOperationRemove
		switch {
		case card && add:
			op = "attach_nic"
		case card:
			op = "detach_nic"
		case disk && add:
			added, op = added+1, "attach_disk"
		case disk && remove:
			removed, op = removed+1, "detach_disk"
		case disk:
			op = opResize
		}
	}
	switch {
	case added > 0 && removed > 0:
		return "rebuild_vm"
	case spec.NumCPUs != 0 || spec.MemoryMB != 0:
		return opResize
	}
	return op
}

// readOf names a read by what it is of.
func readOf(specs []types.PropertyFilterSpec) string {
	for _, spec := range specs {
		for _, o := range spec.ObjectSet {
			switch o.Obj.Type {
			case "Task":
				return opPollTask
			case "VirtualMachine":
				if len(o.SelectSet) == 0 {
					return opFind
				}
			case "ContainerView":
				return sweepOf(spec.PropSet)
			}
		}
	}
	return ""
}

// sweepOf names a read of the inventory.
func sweepOf(props []types.PropertySpec) string {
	op := ""
	for _, p := range props {
		switch {
		case p.Type == "VirtualMachine" && len(p.PathSet) > 0 && p.PathSet[len(p.PathSet)-1] == "summary.config.template":
			return "list_images"
		case p.Type == "VirtualMachine":
			return "list_vms"
		case p.Type == "HostSystem":
			op = "list_nodes"
		case p.Type == "Network":
			op = "list_networks"
		}
	}
	return op
}
