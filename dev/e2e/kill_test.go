package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// taskTime is how long the hypervisor's task takes that the process is killed
// in the middle of.
const taskTime = 3 * time.Second

// The process dies while the hypervisor is at work for it. The hypervisor, in
// a process of its own, goes on.
func TestKillAtWork(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"create_vm", "set_power"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			killAtWork(t, op)
		})
	}
}

func killAtWork(t *testing.T, op string) {
	t.Helper()
	dir, simURL := t.TempDir(), startSim(t)
	hv := simadmin.Admin{URL: simURL}
	p := start(t, dir, "--sim-url", simURL)
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{op: simadmin.Duration(taskTime)}}))

	c := p.tenant()
	a := c.create(t, "killed")
	eventually(t, jobLimit, func() error { return atWork(t, hv, op) })
	p.kill(t)

	p = start(t, dir, "--sim-url", simURL)
	c = p.tenant()
	j := c.done(t, a.JobID)
	require.Equal(t, 1, j.Run)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")

	// One VM, made once, started once.
	vms := marked(t, hv, a.VMID)
	require.Len(t, vms, 1)
	require.Equal(t, "running", vms[0].Power)
	require.Equal(t, 1, effects(t, hv, "create_vm"))
	require.Equal(t, 1, effects(t, hv, "set_power"))

	var jobs struct{ Items []job }
	c.call(t, http.MethodGet, c.vms()+"/"+a.VMID+"/jobs", nil, http.StatusOK, &jobs)
	require.Len(t, jobs.Items, 1)

	c.done(t, c.delete(t, a.VMID).JobID)
	require.Empty(t, marked(t, hv, a.VMID))
}

// atWork is nil once the hypervisor has taken a call of op.
func atWork(tb testing.TB, hv simadmin.Admin, op string) error {
	tb.Helper()
	if effects(tb, hv, op) == 0 {
		return fmt.Errorf("no %s was taken yet", op)
	}
	return nil
}

// effects counts the calls of op that the hypervisor took.
func effects(tb testing.TB, hv simadmin.Admin, op string) int {
	tb.Helper()
	calls, err := hv.Calls(tb.Context(), 0)
	require.NoError(tb, err)
	n := 0
	for _, call := range calls {
		if call.Op == op && call.Status/100 == 2 {
			n++
		}
	}
	return n
}
