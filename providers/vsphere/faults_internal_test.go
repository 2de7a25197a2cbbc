package vsphere

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// answered is a fault as the answer of a call, and failed as the end of a task.
func answered(f types.BaseMethodFault) error {
	var e soap.Fault
	e.Code, e.String, e.Detail.Fault = "ServerFaultCode", "secret-host: it did not work", f
	return soap.WrapSoapFault(&e)
}

func failed(f types.BaseMethodFault) error {
	return task.Error{LocalizedMethodFault: &types.LocalizedMethodFault{Fault: f, LocalizedMessage: "secret-host: it did not work"}}
}

// TestFaultsByType has the faults of vSphere, those derived from others too, in both
// places where they stand.
func TestFaultsByType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault types.BaseMethodFault
		want  providers.Code
	}{
		{&types.InvalidPowerState{}, providers.FailedPrecondition},
		{&types.DuplicateName{}, providers.AlreadyExists},
		{&types.InsufficientResourcesFault{}, providers.ResourceExhausted},
		{&types.InsufficientMemoryResourcesFault{}, providers.ResourceExhausted},
		{&types.InsufficientHostMemoryCapacityFault{}, providers.ResourceExhausted},
		{&types.InsufficientCpuResourcesFault{}, providers.ResourceExhausted},
		{&types.InsufficientStorageSpace{}, providers.ResourceExhausted},
		{&types.NotAuthenticated{}, providers.Unauthenticated},
		{&types.InvalidLogin{}, providers.Unauthenticated},
		{&types.PasswordExpired{}, providers.Unauthenticated},
		{&types.NoPermission{}, providers.PermissionDenied},
		{&types.ManagedObjectNotFound{}, providers.NotFound},
		{&types.FileNotFound{}, providers.NotFound},
		{&types.FileAlreadyExists{}, providers.AlreadyExists},
		{&types.TaskInProgress{}, providers.Aborted},
		{&types.ConcurrentAccess{}, providers.Aborted},
		{&types.FileLocked{}, providers.Aborted},
		{&types.RequestCanceled{}, providers.Aborted},
		{&types.ToolsUnavailable{}, providers.FailedPrecondition},
		{&types.RestrictedVersion{}, providers.Unimplemented},
		{&types.NotEnoughLicenses{}, providers.ResourceExhausted},
		{&types.NotSupported{}, providers.Unimplemented},
		{&types.MemorySnapshotOnIndependentDisk{}, providers.FailedPrecondition},
		{&types.SnapshotDisabled{}, providers.FailedPrecondition},
		{&types.VMotionNotConfigured{}, providers.FailedPrecondition},
		{&types.NoDiskSpace{}, providers.ResourceExhausted},
		{&types.CannotCreateFile{}, providers.FailedPrecondition},
		{&types.InvalidArgument{}, providers.InvalidArgument},
		{&types.InvalidName{}, providers.InvalidArgument},
		{&types.HostNotConnected{}, providers.Unavailable},
		{&types.InaccessibleDatastore{}, providers.Unavailable},
		{&types.Timedout{}, providers.DeadlineExceeded},
		{&types.SystemError{}, providers.Unknown},
		{&types.OvfFault{}, providers.Unknown},
	} {
		for _, err := range []error{answered(c.fault), failed(c.fault), fmt.Errorf("wrapped: %w", failed(c.fault))} {
			got := classify("Test", err)
			if got.Code != c.want {
				t.Errorf("%T (%T) = %s, want %s", c.fault, err, got.Code, c.want)
			}
			if got.Message == "" || strings.Contains(got.Message, "secret-host") {
				t.Errorf("%T: message = %q", c.fault, got.Message)
			}
		}
	}
}

// TestCauseTellsMore has faults that say nothing of their own.
func TestCauseTellsMore(t *testing.T) {
	t.Parallel()
	cause := &types.LocalizedMethodFault{Fault: &types.NoDiskSpace{}}
	general := &types.SystemError{}
	general.FaultCause = cause
	if got := classify("Test", failed(general)).Code; got != providers.ResourceExhausted {
		t.Errorf("a general fault caused by a full disk = %s", got)
	}
	special := &types.TaskInProgress{}
	special.FaultCause = cause
	if got := classify("Test", failed(special)).Code; got != providers.Aborted {
		t.Errorf("a task in progress with a cause = %s", got)
	}
}

// TestFaultTable has one row for each type, with a message.
func TestFaultTable(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	for _, r := range faultTable() {
		kind := structOf(r.fault)
		if seen[kind] || r.message == "" || r.code == "" {
			t.Errorf("%v stands twice, or says nothing", kind)
		}
		seen[kind] = true
	}
}

// TestErrorsOfTransport has what is no fault.
func TestErrorsOfTransport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want providers.Code
	}{
		{context.DeadlineExceeded, providers.DeadlineExceeded},
		{context.Canceled, providers.DeadlineExceeded},
		{fmt.Errorf("%w: EOF", errAnswerLost), providers.DeadlineExceeded},
		{fmt.Errorf("%w: refused", errNotReached), providers.Unavailable},
		{errClosed, providers.Unavailable},
		{trust.ErrPin, providers.Unauthenticated},
		{&statusError{http.StatusServiceUnavailable}, providers.Unavailable},
		{&statusError{http.StatusTooManyRequests}, providers.Throttled},
		{&statusError{http.StatusForbidden}, providers.PermissionDenied},
		{&statusError{http.StatusUnauthorized}, providers.Unauthenticated},
		{&statusError{http.StatusGatewayTimeout}, providers.DeadlineExceeded},
		{&statusError{http.StatusNotFound}, providers.Unknown},
		{answered(nil), providers.Unknown},
	} {
		wantCode(t, c.err.Error(), classify("Test", c.err), c.want)
	}
	if classify("Test", nil) != nil {
		t.Error("no error is an error")
	}
	known := notFound("Other")
	if got := classify("Test", errors.Join(known)); got != known {
		t.Errorf("an error of the contract became %v", got)
	}
}

// TestLostAnswer loses the answer of a call that took effect, and one that did not.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	p := openWith(t, testConfig(s, nil))
	if _, err := p.find(t.Context(), "Find", testVM); err != nil {
		t.Fatal(err)
	}
	s.LoseAnswer("FindAllByUuid")
	_, err := p.find(t.Context(), "Find", testVM)
	wantCode(t, "an answer that was lost", err, providers.DeadlineExceeded)
	s.Close()
	_, err = p.find(t.Context(), "Find", testVM)
	wantCode(t, "a server that is gone", err, providers.Unavailable)
}

// TestDeadline bounds a call that the server does not answer.
func TestDeadline(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s.Before(func(c vspheresim.Call) {
		if c.Method == "FindAllByUuid" {
			<-release
		}
	})
	p := openWith(t, testConfig(s, map[string]string{optCallTimeout: "100ms"}))
	_, err := p.find(t.Context(), "Find", testVM)
	wantCode(t, "a call without an answer", err, providers.DeadlineExceeded)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.find(ctx, "Find", testVM)
	wantCode(t, "a call that was given up", err, providers.DeadlineExceeded)
}

// TestInjectedFaults has the simulator's own rules.
func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	p := openWith(t, testConfig(s, nil))
	for _, c := range []struct {
		rule simulator.FaultType
		want providers.Code
	}{
		{simulator.FaultTypeNoPermission, providers.PermissionDenied},
		{simulator.FaultTypeInsufficientResourcesFault, providers.ResourceExhausted},
		{simulator.FaultTypeInvalidState, providers.FailedPrecondition},
		{simulator.FaultTypeResourceInUse, providers.Aborted},
		{simulator.FaultTypeInvalidArgument, providers.InvalidArgument},
		{simulator.FaultTypeMethodNotFound, providers.Unimplemented},
		{simulator.FaultTypeNotAuthenticated, ""},
	} {
		s.Service.ClearFaultRules()
		s.Service.AddFaultRule(&simulator.FaultInjectionRule{
			MethodName: "FindAllByUuid", ObjectType: "*", ObjectName: "*", Probability: 1, Enabled: true, MaxCount: 1, FaultType: c.rule,
		})
		_, err := p.FindVM(t.Context(), models.NewID())
		if c.want == "" {
			c.want = providers.NotFound // one login later
		}
		wantCode(t, fmt.Sprintf("rule %d", c.rule), err, c.want)
	}
}
