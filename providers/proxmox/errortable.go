package proxmox

import (
	"net/http"
	"slices"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// errorRow is one row of the table of what answers mean. Proxmox VE gives most
// failures the status 500 and says the rest in words.
type errorRow struct {
	status  int    // 0: any
	text    string // in lower case, a part of the answer's text
	code    providers.Code
	message string // safe to show to a tenant
	seen    string // the real text it was seen in; a failed task's exit status too
}

const failed = http.StatusInternalServerError

// statusNode and above are a node's answer for another one that it cannot ask.
const statusNode = 595

// errorTable is the one table of what answers mean. The first row that fits wins.
func errorTable() []errorRow {
	return slices.Concat(
		busyRows(), absenceRows(), placeRows(), stateRows(), partRows(), templateRows(), capacityRows(), statusRows(),
	)
}

// busyRows are what goes away by itself.
func busyRows() []errorRow {
	const busy = "the VM is busy"
	return []errorRow{
		{failed, "got timeout", providers.Aborted, busy, "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout"},
		{failed, "got lock request timeout", providers.Aborted, busy, "cfs-lock 'storage-local-lvm' error: got lock request timeout"},
		{failed, "vm is locked", providers.Aborted, busy, "VM is locked (snapshot)"},
		{failed, "detected modified configuration", providers.Aborted, "the VM was changed meanwhile", "detected modified configuration - file changed by other user? Try again."},
		{failed, "no quorum", providers.Unavailable, "the hypervisor's cluster has no quorum", "cluster not ready - no quorum?"},
		{failed, "is not online", providers.Unavailable, "the hypervisor's storage is not available", "storage 'nfs1' is not online"},
		{failed, "is running - destroy failed", providers.Aborted, "the VM was started meanwhile", "VM 101 is running - destroy failed"},
		{failed, "unexpected status", providers.Aborted, "the hypervisor's work was interrupted", "unexpected status"},
		{failed, "interrupted by signal", providers.Aborted, "the hypervisor's work was interrupted", "interrupted by signal"},
		{failed, "checksum mismatch", providers.Aborted, "the VM was changed meanwhile", "checksum mismatch (file change by other user?)"},
		{failed, "migration problems", providers.Aborted, "the migration ended with problems", "migration problems"},
		{failed, "migration aborted", providers.Aborted, "the migration was interrupted", "migration aborted"},
		{failed, "snapshot name", providers.Aborted, "the snapshot was just made", "snapshot name 'hcp1' already used"},
		{failed, "got no worker upid", providers.Aborted, "the hypervisor could not begin the work", "got no worker upid - start worker failed"},
	}
}

// absenceRows are what is not there.
func absenceRows() []errorRow {
	const vm, task, place = noSuchVM, "no such task", "the hypervisor does not have the place that was chosen"
	return []errorRow{
		{failed, ".conf' does not exist", providers.NotFound, vm, "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist"},
		{failed, "no such vm", providers.NotFound, vm, "no such VM ('101')"},
		{failed, "unable to find configuration file for vm", providers.NotFound, vm, "unable to find configuration file for VM 101 - no such machine"},
		{0, "no such task", providers.NotFound, task, "Parameter verification failed.; upid: no such task"},
		{0, "unable to parse worker upid", providers.NotFound, task, "unable to parse worker upid 'UPID:pve1:0'"},
		{failed, "hostname lookup", providers.NotFound, place, "hostname lookup 'nope' failed - failed to get address info for: nope: Name or service not known"},
		{failed, "snapshot '", providers.NotFound, "no such snapshot", "snapshot 'hcp1' does not exist"},
		{failed, "no such cluster node", providers.NotFound, place, "no such cluster node 'nope'"},
	}
}

// placeRows are places that are taken, or not there.
func placeRows() []errorRow {
	const taken = "the VMID that was chosen is taken"
	return []errorRow{
		{failed, "config file already exists", providers.AlreadyExists, taken, "unable to create VM 101: config file already exists"},
		{failed, "failed: file exists", providers.AlreadyExists, taken, "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/101.conf' failed: File exists"},
		{failed, "already exists on node", providers.AlreadyExists, taken, "unable to create VM 101 - VM 101 already exists on node 'pve1'"},
		{failed, "is not available on node", providers.FailedPrecondition, "the storage is not on the node that was chosen", "storage 'local-lvm' is not available on node 'pve2'"},
		{failed, "can't clone to non-shared storage", providers.FailedPrecondition, "the storage is not on the node that was chosen", "can't clone to non-shared storage 'local-lvm'"},
		{failed, "(vm uses local storage)", providers.FailedPrecondition, "the template's disk is on another node", "can't clone VM to node 'pve2' (VM uses local storage)"},
		{failed, "pool '", providers.FailedPrecondition, "the hypervisor does not have the pool", "pool 'nope' does not exist"},
		{failed, "storage '", providers.FailedPrecondition, "the hypervisor does not have the storage", "storage 'nope' does not exist"},
		{failed, "bridge '", providers.FailedPrecondition, "the hypervisor does not have the network", "bridge 'vmbr9' does not exist"},
	}
}

// stateRows are what the VM's state does not allow.
func stateRows() []errorRow {
	const running, stopped = vmRunning, vmNotRunning
	return []errorRow{
		{failed, "is running", providers.FailedPrecondition, running, "VM is running"},
		{failed, "already running", providers.FailedPrecondition, running, "VM 101 already running"},
		{failed, "migrate running vm without --online", providers.FailedPrecondition, running, "can't migrate running VM without --online"},
		{failed, "guest agent", providers.FailedPrecondition, "the guest's agent does not run", "QEMU guest agent is not running"},
		{failed, "vm is paused", providers.FailedPrecondition, "the VM is paused", "VM is paused - cannot shutdown"},
		{failed, "not running", providers.FailedPrecondition, stopped, "VM 101 not running"},
		{failed, "still in use by linked clone", providers.FailedPrecondition, "other VMs are clones of it", "base volume 'local-lvm:base-9000-disk-0' is still in use by linked cloned"},
		{failed, "used in ha resources", providers.FailedPrecondition, "the VM is managed by the hypervisor's high availability", "unable to remove VM 101 - used in HA resources and purge parameter not set."},
		{failed, "shrinking disks is not supported", providers.InvalidArgument, "a disk cannot shrink", "shrinking disks is not supported"},
		{failed, "feature is not supported", providers.Unimplemented, "the storage cannot do this", "Linked clone feature is not supported for 'local:101/vm-101-disk-0.raw' (scsi0)"},
		{failed, "snapshot feature is not available", providers.Unimplemented, "the storage cannot do this", "snapshot feature is not available"},
		{failed, "not allowed for linked clones", providers.InvalidArgument, "a linked clone stays on its template's storage", "parameter 'storage' not allowed for linked clones"},
		{failed, "can't migrate vm which uses local devices", providers.FailedPrecondition, "the VM has devices of its node", "can't migrate VM which uses local devices: hostpci0"},
		{failed, "protection mode enabled", providers.FailedPrecondition, "the VM is protected", "can't remove VM 101 - protection mode enabled"},
		{0, "hotplug problem", providers.FailedPrecondition, "the guest does not take the device, or does not let go of it", "Parameter verification failed.; scsi1: hotplug problem - error unplugging drive 'scsi1'"},
	}
}

// capacityRows are what there is not enough of.
func capacityRows() []errorRow {
	const disk = "the hypervisor's storage is full"
	return []errorRow{
		{failed, "no space left", providers.ResourceExhausted, disk, "clone failed: copy failed: write error: No space left on device"},
		{failed, "not enough free space", providers.ResourceExhausted, disk, "clone failed: unable to create image: not enough free space"},
		{failed, "insufficient free space", providers.ResourceExhausted, disk, "lvcreate 'pve/vm-101-disk-0' error:   Insufficient free space: 2048 extents needed, but only 512 available"},
		{failed, "out of space", providers.ResourceExhausted, disk, "zfs error: cannot create 'rpool/data/vm-101-disk-0': out of space"},
		{failed, "free space in thin pool", providers.ResourceExhausted, disk, "lvcreate 'pve/vm-101-disk-0' error:   Cannot create new thin volume, free space in thin pool pve/data reached threshold."},
		{failed, "cannot allocate memory", providers.ResourceExhausted, "the node has no memory left", "start failed: cannot set up guest memory 'pc.ram': Cannot allocate memory"},
		{failed, "vcpus allowed per vm", providers.ResourceExhausted, "the node has not that many CPUs", "MAX 4 vcpus allowed per VM on this node"},
	}
}

// statusRows are what the status alone tells. 595 to 599 are a node's answer for
// another one that it could not ask: with 595 nothing was asked.
func statusRows() []errorRow {
	const down = "the hypervisor is not available"
	return []errorRow{
		{failed, "permission check failed", providers.PermissionDenied, "the hypervisor denies us this", "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)"},
		{failed, "only root can", providers.PermissionDenied, "the hypervisor denies us this", "only root can set 'args' config"},
		{http.StatusBadRequest, "", providers.InvalidArgument, "the hypervisor refuses the request", "Parameter verification failed.; cores: value must have a minimum value of 1"},
		{http.StatusUnauthorized, "", providers.Unauthenticated, "the hypervisor refuses our credentials", "invalid token value!"},
		{http.StatusForbidden, "", providers.PermissionDenied, "the hypervisor denies us this", "Permission check failed (/vms/101, VM.PowerMgmt)"},
		{http.StatusTooManyRequests, "", providers.Throttled, "the hypervisor has too much to do", "Too Many Requests"},
		{http.StatusNotImplemented, "", providers.Unimplemented, "the hypervisor does not know the operation", "Method 'GET /nodes/pve1/nope' not implemented"},
		{http.StatusBadGateway, "", providers.Unavailable, down, "Bad Gateway"},
		{http.StatusServiceUnavailable, "", providers.Unavailable, down, "Service Unavailable"},
		{http.StatusGatewayTimeout, "", providers.DeadlineExceeded, "the hypervisor did not answer in time", "Gateway Timeout"},
		{statusNode, "", providers.Unavailable, "the node is not available", "No route to host"},
		{596, "", providers.DeadlineExceeded, "the node did not answer in time", "Connection timed out"},
		{597, "", providers.DeadlineExceeded, "the node did not answer in time", "Broken pipe"},
		{599, "", providers.DeadlineExceeded, "the node did not answer in time", "Too many redirections"},
	}
}
