package workflows_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// breed is a kind of simulated hypervisor, with an admin side like simhv's.
type breed struct {
	name        string
	kind        providers.Kind
	on          string // what it is called in a sentence
	start       func(t *testing.T) http.Handler
	heard       speech
	open        func(ctx context.Context, cfg providers.Config) (providers.Provider, error)
	credentials models.Credentials
	options     map[string]string
	// tiny and other are what it calls two images, and network a network.
	tiny, other, network string
	// full refuses what there is no room for.
	full simadmin.Fault
	says dialect
	// lacks are the operations that it does not have, with the reason.
	lacks map[models.OperationKind]string
	// cold says that running VMs are not resized: the provider has no capability for it.
	cold bool
	// elsewhere are the disturbances that the matrix leaves to the operations' own suites.
	elsewhere []disturbance
	// guests are run: they report their addresses.
	guests bool
	// gateways are kept of all interfaces. Else the guest is told the first's alone: it has
	// one default route.
	gateways bool
	// catalog is shown by the admin side: of which image a VM is.
	catalog bool
	// forgets says that what guests write does not follow a VM that goes back to a
	// snapshot, nor its clone: the simulated hypervisor has no contents of disks.
	forgets bool
	// fresh is what is on a disk that was made from the image "other".
	fresh string
	// fatal are the faults, by their names in TestCreateSurvivesEachKindOfFault, that a
	// create does not survive here. It leaves nothing.
	fatal map[string]models.JobErrorCode
	// dozes is the power of a VM that the admin side puts to sleep.
	dozes models.PowerState
	// aborts says that an end of a move is asked for whether one is at work or not.
	aborts bool
	// withdraw takes the capability for snapshots away.
	withdraw func(t *testing.T, w *world)
}

// breeds are all kinds of hypervisor that the workflows are shown on.
func breeds() []breed { return []breed{simBreed(), proxmoxBreed(), vsphereBreed(), esxiBreed()} }

// onEach runs a test on each kind of hypervisor.
func onEach(t *testing.T, test func(t *testing.T, b breed)) {
	t.Helper()
	for _, b := range breeds() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// simBreed is the reference.
func simBreed() breed {
	return breed{
		name: "sim", kind: sim.Kind, on: "the simulated hypervisor", heard: simSpeech(), open: sim.Factory().Open,
		credentials: models.Credentials{Username: "hcp", Password: "secret"},
		tiny:        "tiny", other: "debian-12", network: "net0",
		full: simadmin.Fault{Kind: simadmin.FaultErrorBefore, Status: http.StatusConflict, Code: "no_capacity"},
		says: simDialect(), guests: true, gateways: true, catalog: true, dozes: models.PowerSuspended, aborts: true,
		withdraw: func(t *testing.T, w *world) {
			t.Helper()
			require.NoError(t, w.hv.SetCapabilities(t.Context(), simadmin.Capabilities{Withdraw: []string{"snapshot"}}))
		},
		start: func(t *testing.T) http.Handler {
			t.Helper()
			hv, err := simhv.New(simhv.Options{Nodes: 2, NodeVCPUs: 1000, NodeMemoryMiB: 1 << 20, TaskDelay: 2 * time.Millisecond})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, hv.Close()) })
			return hv
		},
	}
}

// unsupported takes the capability for snapshots away from a hypervisor that has it by
// its nature: it refuses one.
func unsupported(t *testing.T, w *world) {
	t.Helper()
	w.faults(t, simadmin.Fault{Op: "snapshot_create", Kind: simadmin.FaultErrorBefore, Code: "unsupported"})
}
