package proxmox

import (
	"errors"
	"io"
	"testing"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// A cause that is a nil *providers.Error is none: who walks the causes would call
// its methods.
func TestANilCauseIsNone(t *testing.T) {
	var none *providers.Error
	err := fail("Test", providers.Aborted, none, "busy")
	if err.Err != nil || errors.Is(err, io.EOF) {
		t.Errorf("the cause is %v", err.Err)
	}
	if got := err.Error(); got != "proxmox: Test: aborted: busy" {
		t.Errorf("it says %q", got)
	}
	cause := fail("Inner", providers.NotFound, io.EOF, "gone")
	if err = fail("Test", providers.Aborted, cause, "busy"); !errors.Is(err, io.EOF) {
		t.Errorf("the cause of %v is lost", err)
	}
}
