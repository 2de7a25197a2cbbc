package libvirt_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
)

func TestConformance(t *testing.T) {
	f := env(t)
	lossy := newProxy(t, f.server)
	providertest.Run(t, providertest.Harness{
		Open: func(_ context.Context, t *testing.T) providers.Provider {
			t.Helper()
			return f.open(t, lossy.url(), nil)
		},
		Request:      func(*testing.T) providers.CreateVMRequest { return f.plainRequest() },
		GuestRequest: func(*testing.T) providers.CreateVMRequest { return f.guestRequest() },
		Foreign:      f.foreign,
		Capabilities: qemuCapabilities(),
		// Whether a guest goes on is asked of the guest in TestRunningGuest.
		Disks:      diskProbe{f},
		LoseAnswer: lossy.lose,
		Settle:     90 * time.Second,
		PollEvery:  50 * time.Millisecond,
		AskAgain:   3 * time.Second,
	})
}

// qemuCapabilities are those of one QEMU host.
func qemuCapabilities() []models.Capability {
	return []models.Capability{
		models.CapCloudInit, models.CapSuspend, models.CapResize, models.CapRebuild, models.CapClone,
		models.CapSnapshot, models.CapSnapshotMemory, models.CapDataDisks, models.CapAttachNetwork,
		models.CapConsoleVNC, models.CapConsoleSerial,
	}
}

// TestConformanceOfCluster runs the contract on two hosts as one provider.
func TestConformanceOfCluster(t *testing.T) {
	d := both(t)
	providertest.Run(t, providertest.Harness{
		Open: func(_ context.Context, t *testing.T) providers.Provider {
			t.Helper()
			return d.cluster(t, nil)
		},
		Request:      func(*testing.T) providers.CreateVMRequest { return d.plainRequest() },
		GuestRequest: func(*testing.T) providers.CreateVMRequest { return d.guestRequest() },
		Foreign:      d.foreign,
		Capabilities: append(qemuCapabilities(), models.CapLiveMigration, models.CapColdMigration),
		Settle:       90 * time.Second,
		PollEvery:    50 * time.Millisecond,
		AskAgain:     3 * time.Second,
	})
}

// TestConformanceOfMock runs the contract on libvirt's mock driver: the same code
// and protocol at a fraction of the time, over TCP.
func TestConformanceOfMock(t *testing.T) {
	f := env(t)
	c, end, err := f.server.MockClient(t.Context())
	require.NoError(t, err)
	t.Cleanup(end)
	pool, err := c.StoragePoolLookupByName("default-pool")
	require.NoError(t, err)
	_, err = c.StorageVolCreateXML(pool, `<volume><name>image</name><capacity>1048576</capacity><target><format type="qcow2"/></target></volume>`, 0)
	require.NoError(t, err)
	providertest.Run(t, providertest.Harness{
		Open: func(_ context.Context, t *testing.T) providers.Provider {
			t.Helper()
			return f.open(t, f.server.TestTCP, map[string]string{"pool": "default-pool"})
		},
		Request: func(*testing.T) providers.CreateVMRequest {
			req := f.plainRequest()
			req.Image = models.ImageBinding{Ref: "default-pool/image", Format: "qcow2"}
			req.NICs[0].Network.Ref = "default"
			return req
		},
		Capabilities: []models.Capability{
			models.CapCloudInit, models.CapSuspend, models.CapRebuild, models.CapClone, models.CapSnapshot, models.CapSnapshotMemory,
		},
	})
}

// TestACopyThatCannotBeLookedAt: where volumes cannot be read, as on the mock, another
// process takes a copy for one at work until its marker is gone.
func TestACopyThatCannotBeLookedAt(t *testing.T) {
	f := env(t)
	c, end, err := f.server.MockClient(t.Context())
	require.NoError(t, err)
	t.Cleanup(end)
	pool, err := c.StoragePoolLookupByName("default-pool")
	require.NoError(t, err)
	_, err = c.StorageVolCreateXML(pool, `<volume><name>looked-at</name><capacity>1048576</capacity><target><format type="qcow2"/></target></volume>`, 0)
	require.NoError(t, err)
	p := f.open(t, f.server.TestTCP, map[string]string{"pool": "default-pool"})
	other := f.open(t, f.server.TestTCP, map[string]string{"pool": "default-pool"})
	req := f.plainRequest()
	req.Image = models.ImageBinding{Ref: "default-pool/looked-at", Format: "qcow2", CloneMode: models.CloneFull}
	req.NICs[0].Network.Ref = "default"
	_, task, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.NotEmpty(t, task)
	require.NoError(t, pollUntilDone(t, p, task).Err)

	volumes, _, err := c.StoragePoolListAllVolumes(pool, 1, 0)
	require.NoError(t, err)
	root := slices.IndexFunc(volumes, func(v lv.StorageVol) bool {
		return strings.Contains(v.Name, req.VMID) && strings.HasSuffix(v.Name, "-root.qcow2")
	})
	require.GreaterOrEqual(t, root, 0, "%v", volumes)
	marker, err := c.StorageVolCreateXML(pool, `<volume><name>`+strings.TrimSuffix(volumes[root].Name, "root.qcow2")+
		`copy-x</name><capacity>1</capacity><target><format type="raw"/></target></volume>`, 0)
	require.NoError(t, err)
	st, err := other.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done)
	require.NoError(t, c.StorageVolDelete(marker, 0))
	st, err = other.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.True(t, st.Done)
	require.NoError(t, st.Err)
	_, err = p.DeleteVM(t.Context(), target(req))
	require.NoError(t, err)
}

// lose cuts the connection at the call by which a method of the contract acts,
// once the daemon has it.
func (p *proxy) lose(_ context.Context, t *testing.T, method string) {
	t.Helper()
	procedure, ok := map[string]uint32{
		"SuspendVM": procManagedSave, "ResizeVM": procDomainDefineXML, "RebuildVM": procDomainDefineXML, "CloneVM": procVolCreateXMLFrom,
		"CreateSnapshot": procSnapshotCreateXML, "AttachDisk": procAttachDevice, "AttachNIC": procAttachDevice,
	}[method]
	require.True(t, ok, method)
	p.set(&fault{procedure: procedure, deliver: true})
}

// diskProbe reads and writes the place on a disk that the guest does, with
// QEMU's tools.
type diskProbe struct{ f *fixture }

const probeOffset, probeLength = 512 << 10, 512

func (d diskProbe) path(t *testing.T, vmID, diskID string) string {
	t.Helper()
	if diskID != "" {
		found, err := filepath.Glob(filepath.Join(d.f.server.PoolDir, "hcp-"+vmID+"-*-data-"+diskID+".qcow2"))
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[0]
	}
	_, x := d.f.domainOf(t, vmID)
	return x.Devices.Disks[0].Source.File.File
}

func (d diskProbe) WriteDisk(ctx context.Context, t *testing.T, vmID, diskID, text string) {
	t.Helper()
	content := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(content, append([]byte(text), make([]byte, probeLength-len(text))...), 0o600))
	command := fmt.Sprintf("write -s %s %d %d", content, probeOffset, probeLength)
	out, err := exec.CommandContext(ctx, "qemu-io", "-f", "qcow2", "-c", command, d.path(t, vmID, diskID)).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func (d diskProbe) ReadDisk(ctx context.Context, t *testing.T, vmID, diskID string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "text")
	out, err := exec.CommandContext(ctx, "qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", "bs=512", "count="+strconv.Itoa(probeOffset/probeLength+1),
		"skip="+strconv.Itoa(probeOffset/probeLength), "if="+d.path(t, vmID, diskID), "of="+to).CombinedOutput()
	require.NoError(t, err, "%s", out)
	content, err := os.ReadFile(to)
	require.NoError(t, err)
	return strings.TrimRight(string(content), "\x00")
}

// foreign makes a domain of another installation under the UUID that a VM ID is.
func (f *fixture) foreign(_ context.Context, t *testing.T, vmID string) func(*testing.T) {
	t.Helper()
	c := f.client(t)
	doc := `<domain type="qemu"><name>foreign-` + vmID + `</name><uuid>` + vmID + `</uuid>
		<metadata><hcp:vm xmlns:hcp="urn:hypervisor-control-plane:libvirt:vm:1">
		<hcp:vm_id>` + vmID + `</hcp:vm_id><hcp:installation_id>` + elsewhere + `</hcp:installation_id>
		</hcp:vm></metadata>
		<memory unit="MiB">32</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>`
	dom, err := c.DomainDefineXMLFlags(doc, 0)
	require.NoError(t, err)
	require.NoError(t, c.DomainCreate(dom))
	before, err := c.DomainGetXMLDesc(dom, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.DomainDestroy(dom))
		require.NoError(t, c.DomainUndefineFlags(dom, 0))
	})
	return func(t *testing.T) {
		t.Helper()
		u := uuid.MustParse(vmID)
		dom, err := c.DomainLookupByUUID(lv.UUID(u))
		require.NoError(t, err)
		after, err := c.DomainGetXMLDesc(dom, 0)
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
}
