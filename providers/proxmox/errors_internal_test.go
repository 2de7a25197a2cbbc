package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// Each row is the one that its own real text is classified by: no row stands in
// front of another one.
func TestEveryRowOfTheTableIsReached(t *testing.T) {
	for _, row := range errorTable() {
		status := row.status
		if status == 0 {
			status = http.StatusBadRequest
		}
		code, message := classifyAnswer(&apiError{Status: status, Reason: row.seen})
		if code != row.code || message != row.message {
			t.Errorf("%d %q is %s (%s), want %s (%s)", status, row.seen, code, message, row.code, row.message)
		}
		if row.seen == "" || row.message == "" || !slices.Contains(providers.Codes(), row.code) {
			t.Errorf("the row of %q is not whole", row.text)
		}
		if row.text != strings.ToLower(row.text) {
			t.Errorf("%q is not in lower case, and so is never found", row.text)
		}
	}
}

func TestAnswersAreClassifiedAsTheyComeOverTheWire(t *testing.T) {
	for _, c := range []struct {
		status string
		want   providers.Code
	}{
		{"500 Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist", providers.NotFound},
		{"500 can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout", providers.Aborted},
		{"500 VM is locked (clone)", providers.Aborted},
		{"500 unable to create VM 101: config file already exists", providers.AlreadyExists},
		{"500 cluster not ready - no quorum?", providers.Unavailable},
		{"500 something that nobody has seen", providers.Unknown},
		{"595 No route to host", providers.Unavailable},
		{"596 Connection timed out", providers.DeadlineExceeded},
		{"401 no such token 'hcp' for user 'root@pam'", providers.Unauthenticated},
		{"403 Permission check failed (/vms/101, VM.PowerMgmt)", providers.PermissionDenied},
		{"501 Method 'GET /nope' not implemented", providers.Unimplemented},
	} {
		t.Run(c.status, func(t *testing.T) {
			url := answering(t, func(w http.ResponseWriter, _ *http.Request) { refuse(t, w, c.status) })
			err := openWith(t, testConfig(url, nil)).get(t.Context(), "Test", "/version", nil, nil)
			wantCode(t, "get", err, c.want)
			if !strings.Contains(err.Error(), c.status[4:]) {
				t.Errorf("%v does not tell operators %q", err, c.status)
			}
			if strings.Contains(err.Message, "pve1") || strings.Contains(err.Message, "101") {
				t.Errorf("the message %q names what is the hypervisor's", err.Message)
			}
		})
	}
}

func TestExitStatusOfATask(t *testing.T) {
	for exit, want := range map[string]providers.Code{
		"OK":                                 "",
		"WARNINGS: 2":                        "",
		"VM 101 is running - destroy failed": providers.Aborted,
		"clone failed: copy failed: write error: No space left on device":   providers.ResourceExhausted,
		"can't lock file '/var/lock/qemu-server/lock-9.conf' - got timeout": providers.Aborted,
		"unexpected status": providers.Aborted,
		"400 Parameter verification failed. net1: hotplug problem - error on hot-unplugging device 'net1'": providers.FailedPrecondition,
		"":         providers.Unknown,
		"WARNINGS": providers.Unknown,
	} {
		var err error
		if failure := exitError("Test", exit); failure != nil {
			err = failure
		}
		wantCode(t, fmt.Sprintf("%q", exit), err, want)
	}
}

func TestErrorsOfTheConnection(t *testing.T) {
	for _, c := range []struct {
		err  error
		want providers.Code
	}{
		{context.DeadlineExceeded, providers.DeadlineExceeded},
		{fmt.Errorf("%w: %w", errAnswerLost, http.ErrServerClosed), providers.DeadlineExceeded},
		{fmt.Errorf("%w: %w", errNotReached, http.ErrServerClosed), providers.Unavailable},
		{errClosed, providers.Unavailable},
		{fmt.Errorf("%w: %w", errNotReached, trust.ErrPin), providers.Unauthenticated},
	} {
		if code, _ := classify(c.err); code != c.want {
			t.Errorf("%v is %s, want %s", c.err, code, c.want)
		}
	}
}
