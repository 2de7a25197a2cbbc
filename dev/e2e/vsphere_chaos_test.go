package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

const (
	vsphereChaosVMs   = 12
	vsphereChaosKills = 3
)

// The process is killed at random moments while VMs are made, stopped and deleted on
// a vCenter whose tasks take their time. Each VM is there once, or gone.
func TestVSphereChaos(t *testing.T) {
	t.Parallel()
	seed := chaosSeed(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	hv := startVSphere(t, vspheresim.Options{TaskDelay: 300 * time.Millisecond})
	left := hv.look(t)
	dir := t.TempDir()
	p := start(t, dir)
	registerVSphere(t, p, hv)

	plans := make([]chaosPlan, vsphereChaosVMs)
	for i := range plans {
		plans[i] = chaosPlan{
			name: fmt.Sprintf("chaos-%d", i), body: vsphereBody, delete: rng.IntN(2) == 0, stop: rng.IntN(2) == 0,
			after: time.Duration(rng.IntN(3000)) * time.Millisecond,
		}
	}
	var wg sync.WaitGroup
	results := make([]chaosResult, len(plans))
	c := p.tenant()
	for i, plan := range plans {
		wg.Go(func() { results[i] = plan.run(t.Context(), c) })
	}
	for range vsphereChaosKills {
		moment := time.NewTimer(200*time.Millisecond + time.Duration(rng.IntN(1800))*time.Millisecond)
		<-moment.C
		p.kill(t)
		p = start(t, dir)
	}
	wg.Wait()

	c = p.tenant()
	require.Equal(t, vsphereChaosVMs, hv.Count("CloneVM_Task"), "each VM was cloned once")
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{}))
	stay := map[string]string{} // power by VM
	for i, plan := range plans {
		require.NoError(t, results[i].err, plan.name)
		for _, jobID := range results[i].jobs {
			c.done(t, jobID)
		}
		switch v := c.vm(t, results[i].vmID); {
		case plan.delete:
			require.Equal(t, "DELETED", v.Status, plan.name)
		case plan.stop:
			require.Equal(t, "STOPPED", v.PowerState, plan.name)
			stay[v.ID] = "poweredOff"
		default:
			require.Equal(t, "RUNNING", v.PowerState, plan.name)
			stay[v.ID] = "poweredOn"
		}
	}
	on := map[string]string{}
	for id, vm := range hv.ours() {
		on[id] = string(vm.Runtime.PowerState)
	}
	require.Equal(t, stay, on, "the API and the hypervisor know the same VMs")
	hv.requireForeign(t, len(stay))
	var gone []accepted
	for id := range stay {
		gone = append(gone, c.delete(t, id))
	}
	succeed(t, c, gone...)
	left(p)
}
