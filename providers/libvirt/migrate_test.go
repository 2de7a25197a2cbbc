package libvirt_test

import (
	"context"
	"strings"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// slow is a migration that lasts until somebody ends it.
func slow() map[string]string { return map[string]string{"migrate_bandwidth": "1"} }

// hurry takes the limit away from a migration at work.
func hurry(t *testing.T, s *libvirttest.Server, vmID string) {
	t.Helper()
	c, end, err := s.Client(t.Context())
	require.NoError(t, err)
	defer end()
	require.NoError(t, c.DomainMigrateSetMaxSpeed(lookup(t, c, vmID), 8192, 0))
}

// leave begins a migration and waits until memory flows.

func (d *duo) leave(t *testing.T, c *libvirt.Cluster, req providers.CreateVMRequest) providers.TaskRef {
	t.Helper()
	task, err := c.MigrateVM(t.Context(), target(req), providers.Migration{Node: d.peer.Host, Live: true})
	require.NoError(t, err)
	require.NotEmpty(t, task)
	st, err := c.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done, "it is limited to 1 MiB/s")
	client := d.client(t)
	dom := lookup(t, client, req.VMID)
	require.Eventually(t, func() bool {
		_, _, _, _, sent, _, _, _, _, _, _, _, err := client.DomainGetJobInfo(dom)
		require.NoError(t, err)
		return sent > 1<<20
	}, 30*time.Second, 50*time.Millisecond)
	require.Len(t, d.hostsOf(t, req.VMID), 2)
	return task
}

// TestAbortedMigration ends a migration half-way, from another process than the
// one that began it: the guest runs on where it was, and nothing is left at the
// destination. Then it migrates after all.
func TestAbortedMigration(t *testing.T) {
	d := both(t)
	c := d.cluster(t, slow())
	req := d.boot(t, c)
	_, err := c.AbortMigration(t.Context(), target(req))
	require.NoError(t, err, "there is nothing to end")

	up := uptime(t, d.server, req.VMID)
	task := d.leave(t, c, req)
	again, err := c.MigrateVM(t.Context(), target(req), providers.Migration{Node: d.peer.Host, Live: true})
	require.NoError(t, err)
	require.Equal(t, task, again, "the migration at work is found")
	_, err = c.MigrateVM(t.Context(), target(req), providers.Migration{Node: d.server.Host, Live: true})
	requireCode(t, providers.Aborted, err)
	_, err = c.RebootVM(t.Context(), target(req), models.ModeForce, "job")
	requireCode(t, providers.Aborted, err)
	vm, err := c.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []string{d.server.Host, string(models.PowerRunning)}, []string{vm.Node, string(vm.Power)})
	page, err := c.ListVMs(t.Context(), providers.PageRequest{})
	require.NoError(t, err)
	require.Len(t, page.VMs, 1, "shown once, though on two hosts")
	require.Equal(t, d.server.Host, page.VMs[0].Node)

	other := d.cluster(t, nil)
	for range 2 {
		abort, err := other.AbortMigration(t.Context(), target(req))
		require.NoError(t, err)
		require.NoError(t, done(t, other, abort))
		d.requireOn(t, c, req.VMID, d.server, models.PowerRunning)
	}
	require.Error(t, done(t, c, task), "the migration has failed")
	require.Greater(t, uptime(t, d.server, req.VMID), up)

	task, err = other.MigrateVM(t.Context(), target(req), providers.Migration{Node: d.peer.Host, Live: true})
	require.NoError(t, err)
	require.NoError(t, done(t, other, task))
	d.requireOn(t, c, req.VMID, d.peer, models.PowerRunning)
	require.Greater(t, uptime(t, d.peer, req.VMID), up)
}

// TestMigrationOutlivesUs closes the adapter that began a migration, as the death
// of its process would; another one follows it to its end.
func TestMigrationOutlivesUs(t *testing.T) {
	d := both(t)
	keeper := d.cluster(t, nil)
	req := d.boot(t, keeper)
	up := uptime(t, d.server, req.VMID)
	dying := d.cluster(t, slow())
	task := d.leave(t, dying, req)
	require.NoError(t, dying.Close())
	_, err := dying.PollTask(t.Context(), task)
	requireCode(t, providers.Unavailable, err)
	st, err := keeper.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done, "it goes on")
	hurry(t, d.server, req.VMID)
	require.NoError(t, done(t, keeper, task))
	d.requireOn(t, keeper, req.VMID, d.peer, models.PowerRunning)
	require.Greater(t, uptime(t, d.peer, req.VMID), up)
	require.NoError(t, done(t, keeper, task), "its end can be read again")
}

// TestDestinationDies kills the destination's daemon in the middle. The guest runs
// on at its source, and the VM can be found and cleaned up.
func TestDestinationDies(t *testing.T) {
	d := both(t)
	c := d.cluster(t, slow())
	req := d.boot(t, c)
	task := d.leave(t, c, req)
	require.NoError(t, d.peer.Kill())
	t.Cleanup(func() { require.NoError(t, d.peer.Restart(context.WithoutCancel(t.Context()))) })
	vm, err := c.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []string{d.server.Host, string(models.PowerRunning)}, []string{vm.Node, string(vm.Power)})
	nodes, err := c.ListNodes(t.Context())
	require.NoError(t, err)
	states := map[string]models.NodeState{}
	for _, n := range nodes {
		states[n.Name] = n.State
	}
	require.Equal(t, map[string]models.NodeState{d.server.Host: models.NodeUp, d.peer.Host: models.NodeDown}, states)

	require.NoError(t, d.peer.Restart(t.Context()))
	require.Error(t, done(t, c, task))
	eventually(t, func() error {
		abort, err := c.AbortMigration(t.Context(), target(req))
		if err == nil {
			err = done(t, c, abort)
		}
		return err
	})
	d.requireOn(t, c, req.VMID, d.server, models.PowerRunning)
	require.Equal(t, 1, strings.Count(d.server.Serial(req.VMID), "GUEST-BOOT"))
	uptime(t, d.server, req.VMID)
}

// TestSourceDies kills the source's daemon in the middle; its guest lives.
func TestSourceDies(t *testing.T) {
	d := both(t)
	c := d.cluster(t, slow())
	req := d.boot(t, c)
	task := d.leave(t, c, req)
	require.NoError(t, d.server.Kill())
	t.Cleanup(func() { require.NoError(t, d.server.Restart(context.WithoutCancel(t.Context()))) })
	_, err := c.FindVM(t.Context(), req.VMID)
	requireCode(t, providers.Unavailable, err)
	_, err = c.DeleteVM(t.Context(), target(req))
	requireCode(t, providers.Unavailable, err)
	_, err = c.Leftovers(t.Context(), req.VMID)
	requireCode(t, providers.Unavailable, err)

	require.NoError(t, d.server.Restart(t.Context()))
	require.Error(t, done(t, c, task))
	eventually(t, func() error {
		abort, err := c.AbortMigration(t.Context(), target(req))
		if err == nil {
			err = done(t, c, abort)
		}
		return err
	})
	d.requireOn(t, c, req.VMID, d.server, models.PowerRunning)
	require.Equal(t, 1, strings.Count(d.server.Serial(req.VMID), "GUEST-BOOT"))
	uptime(t, d.server, req.VMID)
}

// TestInterruptedColdMigration leaves the definition on both hosts, as a process
// that dies between its two steps would.
func TestInterruptedColdMigration(t *testing.T) {
	d := both(t)
	c := d.cluster(t, nil)
	for _, finish := range []func(req providers.CreateVMRequest) *libvirttest.Server{
		func(req providers.CreateVMRequest) *libvirttest.Server {
			_, err := c.AbortMigration(t.Context(), target(req))
			require.NoError(t, err)
			return d.server
		},
		func(req providers.CreateVMRequest) *libvirttest.Server {
			_, err := c.MigrateVM(t.Context(), target(req), providers.Migration{Node: d.peer.Host})
			require.NoError(t, err)
			return d.peer
		},
	} {
		req := d.plainRequest()
		d.create(t, c, req)
		d.copyTo(t, req.VMID)
		require.Len(t, d.hostsOf(t, req.VMID), 2)
		vm, err := c.FindVM(t.Context(), req.VMID)
		require.NoError(t, err)
		require.Equal(t, d.server.Host, vm.Node)
		d.requireOn(t, c, req.VMID, finish(req), models.PowerStopped)
	}
	// A delete needs no cleaning up before.
	req := d.plainRequest()
	d.create(t, c, req)
	d.copyTo(t, req.VMID)
	_, err := c.DeleteVM(t.Context(), target(req))
	require.NoError(t, err)
	d.requireNowhere(t, c, req.VMID)
}

// copyTo does the first half of a cold migration.
func (d *duo) copyTo(t *testing.T, vmID string) {
	t.Helper()
	from, end, err := d.server.Client(t.Context())
	require.NoError(t, err)
	defer end()
	to, end, err := d.peer.Client(t.Context())
	require.NoError(t, err)
	defer end()
	require.NoError(t, from.DomainSetMetadata(lookup(t, from, vmID), int32(lv.DomainMetadataElement),
		lv.OptString{`<move from="` + d.server.Host + `" to="` + d.peer.Host + `" live="false"/>`},
		lv.OptString{"hcpmove"}, lv.OptString{"urn:hypervisor-control-plane:libvirt:move:1"}, lv.DomainAffectConfig))
	doc, err := from.DomainGetXMLDesc(lookup(t, from, vmID), lv.DomainXMLSecure|lv.DomainXMLInactive)
	require.NoError(t, err)
	_, err = to.DomainDefineXMLFlags(doc, 0)
	require.NoError(t, err)
}

// TestMigrationRefusals shows what is no migration, and that a refusal leaves the
// VM as it was.
func TestMigrationRefusals(t *testing.T) {
	d := both(t)
	c := d.cluster(t, nil)
	req := d.plainRequest()
	d.create(t, c, req)
	there := providers.Migration{Node: d.peer.Host}
	refuse := func(want providers.Code, to providers.Migration) {
		t.Helper()
		_, err := c.MigrateVM(t.Context(), target(req), to)
		requireCode(t, want, err)
	}
	refuse(providers.NotFound, providers.Migration{Node: "elsewhere"})
	refuse(providers.NotFound, providers.Migration{})
	refuse(providers.FailedPrecondition, providers.Migration{Node: d.peer.Host, Live: true})
	_, err := c.MigrateVM(t.Context(), providers.Target{VMID: models.NewID()}, there)
	requireCode(t, providers.NotFound, err)
	_, err = c.AbortMigration(t.Context(), providers.Target{VMID: models.NewID()})
	requireCode(t, providers.NotFound, err)

	// A snapshot.
	client := d.client(t)
	snapshot, err := client.DomainSnapshotCreateXML(lookup(t, client, req.VMID), "<domainsnapshot/>", 0)
	require.NoError(t, err)
	refuse(providers.FailedPrecondition, there)
	require.NoError(t, client.DomainSnapshotDelete(snapshot, 0))

	// A disk that the other host does not see.
	pool, err := client.StoragePoolDefineXML(`<pool type="dir"><name>own</name><target><path>`+t.TempDir()+`</path></target></pool>`, 0)
	require.NoError(t, err)
	require.NoError(t, client.StoragePoolCreate(pool, 0))
	t.Cleanup(func() {
		c := d.client(t)
		require.NoError(t, c.StoragePoolDestroy(pool))
		require.NoError(t, c.StoragePoolUndefine(pool))
	})
	own := d.cluster(t, map[string]string{"pool": "own"})
	local := d.plainRequest()
	d.create(t, own, local)
	_, err = own.MigrateVM(t.Context(), target(local), there)
	requireCode(t, providers.FailedPrecondition, err)
	d.requireOn(t, own, local.VMID, d.server, models.PowerStopped)
	left, err := own.Leftovers(t.Context(), local.VMID)
	require.NoError(t, err)
	require.Len(t, left, 3, "domain, root disk and medium, and no probe")

	// A foreign domain under the VM's ID at the destination.
	peer, end, err := d.peer.Client(t.Context())
	require.NoError(t, err)
	defer end()
	foreign, err := peer.DomainDefineXMLFlags(`<domain type="qemu"><name>foreign</name><uuid>`+req.VMID+`</uuid><memory>1024</memory><os><type>hvm</type></os></domain>`, 0)
	require.NoError(t, err)
	refuse(providers.AlreadyExists, there)
	require.NoError(t, peer.DomainUndefineFlags(foreign, 0))

	// A running VM is not carried.
	_, err = c.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	refuse(providers.FailedPrecondition, there)
	d.requireOn(t, c, req.VMID, d.server, models.PowerRunning)

	// libvirt's own opinion of a local directory counts unless it is told otherwise.
	careful := d.cluster(t, map[string]string{"migrate_unsafe": "false"})
	_, err = careful.MigrateVM(t.Context(), target(req), providers.Migration{Node: d.peer.Host, Live: true})
	requireCode(t, providers.FailedPrecondition, err)
	d.requireOn(t, c, req.VMID, d.server, models.PowerRunning)

	// A network that the destination lacks.
	network, err := client.NetworkDefineXML(`<network><name>own</name><bridge name="` + d.server.Bridge + `n"/></network>`)
	require.NoError(t, err)
	require.NoError(t, client.NetworkCreate(network))
	t.Cleanup(func() {
		c := d.client(t)
		require.NoError(t, c.NetworkDestroy(network))
		require.NoError(t, c.NetworkUndefine(network))
	})
	alone := d.plainRequest()
	alone.NICs[0].Network.Ref = "own"
	d.create(t, c, alone)
	_, err = c.MigrateVM(t.Context(), target(alone), there)
	requireCode(t, providers.FailedPrecondition, err)
	d.requireOn(t, c, alone.VMID, d.server, models.PowerStopped)
}

// TestHostDown shows that a host that is away takes nothing from the VMs of the
// other, and that nothing is said to be absent meanwhile.
func TestHostDown(t *testing.T) {
	d := both(t)
	c := d.cluster(t, nil)
	here, there := d.plainRequest(), d.plainRequest()
	there.Node = d.peer.Host
	d.create(t, c, here)
	d.create(t, c, there)
	page, err := c.ListVMs(t.Context(), providers.PageRequest{Limit: 1})
	require.NoError(t, err)
	require.Len(t, page.VMs, 1)
	rest, err := c.ListVMs(t.Context(), providers.PageRequest{Limit: 1, Token: page.Next})
	require.NoError(t, err)
	require.Len(t, rest.VMs, 1)
	require.Empty(t, rest.Next)
	require.ElementsMatch(t, []string{here.VMID, there.VMID}, []string{page.VMs[0].VMID, rest.VMs[0].VMID})

	require.NoError(t, d.peer.Kill())
	t.Cleanup(func() { require.NoError(t, d.peer.Restart(context.WithoutCancel(t.Context()))) })
	vm, err := c.FindVM(t.Context(), here.VMID)
	require.NoError(t, err)
	require.Equal(t, d.server.Host, vm.Node)
	for _, id := range []string{there.VMID, models.NewID()} {
		_, err = c.FindVM(t.Context(), id)
		requireCode(t, providers.Unavailable, err)
	}
	page, err = c.ListVMs(t.Context(), providers.PageRequest{})
	require.NoError(t, err)
	require.Len(t, page.VMs, 1)
	info, err := c.Info(t.Context())
	require.NoError(t, err)
	require.Contains(t, info.Capabilities, models.CapLiveMigration)
	_, err = c.MigrateVM(t.Context(), target(here), providers.Migration{Node: d.peer.Host})
	requireCode(t, providers.Unavailable, err)
	_, _, err = c.CreateVM(t.Context(), here)
	require.NoError(t, err, "it is there")
	require.NoError(t, d.peer.Restart(t.Context()))
	eventually(t, func() error {
		_, err := c.FindVM(t.Context(), there.VMID)
		return err
	})
}

// TestWrongHostName refuses a daemon that is not the host that the settings say.
func TestWrongHostName(t *testing.T) {
	d := both(t)
	cfg := d.server.ClusterConfig(installation, d.peer)
	for name, value := range cfg.Options {
		cfg.Options[name] = strings.ReplaceAll(value, d.peer.Host, "another.test")
	}
	c, err := libvirt.OpenCluster(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	_, err = c.Info(t.Context())
	requireCode(t, providers.FailedPrecondition, err)
	_, err = c.ListNodes(t.Context())
	requireCode(t, providers.FailedPrecondition, err)
}
