package libvirt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// TestErrorClasses gives each row of the table an answer as libvirt 9 words it.
func TestErrorClasses(t *testing.T) {
	cases := []struct {
		number  lv.ErrorNumber
		message string
		want    providers.Code
	}{
		{lv.ErrInternalError, "internal error: qemu unexpectedly closed the monitor: qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory", providers.ResourceExhausted},
		{lv.ErrInternalError, "internal error: Child process (/usr/bin/qemu-img create -f qcow2 /p/v 1G) unexpected exit status 1: qemu-img: /p/v: No space left on device", providers.ResourceExhausted},
		{lv.ErrInternalError, `internal error: process exited while connecting to monitor: Failed to get "write" lock`, providers.Aborted},
		{lv.ErrInternalError, "internal error: pool 'hcp' has asynchronous jobs running.", providers.Aborted},
		{lv.ErrInternalError, "internal error: client socket is closed", providers.Unavailable},
		{lv.ErrInternalError, "internal error: unexpected", providers.Unknown},
		{lv.ErrNoMemory, "out of memory", providers.ResourceExhausted},
		{lv.ErrNoSupport, "this function is not supported by the connection driver: virStorageVolUpload", providers.Unimplemented},
		{lv.ErrNoConnect, "no connection driver available for xen:///", providers.Unavailable},
		{lv.ErrInvalidConn, "invalid connection pointer in virDomainLookupByUUID", providers.Unavailable},
		{lv.ErrInvalidArg, "invalid argument: could not find capabilities for domaintype=kvm", providers.InvalidArgument},
		{lv.ErrOperationFailed, "operation failed: domain 'hcp' already exists with uuid 0190aaaa-0000-7000-8000-000000000001", providers.AlreadyExists},
		{lv.ErrOperationFailed, "operation failed: No space left on device", providers.ResourceExhausted},
		{lv.ErrOperationFailed, "operation failed: guest crashed", providers.Unknown},
		{lv.ErrDriverFull, "too many drivers registered", providers.ResourceExhausted},
		{lv.ErrXMLError, "XML error: Invalid PCI address", providers.InvalidArgument},
		{lv.ErrXMLDetail, "(domain_definition):1: Extra content at the end of the document", providers.InvalidArgument},
		{lv.ErrXMLInvalidSchema, "XML document failed to validate against schema", providers.InvalidArgument},
		{lv.ErrDomExist, "domain is already active as 'hcp'", providers.AlreadyExists},
		{lv.ErrStorageVolExist, "storage volume 'v' exists already", providers.AlreadyExists},
		{lv.ErrOperationDenied, "operation virDomainCreate forbidden for read only access", providers.PermissionDenied},
		{lv.ErrAccessDenied, "access denied: 'QEMU' denied access", providers.PermissionDenied},
		{lv.ErrSystemError, "cannot write data to file '/p/v': No space left on device", providers.ResourceExhausted},
		{lv.ErrSystemError, "cannot write data to file '/p/v': Disk quota exceeded", providers.ResourceExhausted},
		{lv.ErrSystemError, "cannot fork child process: Cannot allocate memory", providers.ResourceExhausted},
		{lv.ErrSystemError, "Cannot access storage file '/p/v': No such file or directory", providers.FailedPrecondition},
		{lv.ErrSystemError, "Cannot get interface MTU on 'nosuchbridge': No such device", providers.FailedPrecondition},
		{lv.ErrSnapshotRevertRisky, "revert requires force: snapshot 'x' lacks domain 'y' rollback info", providers.FailedPrecondition},
		{lv.ErrDeviceMissing, "device not found: no device found with alias 'net7'", providers.NotFound},
		{lv.ErrNoDomainSnapshot, "Domain snapshot not found: no domain snapshot with matching name 'x'", providers.NotFound},
		{lv.ErrSystemError, "Unable to read from monitor: Connection reset by peer", providers.Unknown},
		{lv.ErrRPC, "Cannot execute: authentication required", providers.Unauthenticated},
		{lv.ErrRPC, "internal error: unexpected reply", providers.Unavailable},
		{lv.ErrGnutlsError, "Unable to complete TLS handshake", providers.Unavailable},
		{lv.ErrNoDomain, "Domain not found: no domain with matching uuid", providers.NotFound},
		{lv.ErrNoNetwork, "Network not found: no network with matching name 'x'", providers.NotFound},
		{lv.ErrNoStoragePool, "Storage pool not found: no storage pool with matching name 'x'", providers.NotFound},
		{lv.ErrNoStorageVol, "Storage volume not found: no storage vol with matching name 'x'", providers.NotFound},
		{lv.ErrNoDomainMetadata, "metadata not found: Requested metadata element is not present", providers.NotFound},
		{lv.ErrInvalidMac, "invalid MAC address", providers.InvalidArgument},
		{lv.ErrConfigUnsupported, "unsupported configuration: IDE controllers are unsupported for this QEMU binary", providers.InvalidArgument},
		{lv.ErrArgumentUnsupported, "argument unsupported: flags", providers.InvalidArgument},
		{lv.ErrAuthFailed, "authentication failed: access denied by policy", providers.Unauthenticated},
		{lv.ErrAuthCancelled, "authentication cancelled: user cancelled", providers.Unauthenticated},
		{lv.ErrAuthUnavailable, "authentication unavailable: no polkit agent available", providers.Unauthenticated},
		{lv.ErrOperationInvalid, "Requested operation is not valid: volume 'v' is still being allocated.", providers.Aborted},
		{lv.ErrOperationInvalid, "Requested operation is not valid: volume 'v' is still in use.", providers.Aborted},
		{lv.ErrOperationInvalid, "Requested operation is not valid: domain is not running", providers.FailedPrecondition},
		{lv.ErrMigrateUnsafe, "Unsafe migration: Migration without shared storage is unsafe", providers.FailedPrecondition},
		{lv.ErrCPUIncompatible, "the CPU is incompatible with host CPU", providers.FailedPrecondition},
		{lv.ErrOperationTimeout, "Timed out during operation: cannot acquire state change lock", providers.Aborted},
		{lv.ErrOperationAborted, "operation aborted: by client", providers.Aborted},
		{lv.ErrResourceBusy, "resource busy: network in use", providers.Aborted},
		{lv.ErrOperationUnsupported, "Operation not supported: JSON monitor is required", providers.Unimplemented},
		{lv.ErrDbusService, "DBus service error", providers.Unavailable},
		{lv.ErrNoServer, "Server not found", providers.Unavailable},
		{lv.ErrHookScriptFailed, "Hook script execution failed", providers.Unknown},
	}
	hit := map[string]bool{}
	for _, tc := range cases {
		err := rpc{op: "Test"}.fail(lv.Error{Code: uint32(tc.number), Message: tc.message})
		require.Equal(t, tc.want, providers.CodeOf(err), tc.message)
		var e *providers.Error
		require.ErrorAs(t, err, &e)
		require.NotEmpty(t, e.Message)
		require.NotContains(t, e.Message, "/p/v", "what a tenant sees")
		require.True(t, hasNumber(err, tc.number))
		for _, row := range errorClasses() {
			if row.number == tc.number && row.code == tc.want && strings.Contains(tc.message, row.text) {
				hit[fmt.Sprint(row.number, row.text)] = true
			}
		}
	}
	for _, row := range errorClasses() {
		require.True(t, hit[fmt.Sprint(row.number, row.text)], "the row %d %q has no case", row.number, row.text)
	}
}

func TestLocalErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want providers.Code
	}{
		{lv.ErrInterrupted, providers.Unavailable},
		{lv.ErrUnsupported, providers.Unimplemented},
		{io.EOF, providers.Unavailable},
		{syscall.EINVAL, providers.Unavailable},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, providers.Unavailable},
		{errClosed, providers.Unavailable},
		{context.DeadlineExceeded, providers.DeadlineExceeded},
		{context.Canceled, providers.DeadlineExceeded},
		{errors.Join(errAbandoned, context.DeadlineExceeded), providers.DeadlineExceeded},
		{fmt.Errorf("%w: %w", errClientRefused, io.EOF), providers.Unauthenticated},
		{x509.UnknownAuthorityError{}, providers.Unauthenticated},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{}}, providers.Unauthenticated},
		{errors.New("something else"), providers.Unknown},
	} {
		err := rpc{op: "Test"}.fail(tc.err)
		require.Equal(t, tc.want, providers.CodeOf(err), "%v", tc.err)
		require.ErrorIs(t, err, tc.err)
	}
	known := rpc{op: "First"}.errorf(providers.NotFound, "no such VM")
	require.Same(t, known, rpc{op: "Second"}.fail(known), "an error of the contract passes as it is")
}
