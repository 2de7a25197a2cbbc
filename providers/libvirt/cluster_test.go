package libvirt_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// duo is the shared server with a second one beside it, made when the first test
// needs it.
type duo struct {
	*fixture
	once sync.Once
	peer *libvirttest.Server
	err  error
}

var pair duo

// both returns two hosts that share their disks.
func both(t *testing.T) *duo {
	t.Helper()
	pair.fixture = env(t)
	pair.once.Do(func() { pair.peer, pair.err = pair.server.LaunchPeer(context.WithoutCancel(t.Context())) })
	libvirttest.Check(t, pair.err)
	return &pair
}

// cluster returns an adapter over both hosts, with more options.
func (d *duo) cluster(t *testing.T, options map[string]string) *libvirt.Cluster {
	t.Helper()
	cfg := d.server.ClusterConfig(installation, d.peer)
	for k, v := range options {
		cfg.Options[k] = v
	}
	c, err := libvirt.OpenCluster(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// create makes a VM, and removes it when the test ends.
func (d *duo) create(t *testing.T, c *libvirt.Cluster, req providers.CreateVMRequest) {
	t.Helper()
	t.Cleanup(func() {
		eventually(t, func() error {
			_, err := c.DeleteVM(context.WithoutCancel(t.Context()), target(req))
			return err
		})
		d.requireNowhere(t, c, req.VMID)
	})
	_, task, err := c.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.Empty(t, task)
}

func (d *duo) requireNowhere(t *testing.T, c *libvirt.Cluster, vmID string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	left, err := c.Leftovers(ctx, vmID)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Empty(t, d.hostsOf(t, vmID))
}

// boot makes a guest on the first host and waits until it is ready.
func (d *duo) boot(t *testing.T, c *libvirt.Cluster) providers.CreateVMRequest {
	t.Helper()
	req := d.guestRequest()
	d.create(t, c, req)
	_, err := c.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	d.server.WaitSerial(t, req.VMID, "GUEST-READY", 1, 90*time.Second)
	return req
}

// hostsOf returns the hosts on which libvirt knows the VM's domain.
func (d *duo) hostsOf(t *testing.T, vmID string) (names []string) {
	t.Helper()
	for _, s := range []*libvirttest.Server{d.server, d.peer} {
		domains, err := s.Domains(context.WithoutCancel(t.Context()))
		require.NoError(t, err)
		for _, name := range domains {
			if name == "hcp-"+vmID {
				names = append(names, s.Host)
			}
		}
	}
	return names
}

// requireOn proves that there is one copy, whole, without a note of a migration.
func (d *duo) requireOn(t *testing.T, c *libvirt.Cluster, vmID string, s *libvirttest.Server, power models.PowerState) {
	t.Helper()
	vm, err := c.FindVM(t.Context(), vmID)
	require.NoError(t, err)
	require.Equal(t, s.Host, vm.Node)
	require.Equal(t, power, vm.Power)
	require.False(t, vm.Incomplete)
	require.Equal(t, []string{s.Host}, d.hostsOf(t, vmID))
	client, end, err := s.Client(t.Context())
	require.NoError(t, err)
	defer end()
	for _, flags := range []lv.DomainXMLFlags{0, lv.DomainXMLInactive} {
		doc, err := client.DomainGetXMLDesc(lookup(t, client, vmID), flags)
		require.NoError(t, err)
		require.NotContains(t, doc, "hcpmove")
		require.Contains(t, doc, "<hcp:vm_id>"+vmID)
	}
}

func lookup(t *testing.T, c *lv.Libvirt, vmID string) lv.Domain {
	t.Helper()
	dom, err := c.DomainLookupByUUID(lv.UUID(uuid.MustParse(vmID)))
	require.NoError(t, err)
	return dom
}

func done(t *testing.T, p providers.Provider, task providers.TaskRef) error {
	t.Helper()
	var failed error
	require.Eventually(t, func() bool {
		st, err := p.PollTask(t.Context(), task)
		if err != nil {
			require.True(t, providers.CodeOf(err).Retryable(), "%v", err)
			return false
		}
		failed = st.Err
		return st.Done
	}, 2*time.Minute, 50*time.Millisecond)
	return failed
}

// uptime is what the guest says, in seconds.
func uptime(t *testing.T, s *libvirttest.Server, vmID string) float64 {
	t.Helper()
	up, err := strconv.ParseFloat(s.Ask(t, vmID, "uptime"), 64)
	require.NoError(t, err)
	return up
}

// TestLiveMigration takes a running guest to the other host and back: it keeps
// its uptime, and one copy remains.
func TestLiveMigration(t *testing.T) {
	d := both(t)
	c := d.cluster(t, nil)
	req := d.boot(t, c)
	d.requireOn(t, c, req.VMID, d.server, models.PowerRunning)
	up := uptime(t, d.server, req.VMID)
	for _, to := range []*libvirttest.Server{d.peer, d.server} {
		began := time.Now()
		task, err := c.MigrateVM(t.Context(), target(req), providers.Migration{Node: to.Host, Live: true})
		require.NoError(t, err)
		require.NotEmpty(t, task)
		require.NoError(t, done(t, c, task))
		t.Logf("migrated in %v", time.Since(began).Round(time.Millisecond))
		d.requireOn(t, c, req.VMID, to, models.PowerRunning)
		now := uptime(t, to, req.VMID)
		require.Greater(t, now, up, "the guest was not booted anew")
		up = now
		task, err = c.MigrateVM(t.Context(), target(req), providers.Migration{Node: to.Host, Live: true})
		require.NoError(t, err)
		require.Empty(t, task, "it is there")
	}
	require.Equal(t, 1, strings.Count(d.server.Serial(req.VMID), "GUEST-BOOT"))
}

// TestColdMigration moves a VM that is off; it boots at its destination.
func TestColdMigration(t *testing.T) {
	d := both(t)
	c := d.cluster(t, nil)
	req := d.guestRequest()
	d.create(t, c, req)
	for _, to := range []*libvirttest.Server{d.peer, d.server, d.peer} {
		for range 2 {
			task, err := c.MigrateVM(t.Context(), target(req), providers.Migration{Node: to.Host})
			require.NoError(t, err)
			require.Empty(t, task)
			d.requireOn(t, c, req.VMID, to, models.PowerStopped)
		}
	}
	_, err := c.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	d.server.WaitSerial(t, req.VMID, "GUEST-READY", 1, 90*time.Second)
	d.requireOn(t, c, req.VMID, d.peer, models.PowerRunning)
}
