package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

const (
	chaosVMs   = 20
	chaosKills = 4
	// envSeed repeats a run: its number stands in the log of every run.
	envSeed = "HCP_CHAOS_SEED"
)

// The process is killed at random moments while clients create, power and
// delete VMs. They repeat what was not answered, under the same key. At the
// end the API and the hypervisor agree, and every job has ended.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := chaosSeed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir, simURL := t.TempDir(), startSim(t, "--node-vcpus", "1000", "--task-delay", "300ms")
	p := start(t, dir, "--sim-url", simURL)
	foreign := foreignVMs(t, simadmin.Admin{URL: simURL})

	plans := make([]chaosPlan, chaosVMs)
	for i := range plans {
		plans[i] = chaosPlan{
			name: fmt.Sprintf("chaos-%d", i), body: createBody, delete: rng.IntN(2) == 0, stop: rng.IntN(2) == 0,
			after: time.Duration(rng.IntN(4000)) * time.Millisecond,
		}
	}
	var wg sync.WaitGroup
	results := make([]chaosResult, len(plans))
	c := p.tenant()
	for i, plan := range plans {
		wg.Go(func() { results[i] = plan.run(t.Context(), c) })
	}
	for range chaosKills {
		moment := time.NewTimer(200*time.Millisecond + time.Duration(rng.IntN(1800))*time.Millisecond)
		<-moment.C
		p.kill(t)
		p = start(t, dir, "--sim-url", simURL)
	}
	wg.Wait()

	c = p.tenant()
	for i, plan := range plans {
		require.NoError(t, results[i].err, plan.name)
		for _, jobID := range results[i].jobs {
			c.done(t, jobID)
		}
		v := c.vm(t, results[i].vmID)
		switch {
		case plan.delete:
			require.Equal(t, "DELETED", v.Status, plan.name)
		case plan.stop:
			require.Equal(t, "STOPPED", v.PowerState, plan.name)
		default:
			require.Equal(t, "RUNNING", v.PowerState, plan.name)
		}
	}
	require.Len(t, uniqueVMs(results), chaosVMs)
	requireAgreement(t, p)
	requireForeign(t, p.hypervisor(), foreign)
}

func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(envSeed); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%s=%d", envSeed, seed)
	return seed
}

// chaosPlan is what one client does with one VM.
type chaosPlan struct {
	name         string
	body         func(name string) map[string]any
	stop, delete bool
	after        time.Duration // before it begins
}

type chaosResult struct {
	vmID string
	jobs []string
	err  error
}

func (pl chaosPlan) run(ctx context.Context, c client) (out chaosResult) {
	begin := time.NewTimer(pl.after)
	defer begin.Stop()
	<-begin.C
	step := func(ask func() (accepted, error)) bool {
		var a accepted
		if a, out.err = insist(ctx, ask); out.err != nil {
			return false
		}
		out.vmID, out.jobs = a.ResourceID, append(out.jobs, a.JobID)
		_, out.err = c.tryWait(ctx, a.JobID, 3*time.Minute)
		return out.err == nil
	}
	if !step(func() (accepted, error) { return c.tryCreate(ctx, pl.body(pl.name), pl.name) }) {
		return out
	}
	if pl.stop && !step(func() (accepted, error) {
		return c.tryAccept(ctx, "POST", c.vms()+"/"+out.vmID+":stop", map[string]any{"mode": "force"}, pl.name)
	}) {
		return out
	}
	if pl.delete {
		step(func() (accepted, error) { return c.tryDelete(ctx, out.vmID, pl.name) })
	}
	return out
}

// insist asks until there is an answer.
func insist(ctx context.Context, ask func() (accepted, error)) (a accepted, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if a, err = ask(); err == nil {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, err
		case <-tick.C:
		}
	}
}

func uniqueVMs(results []chaosResult) map[string]bool {
	out := map[string]bool{}
	for _, r := range results {
		out[r.vmID] = true
	}
	return out
}
