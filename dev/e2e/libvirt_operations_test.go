package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// Every operation on a guest under a real libvirtd, from the API alone. What is
// believed is what the guest says on its serial line.
func TestOperationsOnARealHypervisor(t *testing.T) {
	t.Parallel()
	image := libvirttest.Guest(t)
	hv := libvirttest.Start(t)
	binding, err := hv.Image(t.Context(), "guest.qcow2", image, "qcow2")
	require.NoError(t, err)
	before := poolFiles(t, hv)
	p := start(t, t.TempDir())
	registerLibvirt(t, p, hv, binding.Ref)
	p.ops().call(t, http.MethodPost, "/ops/v1/flavors", map[string]any{
		"id": "wide", "name": "Wide", "vcpus": 2, "memory_mib": 768, "disk_gib": 2,
	}, http.StatusCreated, nil)
	c := p.tenant()
	g := &guest{client: c, hv: hv, id: createGuest(t, c, "worker-1").VMID}
	c.done(t, c.vm(t, g.id).lastJob(t, c))
	g.ready(t, 1)

	t.Run("snapshot, write, revert", g.goesBack)
	t.Run("suspend and resume", g.sleeps)
	t.Run("a data disk", g.takesADisk)
	t.Run("a network", g.takesANetwork)
	t.Run("clone", g.isCloned) // while the host has room for another
	t.Run("resize", g.grows)
	t.Run("rebuild", g.isRebuilt)

	c.done(t, c.delete(t, g.id).JobID)
	require.Empty(t, domains(t, hv), "no domain is left")
	require.Equal(t, before, poolFiles(t, hv), "no volume and no medium is left")
	require.Zero(t, reservations(t, p, g.id))
}

// guest is a VM whose guest answers on its serial line.
type guest struct {
	client client
	hv     *libvirttest.Server
	id     string
	boots  int // seen so far
}

// lastJob is the VM's job at work, or its latest.
func (v vm) lastJob(tb testing.TB, c client) string {
	tb.Helper()
	if v.CurrentJobID != "" {
		return v.CurrentJobID
	}
	var list struct {
		Items []job `json:"items"`
	}
	c.call(tb, http.MethodGet, c.vms()+"/"+v.ID+"/jobs?limit=1", nil, http.StatusOK, &list)
	require.NotEmpty(tb, list.Items)
	return list.Items[0].ID
}

func (g *guest) path(more string) string { return g.client.vms() + "/" + g.id + more }

// does asks for an operation and waits until it has succeeded.
func (g *guest) does(t *testing.T, method, path string, body any) accepted {
	t.Helper()
	var a accepted
	g.client.call(t, method, g.path(path), body, http.StatusAccepted, &a)
	g.client.done(t, a.JobID)
	return a
}

// refuses asks for an operation that must not be accepted.
func (g *guest) refuses(t *testing.T, method, path string, body any, status int, code string) {
	t.Helper()
	var p problem
	g.client.call(t, method, g.path(path), body, status, &p)
	require.Equal(t, code, p.Code, p.Detail)
}

// ready waits for the guest's next boots.
func (g *guest) ready(t *testing.T, boots int) {
	t.Helper()
	g.boots += boots
	g.hv.WaitSerial(t, g.id, "GUEST-READY", g.boots, bootLimit)
}

func (g *guest) says(t *testing.T, command string) string {
	t.Helper()
	return g.hv.Ask(t, g.id, command)
}

func (g *guest) uptime(t *testing.T) float64 {
	t.Helper()
	s, err := strconv.ParseFloat(g.says(t, "uptime"), 64)
	require.NoError(t, err)
	return s
}

func (g *guest) goesBack(t *testing.T) {
	require.Equal(t, "ok", g.says(t, "write before"))
	up := g.uptime(t)
	snap := g.does(t, http.MethodPost, "/snapshots", map[string]any{"name": "a point <in> time", "memory": true}).ResourceID
	require.Equal(t, "ok", g.says(t, "write after"))
	require.Equal(t, "after", g.says(t, "read"))
	require.Equal(t, int64(1), g.client.usedSnapshots(t))

	g.refuses(t, http.MethodPost, "/disks", map[string]any{"name": "data", "size_gib": 1}, http.StatusConflict, "INVALID_STATE")
	g.does(t, http.MethodPost, "/snapshots/"+snap+":revert", nil)
	requireVM(t, g.client, g.id, "ACTIVE", "RUNNING")
	require.Equal(t, "before", g.says(t, "read"), "the write is gone")
	require.GreaterOrEqual(t, g.uptime(t), up, "the guest went on from where the snapshot was taken, and did not boot")
	require.Equal(t, g.boots, strings.Count(g.hv.Serial(g.id), "GUEST-READY"))

	g.does(t, http.MethodDelete, "/snapshots/"+snap, nil)
	require.Zero(t, g.client.usedSnapshots(t))
	g.refuses(t, http.MethodPost, "/snapshots/"+snap+":revert", nil, http.StatusNotFound, "NOT_FOUND")
}

// usedSnapshots is what the project's quota counts.
func (c client) usedSnapshots(t *testing.T) int64 {
	t.Helper()
	var q struct {
		Used struct {
			Snapshots int64 `json:"snapshots"`
		} `json:"used"`
	}
	c.call(t, http.MethodGet, "/tenant/v1/projects/"+c.project+"/quota", nil, http.StatusOK, &q)
	return q.Used.Snapshots
}

func (g *guest) sleeps(t *testing.T) {
	up := g.uptime(t)
	g.does(t, http.MethodPost, ":suspend", nil)
	requireVM(t, g.client, g.id, "ACTIVE", "SUSPENDED")
	g.refuses(t, http.MethodPost, ":reboot", nil, http.StatusConflict, "INVALID_STATE")
	g.does(t, http.MethodPost, ":resume", nil)
	requireVM(t, g.client, g.id, "ACTIVE", "RUNNING")
	require.GreaterOrEqual(t, g.uptime(t), up)
	require.Equal(t, g.boots, strings.Count(g.hv.Serial(g.id), "GUEST-READY"), "the guest did not boot")
}

func (g *guest) takesADisk(t *testing.T) {
	disk := g.does(t, http.MethodPost, "/disks", map[string]any{"name": "data", "size_gib": 1}).ResourceID
	var d struct {
		Serial string `json:"serial"`
		Status string `json:"status"`
	}
	g.client.call(t, http.MethodGet, g.path("/disks/"+disk), nil, http.StatusOK, &d)
	require.Equal(t, "ATTACHED", d.Status)
	eventually(t, jobLimit, func() error {
		if said := g.says(t, "disks"); !strings.Contains(said, ":1024:"+d.Serial) {
			return fmt.Errorf("the guest sees %q", said)
		}
		return nil
	})
	require.Equal(t, "ok", g.says(t, "write @"+d.Serial+" kept"))
	require.Equal(t, "kept", g.says(t, "read @"+d.Serial))
	g.does(t, http.MethodDelete, "/disks/"+disk, nil)
	require.NotContains(t, g.says(t, "disks"), d.Serial)
	g.client.call(t, http.MethodGet, g.path("/disks/"+disk), nil, http.StatusNotFound, nil)
}

func (g *guest) takesANetwork(t *testing.T) {
	nic := g.does(t, http.MethodPost, "/nics", map[string]any{"network_id": "lab-net"}).ResourceID
	var v struct {
		Networks []struct {
			ID  string `json:"id"`
			MAC string `json:"mac"`
		} `json:"networks"`
	}
	g.client.call(t, http.MethodGet, g.path(""), nil, http.StatusOK, &v)
	require.Len(t, v.Networks, 2)
	i := slices.IndexFunc(v.Networks, func(n struct {
		ID  string `json:"id"`
		MAC string `json:"mac"`
	},
	) bool {
		return n.ID == nic
	})
	require.GreaterOrEqual(t, i, 0)
	eventually(t, jobLimit, func() error {
		if said := g.says(t, "nics"); !strings.Contains(said, v.Networks[i].MAC) {
			return fmt.Errorf("the guest sees %q", said)
		}
		return nil
	})
	g.does(t, http.MethodDelete, "/nics/"+nic, nil)
	require.NotContains(t, g.says(t, "nics"), v.Networks[i].MAC)
}

func (g *guest) grows(t *testing.T) {
	require.Equal(t, "1", g.says(t, "nproc"))
	g.refuses(t, http.MethodPost, ":resize", map[string]any{"flavor_id": "wide"}, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
	g.does(t, http.MethodPost, ":stop", map[string]any{"mode": "graceful", "timeout": "PT60S"})
	g.does(t, http.MethodPost, ":resize", map[string]any{"flavor_id": "wide", "disk_gib": 3})
	g.does(t, http.MethodPost, ":start", nil)
	g.ready(t, 1)
	require.Equal(t, "2", g.says(t, "nproc"))
	mem, err := strconv.Atoi(g.says(t, "mem"))
	require.NoError(t, err)
	require.InDelta(t, 768, mem, 120, "less what the kernel keeps")
	require.Contains(t, g.says(t, "disks"), "vda:3072:")
	require.Equal(t, "before", g.says(t, "read"), "what was on the disk is still there")
}

func (g *guest) isCloned(t *testing.T) {
	g.does(t, http.MethodPost, ":stop", map[string]any{"mode": "graceful", "timeout": "PT60S"})
	clone := &guest{client: g.client, hv: g.hv, id: g.does(t, http.MethodPost, ":clone", map[string]any{"name": "worker-2"}).ResourceID}
	clone.ready(t, 1)
	require.Equal(t, clone.id+" worker-2", clone.says(t, "id"), "an identity of its own")
	require.Equal(t, "before", clone.says(t, "read"), "a copy of the disk")
	require.Equal(t, "ok", clone.says(t, "write other"))
	g.does(t, http.MethodPost, ":start", nil)
	g.ready(t, 1)
	require.Equal(t, "before", g.says(t, "read"), "the source has its own disk")
	clone.client.done(t, clone.client.delete(t, clone.id).JobID)
	require.Equal(t, "before", g.says(t, "read"))
}

func (g *guest) isRebuilt(t *testing.T) {
	g.does(t, http.MethodPost, ":stop", map[string]any{"mode": "force"})
	g.does(t, http.MethodPost, ":rebuild", map[string]any{"image_id": "guest"})
	g.does(t, http.MethodPost, ":start", nil)
	g.ready(t, 1)
	require.Empty(t, g.says(t, "read"), "a fresh disk")
	require.Equal(t, g.id+" worker-1", g.says(t, "id"), "the same VM")
}
