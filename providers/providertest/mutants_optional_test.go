package providertest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// all are the capabilities of the adapter under the mutants.
func all() []models.Capability {
	return slices.DeleteFunc(models.Capabilities(), func(c models.Capability) bool {
		return c == models.CapConsoleRDP || c == models.CapGPUPassthrough
	})
}

func optionalMutants() map[string]string { // mutant: the case that must fail
	return map[string]string{
		"a listed capability is not there":     "WhatIsListedIsImplementedAndNoMore",
		"absent VMs have no snapshots":         "OptionalOperationsOnAbsentVMs",
		"suspend looks at the UUID alone":      "OptionalOperationsLeaveForeignVMsAlone",
		"a lost answer is an end":              "ALostAnswerIsFoundOut",
		"resume begins anew":                   "SuspendAndResumeKeepTheGuest",
		"suspend of a stopped VM is success":   "SuspendOfAStoppedVMIsRefused",
		"delete needs a VM that is awake":      "ASuspendedVMCanBeStoppedAndDeleted",
		"resize forgets the memory":            "ResizeChangesAStoppedVM",
		"a smaller disk is an error":           "ResizeNeverShrinksTheDisk",
		"resize to nothing is success":         "ResizeRefusesWhatTheVMCannotTake",
		"hot resize reboots":                   "HotResizeGrowsARunningVM",
		"what a rebuild set aside is hidden":   "RebuildPutsANewDiskInPlace",
		"revert of a rebuild does nothing":     "RevertRebuildPutsTheOldDiskBack",
		"rebuild stops the VM first":           "RebuildRefusesWhatItWouldBreak",
		"delete needs a finished rebuild":      "DeleteTakesWhatARebuildSetAside",
		"a clone is made of the image":         "CloneCopiesAStoppedVM",
		"a running VM's clone is a fresh VM":   "CloneRefusesWhatItCannotCopy",
		"snapshots are listed newest first":    "SnapshotsAreMadeListedAndDeleted",
		"revert acts again":                    "RevertSnapshotTakesTheVMBack",
		"revert keeps the size":                "RevertSnapshotTakesTheSizeBack",
		"revert stops the VM first":            "SnapshotsRefuseWhatTheStateForbids",
		"a snapshot's name is its ID":          "SnapshotsCarryNamesLiterally",
		"delete needs a VM without snapshots":  "DeleteTakesTheSnapshots",
		"a memory snapshot suspends the VM":    "SnapshotWithMemoryKeepsTheGuest",
		"a live snapshot stops the VM":         "SnapshotOfARunningVMsDisks",
		"live migration is cold":               "LiveMigrationKeepsTheGuest",
		"migration goes nowhere":               "ColdMigrationMovesAStoppedVM",
		"migration is live as it comes":        "LiveMigrationRefusesAStoppedVM",
		"cold migration stops the VM first":    "ColdMigrationRefusesARunningVM",
		"abort stops the VM":                   "AbortMigrationLeavesOneWholeVM",
		"detach loses the data":                "DataDisksAreAttachedKeptAndDeleted",
		"disks need a stopped VM":              "DataDisksOfARunningVM",
		"an attached disk is deleted":          "DataDisksRefuseWhatWouldLoseData",
		"delete needs a VM without data disks": "DeleteTakesTheDataDisks",
		"detach takes the first interface":     "NICsAreAttachedAndDetached",
		"interfaces need a stopped VM":         "NICsOfARunningVM",
		"any MAC will do":                      "AttachNICRefusesWhatCanNeverSucceed",
		"consoles are not named":               "ConsolesTellWhatIsServed",
		"the screen speaks RFB 3.3":            "TheScreenSpeaksRFB",
		"the serial line is output only":       "TheSerialLineGoesBothWays",
		"the stream outlives the VM":           "TheStreamEndsWithTheVM",
		"a stopped VM has consoles":            "ConsolesOfAStoppedVMAreRefused",
	}
}

// probe looks past the adapter.
type probe struct{ hv simadmin.Admin }

func (p probe) vm(ctx context.Context, t *testing.T, vmID string) simadmin.VM {
	t.Helper()
	vms, err := p.hv.VMs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(vms, func(v simadmin.VM) bool { return v.UUID == vmID })
	if i < 0 {
		t.Fatalf("there is no VM %s", vmID)
	}
	return vms[i]
}

func (p probe) WriteDisk(ctx context.Context, t *testing.T, vmID, diskID, text string) {
	t.Helper()
	set := simadmin.VMChange{RootData: &text}
	if diskID != "" {
		set = simadmin.VMChange{DiskData: map[string]string{diskID: text}}
	}
	if _, err := p.hv.PatchVM(ctx, p.vm(ctx, t, vmID).NativeID, set); err != nil {
		t.Fatal(err)
	}
}

func (p probe) ReadDisk(ctx context.Context, t *testing.T, vmID, diskID string) string {
	t.Helper()
	vm := p.vm(ctx, t, vmID)
	for _, d := range vm.DataDisks {
		if d.ID == diskID {
			return d.Data
		}
	}
	return vm.RootData
}

func (p probe) Boot(ctx context.Context, t *testing.T, vmID string) string {
	t.Helper()
	return fmt.Sprint(p.vm(ctx, t, vmID).Boot)
}

var (
	_ providertest.DiskProbe = probe{}
	_ providertest.BootProbe = probe{}
)
