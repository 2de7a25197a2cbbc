package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// The password is revoked, and the session with it, while VMs are made and started.
// Jobs wait for as long as it is, with few logins, and then end well by themselves.
func TestVSphereRefusesThePassword(t *testing.T) {
	t.Parallel()
	hv := startVSphere(t, vspheresim.Options{})
	left := hv.look(t)
	p := start(t, t.TempDir())
	registerVSphere(t, p, hv)
	c, ops := p.tenant(), p.ops()
	var made, asked []accepted
	for i := range waiting {
		body := vsphereBody(fmt.Sprintf("stopped-%d", i))
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
	hv.Forget()
	for i := range waiting {
		asked = append(asked, createOnVSphere(t, c, fmt.Sprintf("refused-%d", i)), c.verb(t, made[i].VMID, "start", nil))
	}
	eventually(t, jobLimit, func() error {
		cloned, started := hv.Count("CloneVM_Task"), hv.Count("PowerOnVM_Task")
		if cloned == 0 || started == 0 {
			return fmt.Errorf("%d clones and %d starts have begun", cloned, started)
		}
		return nil // the others are refused wherever they are by then
	})

	require.NoError(t, hv.SetCredentials(t.Context(), false))
	require.NoError(t, hv.EndSessions(t.Context()))
	revoked := time.Now()
	eventually(t, jobLimit, func() error { return allWait(t, c, asked) })
	providerIs(t, ops, "vc", "DEGRADED")
	// Whoever asks for more meanwhile is told to wait too.
	asked = append(asked, createOnVSphere(t, c, "refused-from-the-start"))
	eventually(t, jobLimit, func() error { return allWait(t, c, asked) })
	quiet, refusedBefore, asks := time.Now(), hv.refused(t), 0
	eventually(t, jobLimit, func() error { // longer than it takes to offer the password anew
		if asks < inventoryAsks || time.Since(quiet) < 2*coolDown {
			asks++
			providerIs(t, ops, "vc", "DEGRADED")
			return fmt.Errorf("asked %d times", asks)
		}
		return nil
	})
	refused := hv.refused(t)
	t.Logf("%d logins were refused in %v; %d of them in the last %v, in which the inventory was asked for %d times",
		refused, time.Since(revoked), refused-refusedBefore, time.Since(quiet), asks)
	require.Greater(t, refused, refusedBefore, "the password is offered again")
	// Refusals in a row lock accounts: each adapter makes one offer in a cool-down.
	require.LessOrEqual(t, refused, offers(time.Since(revoked)), "a storm of logins")

	require.NoError(t, hv.SetCredentials(t.Context(), true))
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{}))
	succeed(t, c, asked...)
	require.Equal(t, len(made)+waiting+1, hv.clones(t), "each VM was cloned once")
	ours := hv.ours()
	require.Len(t, ours, len(asked))
	var gone []accepted
	for _, a := range asked {
		requireVM(t, c, a.ResourceID, "ACTIVE", "RUNNING")
		require.Contains(t, ours, a.ResourceID)
		require.Equal(t, "poweredOn", string(ours[a.ResourceID].Runtime.PowerState))
	}
	providerIs(t, ops, "vc", "UP")
	for _, a := range asked {
		gone = append(gone, c.delete(t, a.ResourceID))
	}
	succeed(t, c, gone...)
	left(p)
}

// clones counts the clones that were begun. Those that were asked for without a session
// were not.
func (hv *vsphereServer) clones(t *testing.T) int {
	t.Helper()
	calls, err := hv.Admin.Calls(t.Context(), 0)
	require.NoError(t, err)
	n := 0
	for _, c := range calls {
		// What follows a clone is asked of the VM, and not of the template.
		if _, template := hv.foreign[c.NativeID]; template && c.Op == "create_vm" && c.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// refused counts the logins that were refused.
func (hv *vsphereServer) refused(t *testing.T) int {
	t.Helper()
	st, err := hv.Stats(t.Context())
	require.NoError(t, err)
	return int(st.LoginsRefused)
}
