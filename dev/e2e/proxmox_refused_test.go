package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

const (
	// waiting is how many VMs are being made, and how many are being started,
	// while the hypervisor refuses the credentials.
	waiting = 3
	// longTask is how long the hypervisor's tasks take by then: the credentials are
	// revoked in the middle of them. Refused steps come again no sooner.
	longTask = 15 * time.Second
	// inventoryAsks is how often the inventory is asked for at least meanwhile: more
	// often than they may be offered in two cool-downs.
	inventoryAsks = 12
	// adapters is how many adapters a development binary has: the worker's
	// and, for consoles, the API's.
	adapters = 2
)

// Jobs wait for as long as the cluster refuses the token, with few calls, and
// then end well by themselves.
func TestProxmoxRefusesTheToken(t *testing.T) {
	t.Parallel()
	hv := startProxmox(t)
	left := hv.look(t)
	p := start(t, t.TempDir())
	registerProxmox(t, p, hv)
	c, ops := p.tenant(), p.ops()
	var made, asked []accepted
	for i := range waiting {
		body := proxmoxBody(fmt.Sprintf("stopped-%d", i))
		body["start"] = false
		a, err := c.tryCreate(t.Context(), body, "")
		require.NoError(t, err)
		made = append(made, a)
	}
	succeed(t, c, made...)
	slow := simadmin.Duration(longTask)
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{
		Task: map[string]simadmin.Duration{"create_vm": slow, "set_power": slow},
	}))
	clones, starts := effects(t, hv.Admin, "create_vm"), effects(t, hv.Admin, "set_power")
	for i := range waiting {
		asked = append(asked, createOnProxmox(t, c, fmt.Sprintf("refused-%d", i)), c.verb(t, made[i].VMID, "start", nil))
	}
	eventually(t, jobLimit, func() error {
		cloned, started := effects(t, hv.Admin, "create_vm")-clones, effects(t, hv.Admin, "set_power")-starts
		if cloned == 0 || started == 0 {
			return fmt.Errorf("%d clones and %d starts have begun", cloned, started)
		}
		return nil // the others are refused wherever they are by then
	})

	require.NoError(t, hv.SetCredentials(t.Context(), false))
	revoked := time.Now()
	eventually(t, jobLimit, func() error { return allWait(t, c, asked) })
	providerIs(t, ops, "pve", "DEGRADED")
	// Whoever asks for more meanwhile is told to wait too.
	asked = append(asked, createOnProxmox(t, c, "refused-from-the-start"))
	eventually(t, jobLimit, func() error { return allWait(t, c, asked) })
	quiet, refusedBefore, asks := time.Now(), hv.refused(t), 0
	eventually(t, jobLimit, func() error { // longer than it takes to offer the token anew
		if asks < inventoryAsks || time.Since(quiet) < 2*coolDown {
			asks++
			providerIs(t, ops, "pve", "DEGRADED")
			return fmt.Errorf("asked %d times", asks)
		}
		return nil
	})
	refused := hv.refused(t)
	t.Logf("%d calls were refused in %v; %d of them in the last %v, in which the inventory was asked for %d times",
		refused, time.Since(revoked), refused-refusedBefore, time.Since(quiet), asks)
	require.Greater(t, refused, refusedBefore, "the token is offered again")
	// The calls that are on their way together can all be refused: a step's and
	// its background work's for each job, and the inventory's. From then on each
	// adapter makes one offer in a cool-down.
	require.LessOrEqual(t, refused, 2*len(asked)+1+offers(time.Since(revoked)), "a storm of refused calls")
	require.LessOrEqual(t, refused-refusedBefore, offers(time.Since(quiet)), "a storm of refused calls")

	require.NoError(t, hv.SetCredentials(t.Context(), true))
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{}))
	succeed(t, c, asked...)
	for _, a := range asked {
		requireVM(t, c, a.ResourceID, "ACTIVE", "RUNNING")
		on := marked(t, hv.Admin, a.ResourceID)
		require.Len(t, on, 1)
		require.Equal(t, "running", on[0].Power)
	}
	providerIs(t, ops, "pve", "UP")
	var gone []accepted
	for _, a := range asked {
		gone = append(gone, c.delete(t, a.ResourceID))
	}
	succeed(t, c, gone...)
	left(p)
}

// offers is how often all adapters together may offer the credentials again in
// a while.
func offers(while time.Duration) int { return adapters * (1 + int(while/coolDown)) }

// allWait is nil once all jobs wait for their provider.
func allWait(t *testing.T, c client, jobs []accepted) error {
	t.Helper()
	for _, a := range jobs {
		j := c.job(t, a.JobID)
		require.False(t, j.over(), "%s", j)
		if j.State != "WAITING" || j.Waiting == nil || j.Waiting.Reason != "PROVIDER_AUTH_FAILED" {
			return fmt.Errorf("does not wait: %s", j)
		}
	}
	return nil
}

// providerIs has the provider's inventory read, and waits for its status.
func providerIs(t *testing.T, ops client, id, status string) {
	t.Helper()
	var sync accepted
	ops.call(t, http.MethodPost, "/ops/v1/providers/"+id+":test", nil, http.StatusAccepted, &sync)
	eventually(t, jobLimit, func() error {
		var v struct{ Status string }
		ops.call(t, http.MethodGet, "/ops/v1/providers/"+id, nil, http.StatusOK, &v)
		if v.Status != status {
			return fmt.Errorf("the provider is %s", v.Status)
		}
		return nil
	})
	ops.wait(t, sync.JobID)
}

// refused counts the calls that were refused for their credentials.
func (hv *proxmoxCluster) refused(t *testing.T) int {
	t.Helper()
	n := 0
	for _, call := range hv.calls(t, 0) {
		if call.Status == http.StatusUnauthorized {
			n++
		}
	}
	return n
}
