package proxmox_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// userData is where a provider puts user data.
type userData struct {
	option string // that names the storage
	kind   string // of what is stored there
}

func bothKinds() []userData {
	return []userData{{"iso_storage", "iso"}, {"snippet_storage", "snippets"}}
}

// eachKind runs a test with user data on media of ours, and in snippets.
func eachKind(t *testing.T, opts proxmoxsim.Options, run func(t *testing.T, c *cluster, kind userData)) {
	t.Helper()
	t.Parallel()
	for _, kind := range bothKinds() {
		t.Run(kind.kind, func(t *testing.T) {
			t.Parallel()
			opts.SnippetUpload = true
			c := startCluster(t, opts)
			c.options[kind.option] = "shared"
			run(t, c, kind)
		})
	}
}

// stored are the files with user data that there are.
func (c *cluster) stored(t *testing.T, kind userData) []string {
	t.Helper()
	return slices.DeleteFunc(c.volumes(t, "shared"), func(v string) bool { return !isStored(v, kind) })
}

func isStored(volume string, kind userData) bool {
	prefix := "shared:" + kind.kind + "/"
	return len(volume) > len(prefix) && volume[:len(prefix)] == prefix
}

// wantTold looks at the user data that a VM's next boot reads; "" for none.
func (c *cluster) wantTold(t *testing.T, p *proxmox.Provider, vmID, data string) {
	t.Helper()
	told := c.native(t.Context(), t, string(found(t, p, vmID).Ref)).CloudInit
	require.NotNil(t, told)
	if data == "" {
		require.Empty(t, told.UserDataSHA256)
		return
	}
	sum := sha256.Sum256([]byte(data))
	require.Equal(t, hex.EncodeToString(sum[:]), told.UserDataSHA256)
}

func withData(req providers.CreateVMRequest, data string) providers.CreateVMRequest {
	req.CloudInit.UserData = []byte(data)
	return req
}

func rebuilt(t *testing.T, p *proxmox.Provider, req providers.CreateVMRequest, token string) {
	t.Helper()
	settle(t, p, func() (providers.TaskRef, error) { return p.RebuildVM(t.Context(), req, token) })
}

func finish(t *testing.T, p *proxmox.Provider, target providers.Target, token string) {
	t.Helper()
	settle(t, p, func() (providers.TaskRef, error) { return p.FinishRebuild(t.Context(), target, token) })
}

func revert(t *testing.T, p *proxmox.Provider, target providers.Target, token string) {
	t.Helper()
	settle(t, p, func() (providers.TaskRef, error) { return p.RevertRebuild(t.Context(), target, token) })
}

// removed removes a VM and proves that nothing is left.
func removed(t *testing.T, c *cluster, p *proxmox.Provider, target providers.Target) {
	t.Helper()
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), target) })
	left, err := p.Leftovers(t.Context(), target.VMID)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Len(t, c.volumes(t, "shared"), 2, "only the template's volumes are left")
}

// transitions are what user data a VM has, and what it is rebuilt with.
func transitions() [][2]string {
	return [][2]string{{"#old\n", "#new\n"}, {"#old\n", ""}, {"", "#new\n"}, {"", ""}}
}

func countFiles(data ...string) int {
	return len(slices.DeleteFunc(slices.Clone(data), func(s string) bool { return s == "" }))
}

// TestRebuiltUserDataIsKept finishes rebuilds with and without user data.
func TestRebuiltUserDataIsKept(t *testing.T) {
	eachKind(t, proxmoxsim.Options{}, func(t *testing.T, c *cluster, kind userData) {
		p := c.open(t)
		for _, data := range transitions() {
			req := coreRequest()
			target, _ := made(t, p, withData(req, data[0]))
			req.DiskGiB++
			for range 2 {
				rebuilt(t, p, withData(req, data[1]), "token-1")
				require.Equal(t, req.DiskGiB, found(t, p, req.VMID).DiskGiB)
				c.wantTold(t, p, req.VMID, data[1])
				require.Len(t, c.stored(t, kind), countFiles(data[0], data[1]), "the old one is kept")
			}
			for range 2 {
				finish(t, p, target, "token-1")
				revert(t, p, target, "token-1")
				c.wantTold(t, p, req.VMID, data[1])
				require.Len(t, c.stored(t, kind), countFiles(data[1]), "the old one is gone")
			}
			settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
			removed(t, c, p, target)
		}
	})
}

// TestRebuiltUserDataIsUndone reverts rebuilds, also one that comes after another.
func TestRebuiltUserDataIsUndone(t *testing.T) {
	eachKind(t, proxmoxsim.Options{}, func(t *testing.T, c *cluster, kind userData) {
		p := c.open(t)
		for _, data := range transitions() {
			req := coreRequest()
			target, vm := made(t, p, withData(req, data[0]))
			before := c.config(t, vm)
			rebuilt(t, p, withData(req, data[1]), "token-1")
			for range 2 {
				revert(t, p, target, "token-1")
				c.wantTold(t, p, req.VMID, data[0])
				require.Len(t, c.stored(t, kind), countFiles(data[0]), "the new one is gone")
			}
			finish(t, p, target, "token-1")
			after := c.config(t, vm)
			delete(before, "digest")
			delete(after, "digest")
			require.Equal(t, before, after)

			rebuilt(t, p, withData(req, data[1]), "token-2")
			finish(t, p, target, "token-2")
			rebuilt(t, p, withData(req, "#third\n"), "token-3")
			revert(t, p, target, "token-2")
			revert(t, p, target, "")
			c.wantTold(t, p, req.VMID, "#third\n")
			revert(t, p, target, "token-3")
			c.wantTold(t, p, req.VMID, data[1])
			require.Len(t, c.stored(t, kind), countFiles(data[1]))
			settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
			removed(t, c, p, target)
		}
	})
}

// TestDeleteTakesTheUserDataOfARebuild deletes a VM whose rebuild is not finished:
// both of its files go.
func TestDeleteTakesTheUserDataOfARebuild(t *testing.T) {
	eachKind(t, proxmoxsim.Options{}, func(t *testing.T, c *cluster, kind userData) {
		p, req := c.open(t), coreRequest()
		target, _ := made(t, p, withData(req, "#old\n"))
		rebuilt(t, p, withData(req, "#new\n"), "token-1")
		left, err := p.Leftovers(t.Context(), req.VMID)
		require.NoError(t, err)
		files := c.stored(t, kind)
		require.Len(t, files, 2)
		for _, file := range files {
			require.Contains(t, left, providers.Object{Type: "volume", Ref: file})
		}
		removed(t, c, p, target)
	})
}

// writes are the places where a rebuild and its end can be cut off: before the
// configuration is written, and after it with the answer lost.
func writes() []simadmin.Fault {
	const config = "/nodes/{node}/qemu/{vmid}/config"
	return []simadmin.Fault{
		{Op: "POST " + config, Kind: simadmin.FaultErrorBefore, Status: http.StatusForbidden, Nth: 1, Count: 1},
		{Op: "POST " + config, Kind: simadmin.FaultErrorAfter, Nth: 1, Count: 1},
		{Op: "POST " + config, Kind: simadmin.FaultTaskFails, Code: "unexpected status", Nth: 1, Count: 1},
		{Op: "PUT " + config, Kind: simadmin.FaultErrorAfter, Nth: 1, Count: 1},
		{Op: "POST /nodes/{node}/storage/{storage}/upload", Kind: simadmin.FaultErrorAfter, Nth: 1, Count: 1},
		{Op: "DELETE /nodes/{node}/storage/{storage}/content/{volume}", Kind: simadmin.FaultErrorAfter, Nth: 1, Count: 1},
	}
}

// TestAnotherProcessEndsARebuild cuts the process off in each step of a rebuild,
// of its undoing and of its end. Another one goes on, or undoes it.
func TestAnotherProcessEndsARebuild(t *testing.T) {
	for _, fault := range writes() {
		t.Run(fault.Op+" "+string(fault.Kind), func(t *testing.T) {
			eachKind(t, proxmoxsim.Options{TaskDelay: 5 * time.Millisecond}, func(t *testing.T, c *cluster, kind userData) {
				for _, step := range []string{"rebuild", "undo a rebuild", "revert", "finish"} {
					first, second, req := c.open(t), c.open(t), coreRequest()
					target, _ := made(t, first, withData(req, "#old\n"))
					next, want := withData(req, "#new\n"), "#new\n"
					if step == "revert" || step == "finish" {
						rebuilt(t, first, next, "token-1")
					}
					require.NoError(t, c.SetFaults(t.Context(), fault))
					cut(t, first, step, next, target)
					require.NoError(t, c.ClearFaults(t.Context()))
					switch step {
					case "rebuild":
						rebuilt(t, second, next, "token-1")
						c.wantTold(t, second, req.VMID, want)
						finish(t, second, target, "token-1")
					case "finish":
						finish(t, second, target, "token-1")
					default:
						want = "#old\n"
						revert(t, second, target, "token-1")
					}
					c.wantTold(t, second, req.VMID, want)
					require.Len(t, c.stored(t, kind), 1)
					removed(t, c, second, target)
				}
			})
		})
	}
}

// cut asks once for a step, and ends the process.
func cut(t *testing.T, p *proxmox.Provider, step string, req providers.CreateVMRequest, target providers.Target) {
	t.Helper()
	switch step {
	case "revert":
		_, _ = p.RevertRebuild(t.Context(), target, "token-1")
	case "finish":
		_, _ = p.FinishRebuild(t.Context(), target, "token-1")
	default:
		_, _ = p.RebuildVM(t.Context(), req, "token-1")
	}
	require.NoError(t, p.Close())
}

// TestARebuildGoesOnWithoutItsProcess ends the process while the hypervisor copies
// the disk: another one that is asked for the task learns that it has to ask again.
func TestARebuildGoesOnWithoutItsProcess(t *testing.T) {
	eachKind(t, proxmoxsim.Options{TaskDelay: time.Second}, func(t *testing.T, c *cluster, _ userData) {
		first, second, req := c.open(t), c.open(t), coreRequest()
		target, _ := made(t, first, withData(req, "#old\n"))
		req.DiskGiB++
		var task providers.TaskRef
		require.Eventually(t, func() bool {
			var err error
			task, err = first.RebuildVM(t.Context(), withData(req, "#new\n"), "token-1")
			return err == nil
		}, time.Minute, 20*time.Millisecond)
		require.NotEmpty(t, task)
		require.NoError(t, first.Close())
		given := false
		settle(t, second, func() (providers.TaskRef, error) {
			if !given {
				given = true
				return task, nil
			}
			return second.RebuildVM(t.Context(), withData(req, "#new\n"), "token-1")
		})
		require.Equal(t, req.DiskGiB, found(t, second, req.VMID).DiskGiB)
		c.wantTold(t, second, req.VMID, "#new\n")
		finish(t, second, target, "token-1")
		c.wantTold(t, second, req.VMID, "#new\n")
	})
}

// TestARebuildTellsEachInterfaceItsOwnAddress rebuilds a VM that lost its second
// interface of three.
func TestARebuildTellsEachInterfaceItsOwnAddress(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	for i, mac := range []string{"52:54:01:00:00:01", "52:54:01:00:00:02"} {
		req.NICs = append(req.NICs, providers.NIC{
			Network: models.NetworkBinding{Ref: "vmbr0"}, MAC: mac, IPAddress: []string{"192.0.2.7", "192.0.3.7"}[i], PrefixLength: 24,
		})
	}
	target, vm := made(t, p, req)
	settle(t, p, func() (providers.TaskRef, error) { return p.DetachNIC(t.Context(), target, req.NICs[1].MAC) })
	req.NICs = []providers.NIC{req.NICs[0], req.NICs[2]}
	rebuilt(t, p, req, "token-1")
	config := c.config(t, vm)
	require.Equal(t, "ip=dhcp", config["ipconfig0"])
	require.Nil(t, config["ipconfig1"])
	require.Equal(t, "ip=192.0.3.7/24", config["ipconfig2"])
}
