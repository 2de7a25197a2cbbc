package vsphere

import (
	"reflect"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

const (
	refusedUs = "the hypervisor refuses our credentials"
	deniedUs  = "the hypervisor denies us this"
	busyVM    = "the hypervisor is at work on the VM"
)

// faultRow is one row of the table of what faults mean. It holds for every fault of
// the type, and of those derived from it that have no row of their own.
type faultRow struct {
	fault   types.BaseMethodFault
	code    providers.Code
	message string // safe to show to a tenant
}

// faultTable is the one table of what faults mean. The order does not matter: the
// nearest type wins.
func faultTable() []faultRow {
	const (
		noRoom  = "the hypervisor has not enough room"
		full    = "the hypervisor's storage is full"
		state   = "the VM's state does not allow for it"
		absent  = "the hypervisor does not have what was asked for"
		invalid = "the hypervisor does not take the request"
		missing = "the hypervisor cannot do this"
		down    = "the hypervisor is not available"
		changed = "the VM was changed meanwhile"
		taken   = "the place belongs to something else"
		device  = "the VM's device does not allow for it"
	)
	return []faultRow{
		{&types.NotAuthenticated{}, providers.Unauthenticated, refusedUs},
		{&types.InvalidLogin{}, providers.Unauthenticated, refusedUs},
		{&types.NoPermission{}, providers.PermissionDenied, deniedUs},
		{&types.RestrictedVersion{}, providers.Unimplemented, "the hypervisor's licence does not allow for it"},
		{&types.NotEnoughLicenses{}, providers.ResourceExhausted, "the hypervisor has no licence left"},

		{&types.ManagedObjectNotFound{}, providers.NotFound, absent},
		{&types.NotFound{}, providers.NotFound, absent},
		{&types.FileNotFound{}, providers.NotFound, absent},
		{&types.DuplicateName{}, providers.AlreadyExists, "the name is taken on the hypervisor"},
		{&types.AlreadyExists{}, providers.AlreadyExists, taken},
		{&types.FileAlreadyExists{}, providers.AlreadyExists, taken},

		{&types.TaskInProgress{}, providers.Aborted, busyVM},
		{&types.ConcurrentAccess{}, providers.Aborted, changed},
		{&types.FileLocked{}, providers.Aborted, "a file of the VM is in use"},
		{&types.ResourceInUse{}, providers.Aborted, "what was asked for is in use"},
		{&types.RequestCanceled{}, providers.Aborted, "the hypervisor's work was cancelled"},
		{&types.VAppTaskInProgress{}, providers.Aborted, busyVM},
		{&types.OperationDisallowedOnHost{}, providers.Unavailable, "the host does not allow for it now"},

		{&types.InvalidPowerState{}, providers.FailedPrecondition, state},
		{&types.InvalidState{}, providers.FailedPrecondition, state},
		{&types.ToolsUnavailable{}, providers.FailedPrecondition, "the guest's tools do not run"},
		{&types.QuestionPending{}, providers.FailedPrecondition, "the hypervisor waits for an answer of its operator"},
		{&types.CannotAccessVmComponent{}, providers.FailedPrecondition, "the hypervisor cannot reach a part of the VM"},
		{&types.VmConfigFault{}, providers.FailedPrecondition, "the VM's configuration does not allow for it"},
		{&types.InvalidDeviceSpec{}, providers.FailedPrecondition, device},
		{&types.SnapshotFault{}, providers.FailedPrecondition, "the snapshot cannot be made or removed as the VM is"},
		{&types.VMotionInterfaceIssue{}, providers.FailedPrecondition, "the hosts have no network for vMotion, by which a running VM is moved"},
		{&types.VMotionNotLicensed{}, providers.FailedPrecondition, "the hosts have no licence for vMotion, by which a running VM is moved"},
		{&types.VMotionNotSupported{}, providers.FailedPrecondition, "the hosts do not support vMotion, by which a running VM is moved"},
		{&types.MigrationFault{}, providers.FailedPrecondition, "the VM cannot be moved as it is"},
		{&types.CustomizationFault{}, providers.FailedPrecondition, "the guest cannot be customized"},
		{&types.DisallowedOperationOnFailoverHost{}, providers.FailedPrecondition, "the host is kept free for failures"},

		{&types.InsufficientResourcesFault{}, providers.ResourceExhausted, noRoom},
		{&types.NoCompatibleHost{}, providers.ResourceExhausted, "no host can take the VM"},
		{&types.NoDiskSpace{}, providers.ResourceExhausted, full},
		{&types.FileTooLarge{}, providers.InvalidArgument, "the hypervisor's storage has no files that large"},
		{&types.OutOfBounds{}, providers.InvalidArgument, invalid},
		{&types.LimitExceeded{}, providers.ResourceExhausted, "a limit of the hypervisor is reached"},

		{&types.InvalidArgument{}, providers.InvalidArgument, invalid},
		{&types.InvalidRequest{}, providers.InvalidArgument, invalid},
		{&types.InvalidName{}, providers.InvalidArgument, "the hypervisor does not take the name"},
		{&types.InvalidFolder{}, providers.InvalidArgument, "the hypervisor does not take the folder"},
		{&types.InvalidDatastore{}, providers.FailedPrecondition, "the hypervisor cannot use the storage"},
		{&types.FileFault{}, providers.FailedPrecondition, "the hypervisor cannot use a file of the VM"},

		{&types.NotSupported{}, providers.Unimplemented, missing},
		{&types.NotImplemented{}, providers.Unimplemented, missing},
		{&types.MethodNotFound{}, providers.Unimplemented, missing},

		{&types.HostNotConnected{}, providers.Unavailable, "the host is not connected"},
		{&types.HostCommunication{}, providers.Unavailable, "the host does not answer"},
		{&types.HostConnectFault{}, providers.Unavailable, "the host does not answer"},
		{&types.HostNotReachable{}, providers.Unavailable, "the host does not answer"},
		{&types.InaccessibleDatastore{}, providers.Unavailable, "the hypervisor's storage is not available"},
		{&types.Timedout{}, providers.DeadlineExceeded, "the hypervisor's work took too long"},
		{&types.SystemError{}, providers.Unknown, "the hypervisor failed"},
		{&types.MethodFault{}, providers.Unknown, "the hypervisor failed"},
		{&types.TooManyConcurrentNativeClones{}, providers.Throttled, "the hypervisor has too much to do"},
		{&types.HostConfigFault{}, providers.Unavailable, down},
	}
}

// rowOf finds the row of an error that carries a fault. Where the fault says nothing
// of its own, what caused it does.
func rowOf(err error) (faultRow, bool) {
	rows := map[reflect.Type]faultRow{}
	for _, r := range faultTable() {
		rows[structOf(r.fault)] = r
	}
	var found faultRow
	ok := false
	fault.In(err, func(f types.BaseMethodFault, _ string, _ []types.LocalizableMessage) bool {
		row, known := nearest(rows, structOf(f))
		if !known {
			return false
		}
		if !ok || found.code == providers.Unknown {
			found, ok = row, true
		}
		return found.code != providers.Unknown
	})
	return found, ok
}

// nearest is the row of the type, or of the one that it is derived from: the library
// renders derivation as embedding.
func nearest(rows map[reflect.Type]faultRow, t reflect.Type) (faultRow, bool) {
	for t != nil && t.Kind() == reflect.Struct {
		if row, ok := rows[t]; ok {
			return row, true
		}
		if t.NumField() == 0 || !t.Field(0).Anonymous {
			break
		}
		t = t.Field(0).Type
	}
	return faultRow{}, false
}

func structOf(f types.BaseMethodFault) reflect.Type {
	t := reflect.TypeOf(f)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// hasFault reports whether an answer was a fault, be it one without a type.
func hasFault(err error) bool { return soap.IsSoapFault(err) || soap.IsVimFault(err) }
