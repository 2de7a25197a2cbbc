package proxmox_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestACloneHasItsOwnUserData clones a VM with user data, also one that was
// rebuilt, with user data of the clone's and without.
func TestACloneHasItsOwnUserData(t *testing.T) {
	eachKind(t, proxmoxsim.Options{}, func(t *testing.T, c *cluster, kind userData) {
		p := c.open(t)
		for _, data := range []string{"#clone\n", ""} {
			for _, again := range []bool{false, true} {
				req, twin := coreRequest(), withData(coreRequest(), data)
				source, _ := made(t, p, withData(req, "#source\n"))
				want := "#source\n"
				if again {
					want = "#rebuilt\n"
					rebuilt(t, p, withData(req, want), "token-1")
					finish(t, p, source, "token-1")
				}
				settle(t, p, func() (providers.TaskRef, error) {
					_, task, err := p.CloneVM(t.Context(), source, twin)
					return task, err
				})
				require.False(t, found(t, p, twin.VMID).Incomplete)
				c.wantTold(t, p, twin.VMID, data)
				c.wantTold(t, p, source.VMID, want)
				require.Len(t, c.stored(t, kind), countFiles(want, data))

				settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), providers.Target{VMID: twin.VMID}) })
				left, err := p.Leftovers(t.Context(), twin.VMID)
				require.NoError(t, err)
				require.Empty(t, left)
				c.wantTold(t, p, source.VMID, want)
				require.Len(t, c.stored(t, kind), 1, "the source's is its own")
				removed(t, c, p, source)
			}
		}
	})
}

// TestTheSourcesUserDataIsItsOwn deletes the source of a clone.
func TestTheSourcesUserDataIsItsOwn(t *testing.T) {
	eachKind(t, proxmoxsim.Options{}, func(t *testing.T, c *cluster, _ userData) {
		p, twin := c.open(t), withData(coreRequest(), "#clone\n")
		source, _ := made(t, p, withData(coreRequest(), "#source\n"))
		settle(t, p, func() (providers.TaskRef, error) {
			_, task, err := p.CloneVM(t.Context(), source, twin)
			return task, err
		})
		settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), source) })
		c.wantTold(t, p, twin.VMID, "#clone\n")
		target := providers.Target{VMID: twin.VMID}
		settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
		removed(t, c, p, target)
	})
}

// TestDeleteTakesUserDataWithoutItsVM deletes a VM that was not made whole, and one
// that somebody took away: what was stored for it goes.
func TestDeleteTakesUserDataWithoutItsVM(t *testing.T) {
	eachKind(t, proxmoxsim.Options{}, func(t *testing.T, c *cluster, kind userData) {
		first, second, req := c.open(t), c.open(t), withData(coreRequest(), "#data\n")
		target := providers.Target{VMID: req.VMID}
		require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{
			Op: "PUT /nodes/{node}/qemu/{vmid}/config", Kind: simadmin.FaultErrorBefore, Status: http.StatusForbidden, Nth: 1, Count: 1,
		}))
		_, task, err := first.CreateVM(t.Context(), req)
		if err == nil {
			err = ended(t, first, task)
		}
		require.Equal(t, providers.PermissionDenied, providers.CodeOf(err))
		require.NoError(t, first.Close())
		require.NoError(t, c.ClearFaults(t.Context()))
		require.Len(t, c.stored(t, kind), 1)
		require.True(t, found(t, second, req.VMID).Incomplete)
		removed(t, c, second, target)

		_, vm := made(t, second, req)
		require.NoError(t, c.DeleteVM(t.Context(), string(vm.Ref)))
		left, err := second.Leftovers(t.Context(), req.VMID)
		require.NoError(t, err)
		require.Equal(t, []providers.Object{{Type: "volume", Ref: c.stored(t, kind)[0]}}, left)
		removed(t, c, second, target)
	})
}

// TestDeleteTakesUserDataThatIsOnItsWay deletes a VM whose user data the hypervisor
// is putting in its place, for a process that is gone.
func TestDeleteTakesUserDataThatIsOnItsWay(t *testing.T) {
	eachKind(t, proxmoxsim.Options{}, func(t *testing.T, c *cluster, kind userData) {
		first, second, req := c.open(t), c.open(t), coreRequest()
		target, _ := made(t, first, req)
		const upload = "POST /nodes/{node}/storage/{storage}/upload"
		require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{
			Op: upload, Kind: simadmin.FaultSlowTask, Delay: simadmin.Duration(2 * time.Second), Nth: 1, Count: 1,
		}))
		asking, cancel := context.WithCancel(t.Context())
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = first.RebuildVM(asking, withData(req, "#new\n"), "token-1")
		}()
		require.Eventually(t, func() bool {
			list, err := c.Faults(t.Context())
			return err == nil && len(list) == 1 && list[0].Fired == 1
		}, time.Minute, 10*time.Millisecond)
		cancel()
		<-asked
		require.NoError(t, first.Close())
		require.Empty(t, c.stored(t, kind))
		removed(t, c, second, target)
		var running []any
		c.read(t, "/nodes/pve1/tasks?source=active&typefilter=imgcopy", &running)
		require.Empty(t, running, "what comes after the VM's end stays")
	})
}

// TestDeleteTakesTheMediumOfTheHypervisor deletes a VM whose medium Proxmox VE
// made, and a rebuilt one.
func TestDeleteTakesTheMediumOfTheHypervisor(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	for _, step := range []string{"made", "rebuilt", "finished", "reverted"} {
		target, vm := made(t, p, req)
		if step != "made" {
			rebuilt(t, p, req, "token-1")
		}
		switch step {
		case "finished":
			finish(t, p, target, "token-1")
		case "reverted":
			revert(t, p, target, "token-1")
		}
		left, err := p.Leftovers(t.Context(), req.VMID)
		require.NoError(t, err)
		require.Contains(t, left, providers.Object{Type: "volume", Ref: "shared:" + string(vm.Ref) + "/vm-" + string(vm.Ref) + "-cloudinit.qcow2"})
		removed(t, c, p, target)
	}
}

// ended polls a task to its end, and returns its failure.
func ended(t *testing.T, p providers.Provider, task providers.TaskRef) error {
	t.Helper()
	var st providers.TaskStatus
	var err error
	require.Eventually(t, func() bool {
		st, err = p.PollTask(t.Context(), task)
		return err != nil || st.Done
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, err)
	return st.Err
}
