package libvirt

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// errorClass says what an error of libvirt means. The first row whose number,
// and whose text where it has one, fit is the answer.
type errorClass struct {
	number  lv.ErrorNumber // virErrorNumber in libvirt's virterror.h
	text    string         // part of the message; only where the number says too little
	code    providers.Code
	message string // safe for a tenant
}

// errorClasses is THE table of libvirt's errors. Rows with a text come before
// the row of the same number without one.
func errorClasses() []errorClass {
	const (
		full    = "the hypervisor has no room left"
		busy    = "the VM or a part of it is busy"
		refused = "the hypervisor refuses our credentials"
		denied  = "the hypervisor does not permit this"
		absent  = "not found on the hypervisor"
		wrong   = "the hypervisor cannot accept these settings"
		exists  = "the place is taken by something else"
		down    = "the hypervisor is not available"
		cannot  = "not supported by this hypervisor"
		state   = "not possible in this state"
	)
	return []errorClass{
		{lv.ErrInternalError, "Cannot allocate memory", providers.ResourceExhausted, full},
		{lv.ErrInternalError, "No space left on device", providers.ResourceExhausted, full},
		{lv.ErrInternalError, `Failed to get "write" lock`, providers.Aborted, busy},
		{lv.ErrInternalError, "has asynchronous jobs running", providers.Aborted, busy},
		{lv.ErrInternalError, "client socket is closed", providers.Unavailable, down},
		{lv.ErrNoMemory, "", providers.ResourceExhausted, full},
		{lv.ErrNoSupport, "", providers.Unimplemented, cannot},
		{lv.ErrNoConnect, "", providers.Unavailable, down},
		{lv.ErrInvalidConn, "", providers.Unavailable, down},
		{lv.ErrInvalidArg, "", providers.InvalidArgument, wrong},
		{lv.ErrOperationFailed, "already exists", providers.AlreadyExists, exists},
		{lv.ErrOperationFailed, "No space left on device", providers.ResourceExhausted, full},
		{lv.ErrDriverFull, "", providers.ResourceExhausted, full},
		{lv.ErrXMLError, "", providers.InvalidArgument, wrong},
		{lv.ErrXMLDetail, "", providers.InvalidArgument, wrong},
		{lv.ErrXMLInvalidSchema, "", providers.InvalidArgument, wrong},
		{lv.ErrDomExist, "", providers.AlreadyExists, exists},
		{lv.ErrStorageVolExist, "", providers.AlreadyExists, exists},
		{lv.ErrOperationDenied, "", providers.PermissionDenied, denied},
		{lv.ErrAccessDenied, "", providers.PermissionDenied, denied},
		{lv.ErrSystemError, "No space left on device", providers.ResourceExhausted, full},
		{lv.ErrSystemError, "Disk quota exceeded", providers.ResourceExhausted, full},
		{lv.ErrSystemError, "Cannot allocate memory", providers.ResourceExhausted, full},
		{lv.ErrSystemError, "No such file or directory", providers.FailedPrecondition, "a part of the VM is missing on the hypervisor"},
		{lv.ErrSystemError, "No such device", providers.FailedPrecondition, "a device that the VM needs is missing on the hypervisor"},
		{lv.ErrRPC, "authentication required", providers.Unauthenticated, refused},
		{lv.ErrRPC, "", providers.Unavailable, down},
		{lv.ErrGnutlsError, "", providers.Unavailable, down},
		{lv.ErrNoDomain, "", providers.NotFound, absent},
		{lv.ErrNoNetwork, "", providers.NotFound, absent},
		{lv.ErrNoStoragePool, "", providers.NotFound, absent},
		{lv.ErrNoStorageVol, "", providers.NotFound, absent},
		{lv.ErrNoDomainSnapshot, "", providers.NotFound, absent},
		{lv.ErrSnapshotRevertRisky, "", providers.FailedPrecondition, state},
		{lv.ErrDeviceMissing, "", providers.NotFound, absent},
		{lv.ErrNoDomainMetadata, "", providers.NotFound, absent},
		{lv.ErrInvalidMac, "", providers.InvalidArgument, wrong},
		{lv.ErrConfigUnsupported, "", providers.InvalidArgument, wrong},
		{lv.ErrArgumentUnsupported, "", providers.InvalidArgument, wrong},
		{lv.ErrAuthFailed, "", providers.Unauthenticated, refused},
		{lv.ErrAuthCancelled, "", providers.Unauthenticated, refused},
		{lv.ErrAuthUnavailable, "", providers.Unauthenticated, refused},
		{lv.ErrOperationInvalid, "still being allocated", providers.Aborted, busy},
		{lv.ErrOperationInvalid, "in use", providers.Aborted, busy},
		{lv.ErrOperationInvalid, "", providers.FailedPrecondition, state},
		{lv.ErrMigrateUnsafe, "", providers.FailedPrecondition, "the nodes do not share the storage of the VM's disks"},
		{lv.ErrCPUIncompatible, "", providers.FailedPrecondition, state},
		{lv.ErrOperationTimeout, "", providers.Aborted, busy},
		{lv.ErrOperationAborted, "", providers.Aborted, busy},
		{lv.ErrResourceBusy, "", providers.Aborted, busy},
		{lv.ErrOperationUnsupported, "", providers.Unimplemented, cannot},
		{lv.ErrDbusService, "", providers.Unavailable, down},
		{lv.ErrNoServer, "", providers.Unavailable, down},
	}
}

// fail turns what a call returned into a *providers.Error.
func (r rpc) fail(err error) error {
	var known *providers.Error
	if errors.As(err, &known) {
		return err
	}
	code, message := classify(err)
	return &providers.Error{Code: code, Provider: Kind, Op: r.op, Message: message, Err: err}
}

// errorf makes an error of our own, with a message that is safe for a tenant.
func (r rpc) errorf(code providers.Code, message string) error {
	return &providers.Error{Code: code, Provider: Kind, Op: r.op, Message: message}
}

func classify(err error) (code providers.Code, message string) {
	var remote lv.Error
	if errors.As(err, &remote) {
		for _, c := range errorClasses() {
			if uint32(c.number) == remote.Code && strings.Contains(remote.Message, c.text) { //nolint:gosec // error numbers are small and positive
				return c.code, c.message
			}
		}
		return providers.Unknown, "the hypervisor failed"
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return providers.DeadlineExceeded, "the hypervisor did not answer in time"
	case errors.Is(err, lv.ErrUnsupported):
		return providers.Unimplemented, "not supported by this hypervisor"
	case isTLSRefusal(err):
		return providers.Unauthenticated, "the hypervisor and we do not trust each other's certificates"
	case isTransport(err):
		return providers.Unavailable, "the hypervisor is not available"
	}
	return providers.Unknown, "the hypervisor failed"
}

// isTLSRefusal reports whether one side refused the other's certificate. Trying
// again does not help.
func isTLSRefusal(err error) bool {
	var alert tls.AlertError
	return errors.Is(err, errClientRefused) || errors.As(err, &alert) || trust.IsRefusal(err)
}

// isTransport reports whether err says that the connection is of no use.
func isTransport(err error) bool {
	if err == nil {
		return false
	}
	var netErr net.Error
	var errno syscall.Errno
	return errors.Is(err, lv.ErrInterrupted) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, errClosed) || errors.As(err, &netErr) || errors.As(err, &errno)
}

// hasNumber reports whether err is libvirt's error of that number.
func hasNumber(err error, n lv.ErrorNumber) bool {
	var remote lv.Error
	return errors.As(err, &remote) && remote.Code == uint32(n) //nolint:gosec // error numbers are small and positive
}

// hasCode reports whether err carries one of the codes.
func hasCode(err error, codes ...providers.Code) bool {
	return err != nil && slices.Contains(codes, providers.CodeOf(err))
}

// isNotFound reports whether err says that a thing is not there.
func isNotFound(err error) bool { return providers.CodeOf(err) == providers.NotFound }
