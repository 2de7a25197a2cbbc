package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// A vCenter, driven from the API alone, over TLS that is trusted by its thumbprint.
func TestVSphere(t *testing.T) {
	t.Parallel()
	hv := startVSphere(t, vspheresim.Options{})
	left := hv.look(t)
	p := start(t, t.TempDir())
	registerVSphere(t, p, hv)
	t.Run("the life of a VM", func(t *testing.T) { vsphereLife(t, p, hv) })
	t.Run("30 at once", func(t *testing.T) { vsphereRace(t, p, hv) })
	t.Run("the session ends", func(t *testing.T) { vsphereSessionEnds(t, p, hv) })
	left(p)
}

// An ESXi host that stands alone clones nothing, and is driven by the same calls.
func TestESXi(t *testing.T) {
	t.Parallel()
	hv := startVSphere(t, vspheresim.Options{ESXi: true})
	left := hv.look(t)
	p := start(t, t.TempDir())
	registerVSphere(t, p, hv)
	vsphereLife(t, p, hv)
	left(p)
}

// vsphereRace: each of the VMs is made once, whatever the others do.
func vsphereRace(t *testing.T, p *instance, hv *vsphereServer) {
	t.Helper()
	c := p.tenant()
	hv.Forget()
	var made [racing]accepted
	var errs [racing]error
	inParallel(racing, racing, func(i int) {
		made[i], errs[i] = c.tryCreate(t.Context(), vsphereBody(fmt.Sprintf("racing-%d", i)), "")
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	succeed(t, c, made[:]...)
	require.Equal(t, racing, hv.Count("CloneVM_Task"), "each VM is cloned once")
	ours := hv.ours()
	require.Len(t, ours, racing)
	gone := make([]accepted, racing)
	for i, a := range made {
		requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
		on := ours[a.VMID]
		require.NotNil(t, on)
		require.Equal(t, a.VMID, on.Config.InstanceUuid)
		require.Contains(t, on.Name, fmt.Sprintf("racing-%d", i))
		gone[i] = c.delete(t, a.VMID)
	}
	succeed(t, c, gone...)
	require.Empty(t, hv.ours())
}

// vsphereSessionEnds: an administrator ends the session while a VM is made. Nobody
// notices: there is one new login for all callers.
func vsphereSessionEnds(t *testing.T, p *instance, hv *vsphereServer) {
	t.Helper()
	c := p.tenant()
	hv.Forget()
	ended := make(chan error, 1)
	end := sync.OnceFunc(func() { ended <- hv.EndSessions(context.WithoutCancel(t.Context())) })
	hv.Before(func(call vspheresim.Call) {
		if call.Method == "CloneVM_Task" {
			end()
		}
	})
	a := createOnVSphere(t, c, "passenger")
	succeed(t, c, a)
	require.NoError(t, <-ended)
	require.Equal(t, 1, hv.Count("Login"), "one login for all callers")
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	succeed(t, c, c.delete(t, a.VMID))
}

// The process is killed when vCenter has taken the clone and its answer has not
// arrived: nobody has the clone's reference. There is one VM in the end.
func TestVSphereKilledWhileItClones(t *testing.T) {
	t.Parallel()
	hv := startVSphere(t, vspheresim.Options{})
	left := hv.look(t)
	dir := t.TempDir()
	p := start(t, dir)
	registerVSphere(t, p, hv)
	taken, release := hv.HoldAnswer("CloneVM_Task")
	a := createOnVSphere(t, p.tenant(), "phoenix")
	t.Cleanup(release)
	select {
	case <-taken:
	case <-time.After(jobLimit):
		t.Fatal("the clone was not asked for")
	}
	p.kill(t)
	release()
	p = start(t, dir)
	c := p.tenant()
	succeed(t, c, a)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	require.Contains(t, hv.ours(), a.VMID)
	require.Equal(t, 1, hv.Count("CloneVM_Task"), "it was cloned once")
	hv.requireForeign(t, 1)
	succeed(t, c, c.delete(t, a.VMID))
	left(p)
}
