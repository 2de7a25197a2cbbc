package sim_test

import (
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/providertest"
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
