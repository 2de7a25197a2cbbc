package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// bootLimit bounds the boot of a guest without hardware acceleration on a busy
// machine; an idle one takes 8 to 17 s.
const bootLimit = 3 * time.Minute

// The main job on a real hypervisor: a QEMU guest under a real libvirtd, from
// the API alone. What is believed is the guest's serial line, libvirt and the
// file system.
func TestRealHypervisor(t *testing.T) {
	t.Parallel()
	guest := libvirttest.Guest(t)
	hv := libvirttest.Start(t)
	binding, err := hv.Image(t.Context(), "guest.qcow2", guest, "qcow2")
	require.NoError(t, err)
	before := poolFiles(t, hv)
	dir := t.TempDir()
	p := start(t, dir)
	registerLibvirt(t, p, hv, binding.Ref)
	c := p.tenant()

	t.Run("a guest's life", func(t *testing.T) { guestsLife(t, p, hv) })
	require.Empty(t, domains(t, hv), "no domain is left")
	require.Equal(t, before, poolFiles(t, hv), "no volume and no medium is left")

	t.Run("an address of a subnet", func(t *testing.T) { guestsAddress(t, p, hv) })
	require.Empty(t, domains(t, hv), "no domain is left")
	require.Equal(t, before, poolFiles(t, hv), "no volume and no medium is left")

	t.Run("killed while it is made", func(t *testing.T) {
		a := createGuest(t, c, "phoenix")
		p.kill(t)
		p = start(t, dir)
		c = p.tenant()
		c.done(t, a.JobID)
		requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
		require.Equal(t, []string{"hcp-" + a.VMID}, domains(t, hv))
		c.done(t, c.delete(t, a.VMID).JobID)
	})
	require.Empty(t, domains(t, hv), "no domain is left")
	require.Equal(t, before, poolFiles(t, hv), "no volume and no medium is left")
}

func guestsLife(t *testing.T, p *instance, hv *libvirttest.Server) {
	t.Helper()
	c := p.tenant()
	a := createGuest(t, c, "web-1")
	j := c.done(t, a.JobID)
	t.Logf("created and started: %s", j)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	require.Equal(t, []string{"hcp-" + a.VMID}, domains(t, hv))

	hv.WaitSerial(t, a.VMID, "GUEST-READY host web-1\n", 1, bootLimit)
	said := hv.Serial(a.VMID)
	require.Contains(t, said, "GUEST-CLOUD instance "+a.VMID+" host web-1\n", "hostname from cloud-init")
	require.Contains(t, said, "GUEST-USERDATA marker: e2e\n")
	require.Contains(t, said, "GUEST-NET eth0 "+hv.Subnet, "address by DHCP")

	c.done(t, c.verb(t, a.VMID, "reboot", map[string]any{"mode": "graceful"}).JobID)
	hv.WaitSerial(t, a.VMID, "GUEST-READY", 2, bootLimit)
	require.Equal(t, 1, strings.Count(hv.Serial(a.VMID), "GUEST-POWEROFF"), "the guest was asked, once")
	eventually(t, jobLimit, func() error { // the refresh reads what the guest got
		v := c.vm(t, a.VMID)
		if len(v.Addresses) != 1 || !strings.Contains(hv.Serial(a.VMID), "GUEST-NET eth0 "+v.Addresses[0].IP+"\n") {
			return fmt.Errorf("addresses: %+v", v.Addresses)
		}
		return nil
	})

	c.done(t, c.verb(t, a.VMID, "stop", map[string]any{"mode": "graceful", "timeout": "PT60S"}).JobID)
	requireVM(t, c, a.VMID, "ACTIVE", "STOPPED")
	require.Equal(t, 2, strings.Count(hv.Serial(a.VMID), "GUEST-POWEROFF"), "ACPI, not the plug")

	c.done(t, c.verb(t, a.VMID, "start", nil).JobID)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	hv.WaitSerial(t, a.VMID, "GUEST-READY", 3, bootLimit)

	c.done(t, c.delete(t, a.VMID).JobID)
	require.Equal(t, "DELETED", c.vm(t, a.VMID).Status)
	require.Zero(t, reservations(t, p, a.VMID))
}

// guestsAddress: the guest uses the address that the control plane chose, which
// the hypervisor's own DHCP would never have given it.
func guestsAddress(t *testing.T, p *instance, hv *libvirttest.Server) {
	t.Helper()
	c, ops := p.tenant(), p.ops()
	const subnets = "/ops/v1/networks/lab-net/subnets"
	var subnet struct {
		ID string `json:"id"`
	}
	ops.call(t, http.MethodPost, subnets, map[string]any{
		"cidr": hv.Subnet + "0/24", "gateway": hv.Subnet + "1", "dns_servers": []string{hv.Subnet + "1"},
		"pool_start": hv.Subnet + "231", "pool_end": hv.Subnet + "239",
	}, http.StatusCreated, &subnet)
	a := createGuest(t, c, "addressed")
	c.done(t, a.JobID)
	var v struct {
		Networks []struct {
			IP string `json:"ip_address"`
		} `json:"networks"`
	}
	c.call(t, http.MethodGet, c.vms()+"/"+a.VMID, nil, http.StatusOK, &v)
	require.Len(t, v.Networks, 1)
	require.Equal(t, hv.Subnet+"231", v.Networks[0].IP, "the first of the pool")
	hv.WaitSerial(t, a.VMID, "GUEST-READY host addressed\n", 1, bootLimit)
	require.Contains(t, hv.Serial(a.VMID), "GUEST-NET eth0 "+v.Networks[0].IP+"\n")

	ops.call(t, http.MethodDelete, subnets+"/"+subnet.ID, nil, http.StatusConflict, nil)
	c.done(t, c.delete(t, a.VMID).JobID)
	ops.call(t, http.MethodDelete, subnets+"/"+subnet.ID, nil, http.StatusNoContent, nil)
}

func createGuest(t *testing.T, c client, name string) accepted {
	t.Helper()
	var a accepted
	c.call(t, http.MethodPost, c.vms(), map[string]any{
		"name": name, "image_id": "guest", "flavor_id": "small", "user_data": "#cloud-config\nmarker: e2e\n",
		"networks":  []map[string]any{{"network_id": "lab-net"}},
		"placement": map[string]any{"zone": "lab"},
	}, http.StatusAccepted, &a)
	return a
}

// registerLibvirt makes the hypervisor known, as an operator does.
func registerLibvirt(t *testing.T, p *instance, hv *libvirttest.Server, image string) {
	t.Helper()
	registerHypervisor(t, p, hv, hv.Options(), image)
}

// registerHypervisor is registerLibvirt with options of the caller's.
func registerHypervisor(t *testing.T, p *instance, hv *libvirttest.Server, options map[string]string, image string) {
	t.Helper()
	ops := p.ops()
	made := func(path string, body map[string]any) {
		ops.call(t, http.MethodPost, "/ops/v1/"+path, body, http.StatusCreated, nil)
	}
	made("zones", map[string]any{"id": "lab", "name": "Lab"})
	var sync accepted
	ops.call(t, http.MethodPost, "/ops/v1/providers", map[string]any{
		"id": "libvirt-1", "name": "libvirt", "kind": "libvirt", "url": hv.URL, "zone_id": "lab", "options": options,
	}, http.StatusAccepted, &sync)
	require.Equal(t, "libvirt-1", sync.ResourceID)
	ops.done(t, sync.JobID)
	made("images", map[string]any{
		"id": "guest", "name": "Guest",
		"bindings": []map[string]any{{"provider_id": "libvirt-1", "ref": image, "format": "qcow2"}},
	})
	made("networks", map[string]any{
		"id": "lab-net", "name": "Lab network",
		"bindings": []map[string]any{{"provider_id": "libvirt-1", "ref": hv.Network}},
	})
}

func domains(t *testing.T, hv *libvirttest.Server) []string {
	t.Helper()
	names, err := hv.Domains(t.Context())
	require.NoError(t, err)
	return names
}

// poolFiles is what lies in the storage pool: images, volumes, media.
func poolFiles(t *testing.T, hv *libvirttest.Server) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Clean(hv.PoolDir))
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}
