package libvirt_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// domainOf reads a VM's domain beside the adapter.
func (f *fixture) domainOf(t *testing.T, vmID string) (lv.Domain, libvirtxml.Domain) {
	t.Helper()
	c := f.client(t)
	dom, err := c.DomainLookupByUUID(lv.UUID(uuid.MustParse(vmID)))
	require.NoError(t, err)
	doc, err := c.DomainGetXMLDesc(dom, 0)
	require.NoError(t, err)
	var x libvirtxml.Domain
	require.NoError(t, x.Unmarshal(doc))
	return dom, x
}

// TestBindings starts a VM with an interface of each type and a fixed address.
func TestBindings(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	req.NICs[0].IPAddress = f.server.Subnet + "222"
	req.NICs = append(req.NICs,
		providers.NIC{Network: models.NetworkBinding{Ref: f.server.Bridge, Type: models.NetworkBridge}, MAC: "52:54:00:00:00:12"},
		providers.NIC{Network: models.NetworkBinding{Type: models.NetworkUser}, MAC: "52:54:00:00:00:13"})
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, models.PowerRunning, vm.Power)
	_, x := f.domainOf(t, req.VMID)
	require.Len(t, x.Devices.Interfaces, 3)
	require.Equal(t, f.server.Bridge, x.Devices.Interfaces[1].Source.Bridge.Bridge)
	require.NotNil(t, x.Devices.Interfaces[2].Source.User)
	require.Equal(t, "127.0.0.1", x.Devices.Graphics[0].VNC.Listen)
	require.Positive(t, x.Devices.Graphics[0].VNC.Port)

	bad := f.request(t, p)
	bad.NICs[0].IPAddress = "192.0.2.1"
	_, _, err = p.CreateVM(t.Context(), bad)
	requireCode(t, providers.InvalidArgument, err)
	f.requireNothing(t, p, bad.VMID)
}

// TestAutomaticDomainTypeBoots lets the adapter choose, and believes the choice
// only when a guest boots.
func TestAutomaticDomainTypeBoots(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, map[string]string{"domain_type": "auto"})
	req := f.request(t, p)
	req.Image, req.MemoryMiB = f.guest, 160
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	f.server.WaitSerial(t, req.VMID, "GUEST-READY host web-1\n", 1, 90*time.Second)
}

// TestReleasedVMKeepsItsDisks takes the mark off a VM. It is foreign then, and
// so are the volumes that it uses, whatever their names.
func TestReleasedVMKeepsItsDisks(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	root := f.rootName(t, p, req.VMID)
	dom, x := f.domainOf(t, req.VMID)
	x.Metadata = nil
	doc, err := x.Marshal()
	require.NoError(t, err)
	c := f.client(t)
	require.NoError(t, c.DomainUndefineFlags(dom, 0))
	dom, err = c.DomainDefineXMLFlags(doc, 0)
	require.NoError(t, err)

	_, err = p.FindVM(t.Context(), req.VMID)
	requireCode(t, providers.NotFound, err)
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = p.DeleteVM(t.Context(), target(req))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(f.server.PoolDir, root))
	_, _, err = p.CreateVM(t.Context(), req)
	requireCode(t, providers.AlreadyExists, err)
	require.NoError(t, c.DomainUndefineFlags(dom, 0))
}

// TestAnotherInstallationsVolumesAreNotOurs makes the same VM ID for two
// installations in turn.
func TestAnotherInstallationsVolumesAreNotOurs(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	foreign := filepath.Join(f.server.PoolDir, "hcp-"+req.VMID+"-000000000000-root.qcow2")
	require.NoError(t, os.WriteFile(foreign, []byte("somebody else's"), 0o600))
	t.Cleanup(func() {
		require.NoError(t, os.Remove(foreign))
		require.NoError(t, f.server.RefreshPool(context.WithoutCancel(t.Context())))
	})
	require.NoError(t, f.server.RefreshPool(t.Context()))
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = p.DeleteVM(t.Context(), target(req))
	require.NoError(t, err)
	require.FileExists(t, foreign)
	images, err := p.ListImages(t.Context())
	require.NoError(t, err)
	for _, i := range images {
		require.NotContains(t, i.Ref, req.VMID, "a VM's disk is no image")
	}
}

// TestStartWithoutItsDisk shows what a lost disk looks like.
func TestStartWithoutItsDisk(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(f.server.PoolDir, f.rootName(t, p, req.VMID))))
	_, err = p.StartVM(t.Context(), target(req))
	requireCode(t, providers.FailedPrecondition, err)
}
