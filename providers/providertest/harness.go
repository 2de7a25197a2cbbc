package providertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Harness is what an adapter's test supplies.
type Harness struct {
	// Open returns an adapter with the same installation ID on the same
	// hypervisor each time: a VM made through one must be visible through the
	// next. The suite closes what it opens.
	Open func(ctx context.Context, t *testing.T) providers.Provider

	// Request returns a valid request for a VM that does not exist yet: a new
	// VM ID, a node, an image and networks that the hypervisor has.
	Request func(t *testing.T) providers.CreateVMRequest

	// GuestRequest is Request for a VM whose guest obeys a graceful stop.
	// Nil means that every VM of Request has such a guest.
	GuestRequest func(t *testing.T) providers.CreateVMRequest

	// Foreign puts a VM of another installation on the hypervisor, under the
	// given VM ID wherever the hypervisor keeps IDs of ours (a domain's UUID,
	// the mark). It removes the VM at the end of the test, and returns a probe
	// that fails the test when the VM is gone or was changed. Nil where a
	// foreign VM cannot be made: the cases that need one are then left out.
	Foreign func(ctx context.Context, t *testing.T, vmID string) (probe func(t *testing.T))

	// Capabilities is what Info must report: a golden list, so that losing a
	// capability fails a test. The order does not matter.
	Capabilities []models.Capability

	// Settle bounds the wait for one piece of hypervisor work; 0 means 10 s.
	Settle time.Duration

	// PollEvery is the pause between two looks at it; 0 means 5 ms.
	PollEvery time.Duration

	// AskAgain is how long a graceful stop may be without effect before the
	// guest is asked again (it may still be booting); 0 means 2 s.
	AskAgain time.Duration

	// Disks looks at what is on a VM's disks, and Boots at whether a guest goes
	// on or began anew. Nil where the test cannot tell: then the cases compare
	// what the adapter shows, and no more.
	Disks DiskProbe
	Boots BootProbe

	// Serial is a line to type on the serial console of a VM of GuestRequest, and
	// what the guest answers. The zero value means that the guest says nothing.
	Serial Dialogue

	// LoseAnswer lets the next call of the method take effect on the hypervisor,
	// and loses its answer. Nil where that cannot be done.
	LoseAnswer func(ctx context.Context, t *testing.T, method string)

	// ForgetsTokens says that the hypervisor cannot tell whether it carried a
	// token out: asked again with the same one it may act again.
	ForgetsTokens bool

	// Slow says that making a VM costs seconds: the suite then makes fewer.
	Slow bool
}

func (h Harness) withDefaults() Harness {
	if h.GuestRequest == nil {
		h.GuestRequest = h.Request
	}
	if h.Settle == 0 {
		h.Settle = 10 * time.Second
	}
	if h.PollEvery == 0 {
		h.PollEvery = 5 * time.Millisecond
	}
	if h.AskAgain == 0 {
		h.AskAgain = 2 * time.Second
	}
	return h
}

func (h Harness) has(c models.Capability) bool { return slices.Contains(h.Capabilities, c) }

// DiskProbe writes and reads a text on a VM's disk, past the adapter. The suite
// calls it for VMs that are off. The disk is a data disk's ID, attached or kept,
// or empty for the root disk. A text is at most 64 bytes; a disk on which none
// was written since it was made reads as "".
type DiskProbe interface {
	WriteDisk(ctx context.Context, t *testing.T, vmID, diskID, text string)
	ReadDisk(ctx context.Context, t *testing.T, vmID, diskID string) string
}

// BootProbe tells the boots of a guest apart, past the adapter. The suite calls
// it for running VMs of GuestRequest; it waits until the guest can tell.
type BootProbe interface {
	// Boot names the boot that the guest is in: the same name for as long as the
	// guest goes on (asleep or moved in between), another one once it began anew.
	Boot(ctx context.Context, t *testing.T, vmID string) string
}

// Dialogue is what is typed on a serial line, and a part of what comes back.
type Dialogue struct{ Type, Answer string }
