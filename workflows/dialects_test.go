package workflows_test

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// dialect is how a kind of hypervisor calls what the tests speak of in the words of
// simulated hypervisors of kind sim. What it has no other word for it calls the same.
type dialect struct {
	// operations are what the admin side calls operations.
	operations map[string]string
	// refusals are the status and the code of refusals, by sim's code.
	refusals map[string]refusal
	// forgetting is what a fault names whose task is to be forgotten at the first poll,
	// where it is the call that begins a task which says so.
	forgetting string
	// calls are the calls by which operations begin their work, as the line hears them.
	calls map[string]string
	// never are the faults that cannot happen, with what the admin side says of them.
	never map[simadmin.FaultKind]string
	// noRoom is what a job says whose work there is no room for.
	noRoom string
}

// refusal is how a call is refused.
type refusal struct {
	status int
	code   string
}

// translated is a fault in the words of the hypervisor.
func (d dialect) translated(f simadmin.Fault) simadmin.Fault {
	if f.Kind == simadmin.FaultForgetTask && f.Op == "poll_task" {
		f.Op = cmp.Or(d.forgetting, f.Op)
	}
	f.Op = cmp.Or(d.operations[f.Op], f.Op)
	if r, ok := d.refusals[f.Code]; ok {
		f.Status, f.Code = r.status, r.code
	}
	return f
}

// begins reports whether a call that the line has heard begins the work of an operation.
func (d dialect) begins(op, heard string) bool {
	return strings.HasPrefix(heard, cmp.Or(d.calls[op], op))
}

func simDialect() dialect {
	return dialect{operations: map[string]string{"grow_disk": "resize_vm"}, noRoom: "no capacity"}
}

func proxmoxDialect() dialect {
	return dialect{
		operations: map[string]string{
			"finish_rebuild": "delete_disk", "abort_migration": "DELETE /nodes/{node}/tasks/{upid}", "resume_vm": "set_power",
			"grow_disk": "PUT /nodes/{node}/qemu/{vmid}/resize", // CPUs and memory are another call
		},
		noRoom: "the hypervisor's storage is full",
		refusals: map[string]refusal{
			"no_capacity":     {http.StatusInternalServerError, "clone failed: unable to create image: not enough free space"},
			"denied":          {http.StatusForbidden, "Permission check failed"},
			"invalid":         {http.StatusBadRequest, "Parameter verification failed."},
			"unauthenticated": {http.StatusUnauthorized, "invalid token value!"},
			"unsupported":     {http.StatusInternalServerError, "snapshot feature is not available"},
		},
		calls: map[string]string{
			"create_vm": "POST /nodes/qemu/clone", "set_power": "POST /nodes/qemu/status/", "delete_vm": "DELETE /nodes/qemu", "migrate_vm": "POST /nodes/qemu/migrate",
		},
	}
}

func vsphereDialect() dialect {
	return dialect{
		operations: map[string]string{"finish_rebuild": "delete_disk", "abort_migration": "CancelTask", "grow_disk": "resize_vm"},
		noRoom:     "the hypervisor's storage is full",
		forgetting: simadmin.AnyOp,
		refusals: map[string]refusal{
			"no_capacity": {code: "NoDiskSpace"}, "denied": {code: "NoPermission"},
			"invalid": {code: "InvalidArgument"}, "unauthenticated": {code: "NotAuthenticated"}, "unsupported": {code: "NotSupported"},
			"garbled": {status: http.StatusTeapot},
		},
		calls: map[string]string{"create_vm": "CloneVM_Task", "set_power": "PowerOnVM_Task", "delete_vm": "Destroy_Task", "migrate_vm": "RelocateVM_Task"},
		never: map[simadmin.FaultKind]string{simadmin.FaultPartial: "nothing is made in part: a clone is one task"},
	}
}

// esxiDialect is that of vCenter, but for what a host that stands alone has not.
func esxiDialect() dialect {
	d := vsphereDialect()
	d.operations["clone_vm"] = "create_vm"
	d.calls["create_vm"] = "CreateVM_Task"
	return d
}
