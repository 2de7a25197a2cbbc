// Package providertest is the contract of package providers, as tests: every
// adapter runs it. It imports providers and models only, never an adapter.
package providertest

import (
	"slices"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Case is one rule of the contract.
type Case struct {
	Name string
	run  func(c *contract)
	// needs are the capabilities that the case takes, all of them; anyOf are
	// those of which one will do.
	needs, anyOf []models.Capability
	// foreign and lost say that the case needs Harness.Foreign, or
	// Harness.LoseAnswer.
	foreign, lost bool
}

// fits reports whether the case is one for the harness.
func (tc Case) fits(h Harness) bool {
	if tc.foreign && h.Foreign == nil || tc.lost && h.LoseAnswer == nil {
		return false
	}
	if len(tc.anyOf) > 0 && !slices.ContainsFunc(tc.anyOf, h.has) {
		return false
	}
	return !slices.ContainsFunc(tc.needs, func(need models.Capability) bool { return !h.has(need) })
}

// Cases lists the rules in the order in which Run checks them.
func Cases() []Case { return append(coreCases(), optionalCases()...) }

func coreCases() []Case {
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
		if !tc.fits(h) {
			t.Logf("%s is left out: the harness declares nothing of it", tc.Name)
			continue
		}
		t.Run(tc.Name, func(t *testing.T) { tc.run(newContract(t, h)) })
	}
}
