package libvirt_test

import (
	"context"
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
	providertest.Run(t, providertest.Harness{
		Open: func(_ context.Context, t *testing.T) providers.Provider {
			t.Helper()
			return f.open(t, f.server.URL, nil)
		},
		Request:      func(*testing.T) providers.CreateVMRequest { return f.plainRequest() },
		GuestRequest: func(*testing.T) providers.CreateVMRequest { return f.guestRequest() },
		Foreign:      f.foreign,
		Capabilities: qemuCapabilities(),
		Settle:       90 * time.Second,
		PollEvery:    50 * time.Millisecond,
		AskAgain:     3 * time.Second,
	})
}

// qemuCapabilities are those of one QEMU host.
func qemuCapabilities() []models.Capability {
	return []models.Capability{models.CapCloudInit, models.CapConsoleVNC, models.CapConsoleSerial}
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
		Capabilities: []models.Capability{models.CapCloudInit},
	})
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
