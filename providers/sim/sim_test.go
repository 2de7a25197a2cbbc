package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, start(t, simhv.Options{}).harness())
}

// TestConformanceWithTasksAtWork is the contract where work takes time.
func TestConformanceWithTasksAtWork(t *testing.T) {
	providertest.Run(t, start(t, simhv.Options{TaskDelay: 20 * time.Millisecond, GuestShutdown: 30 * time.Millisecond}).harness())
}

// TestConformanceOnAStateFile is the contract where every change is written down.
func TestConformanceOnAStateFile(t *testing.T) {
	providertest.Run(t, start(t, simhv.Options{StateFile: t.TempDir() + "/state", TaskDelay: time.Millisecond}).harness())
}

// TestConformanceOfLesserHypervisors is the contract where capabilities are
// withdrawn: what is not listed says so.
func TestConformanceOfLesserHypervisors(t *testing.T) {
	core := []models.Capability{models.CapCloudInit}
	for name, tc := range map[string]struct {
		set  simadmin.Capabilities
		want []models.Capability
	}{
		"no option": {simadmin.Capabilities{Withdraw: withdrawn(core)}, core},
		"RDP only": {
			simadmin.Capabilities{Withdraw: withdrawn([]models.Capability{models.CapCloudInit, models.CapConsoleRDP, models.CapSuspend}), RDPOnly: true},
			[]models.Capability{models.CapCloudInit, models.CapConsoleRDP, models.CapSuspend},
		},
		"cold": {
			simadmin.Capabilities{Withdraw: []string{"hot_resize", "snapshot_memory", "snapshot_live", "live_migration", "console_serial"}},
			slices.DeleteFunc(everything(), func(c models.Capability) bool {
				return slices.Contains([]models.Capability{
					models.CapHotResize, models.CapSnapshotMemory, models.CapSnapshotLive, models.CapLiveMigration, models.CapConsoleSerial,
				}, c)
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, simhv.Options{Capabilities: tc.set}).harness()
			h.Capabilities = tc.want
			providertest.Run(t, h)
		})
	}
}

// withdrawn names all capabilities but these.
func withdrawn(but []models.Capability) []string {
	var out []string
	for _, c := range models.Capabilities() {
		if !slices.Contains(but, c) && c != models.CapGPUPassthrough {
			out = append(out, string(c))
		}
	}
	return out
}
