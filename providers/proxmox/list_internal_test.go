package proxmox

import (
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
)

// The list of resources has the state of QEMU's monitor, which knows more than on
// and off.
func TestPowerOfAListedVM(t *testing.T) {
	for status, want := range map[string]models.PowerState{
		"running": models.PowerRunning, "prelaunch": models.PowerRunning, "io-error": models.PowerRunning,
		"stopped": models.PowerStopped, "paused": models.PowerPaused, "suspended": models.PowerPaused,
		"unknown": models.PowerUnknown, "": models.PowerUnknown,
	} {
		if got := (&listed{row: row{Status: status}}).shown().Power; got != want {
			t.Errorf("a VM that is %q is listed as %s, want %s", status, got, want)
		}
	}
	if got := (&listed{row: row{Status: "stopped", Lock: "suspended"}}).shown().Power; got != models.PowerSuspended {
		t.Errorf("a VM that sleeps on disk is listed as %s", got)
	}
}
