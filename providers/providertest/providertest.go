// Package providertest is the contract of package providers, as tests: every
// adapter runs it. It imports providers and models only, never an adapter.
package providertest

import (
	"context"
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

// Case is one rule of the contract.
type Case struct {
	Name string
	run  func(c *contract)
	// foreign says that the case needs Harness.Foreign.
	foreign bool
}

// Cases lists the rules in the order in which Run checks them.
func Cases() []Case {
	return []Case{
		{Name: "InfoReportsKindVersionAndCapabilities", run: testInfo},
		{Name: "NodesHaveNamesAndCapacity", run: testNodes},
		{Name: "InventoryHoldsWhatARequestNames", run: testImagesAndNetworks},

		{Name: "CreateMakesACompleteStoppedVM", run: testCreate},
		{Name: "CreateTwiceIsOneVM", run: testCreateTwice},
		{Name: "CreateAtOnceFromTwoProcessesIsOneVM", run: testCreateConcurrently},
		{Name: "CreateRefusesWhatCanNeverSucceed", run: testCreateInvalid},
		{Name: "CreateCarriesNamesLiterally", run: testHostileNames},

		{Name: "StartIsIdempotent", run: testStart},
		{Name: "StopByForceIsIdempotent", run: testStopForce},
		{Name: "StopGracefullyIsIdempotent", run: testStopGraceful},
		{Name: "StopRefusesOtherModes", run: testStopModes},
		{Name: "RebootKeepsTheVMRunning", run: testReboot},
		{Name: "RebootOfAStoppedVMIsRefused", run: testRebootStopped},

		{Name: "DeleteRemovesAStoppedVM", run: testDeleteStopped},
		{Name: "DeleteRemovesARunningVM", run: testDeleteRunning},
		{Name: "DeleteOfAnAbsentVMIsSuccess", run: testDeleteAbsent},
		{Name: "AbsentVMsAreNotFound", run: testAbsent},
		{Name: "TheMarkDecidesNotTheRef", run: testWrongRef},

		{Name: "ListPagesAreStableAndComplete", run: testListPages},
		{Name: "ListRefusesForeignPageTokens", run: testListBadToken},
		{Name: "PollOfAnUnknownTaskIsNotFound", run: testPollUnknown},

		{Name: "ForeignVMsAreNotThere", run: testForeign, foreign: true},
		{Name: "CreateNeverTakesAForeignVM", run: testForeignCreate, foreign: true},

		{Name: "ACancelledContextEndsTheCall", run: testCancelled},
		{Name: "CallsAfterCloseAreUnavailable", run: testClosed},
	}
}

// Run checks one adapter against the whole contract.
func Run(t *testing.T, h Harness) {
	t.Helper()
	h = h.withDefaults()
	for _, tc := range Cases() {
		if tc.foreign && h.Foreign == nil {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) { tc.run(newContract(t, h)) })
	}
}
