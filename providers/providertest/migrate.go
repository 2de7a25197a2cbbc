package providertest

import (
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func migrationCases() []Case {
	live, cold := []models.Capability{models.CapLiveMigration}, []models.Capability{models.CapColdMigration}
	return []Case{
		{Name: "LiveMigrationKeepsTheGuest", run: testMigrateLive, needs: live},
		{Name: "ColdMigrationMovesAStoppedVM", run: testMigrateCold, needs: cold},
		{Name: "LiveMigrationRefusesAStoppedVM", run: testMigrateLiveRefused, needs: live},
		{Name: "ColdMigrationRefusesARunningVM", run: testMigrateColdRefused, needs: cold},
		{Name: "AbortMigrationLeavesOneWholeVM", run: testMigrateAborted, needs: live},
	}
}

// elsewhere is a node that is up and not the VM's.
func (c *contract) elsewhere(vm providers.VM) string {
	c.t.Helper()
	nodes, err := c.p.ListNodes(c.t.Context())
	c.noError("ListNodes", err)
	for _, n := range nodes {
		if n.Name != vm.Node && n.State == models.NodeUp {
			return n.Name
		}
	}
	c.t.Fatalf("a migration needs a second node that is up; there are %v", nodes)
	return ""
}

// wantOn checks that there is one VM, whole, on a node.
func (c *contract) wantOn(vm providers.VM, node string, power models.PowerState) {
	c.t.Helper()
	got := c.wantPower(vm.VMID, power)
	if got.Node != node || got.Incomplete {
		c.t.Fatalf("the VM is on %q (incomplete: %v), want it whole on %q", got.Node, got.Incomplete, node)
	}
	if listed := c.listAll(0, map[string]bool{vm.VMID: true}); len(listed) != 1 {
		c.t.Fatalf("%d VMs bear the mark, want one", len(listed))
	}
}

func testMigrateLive(c *contract) {
	vm, m, ctx := c.guest(), capable[providers.Migrator](c, c.p), c.t.Context()
	boot, from, to := c.boot(vm), vm.Node, c.elsewhere(vm)
	for _, node := range []string{to, from} {
		for _, m := range []providers.Migrator{m, capable[providers.Migrator](c, c.second())} {
			c.done("MigrateVM")(m.MigrateVM(ctx, target(vm), providers.Migration{Node: node, Live: true}))
			c.wantOn(vm, node, models.PowerRunning)
		}
		c.wantBoot(vm, boot)
	}
	c.remove(vm)
}

func testMigrateCold(c *contract) {
	vm, m, ctx := c.create(c.request()), capable[providers.Migrator](c, c.p), c.t.Context()
	to := c.elsewhere(vm)
	c.write(vm, "", "carried along")
	for _, m := range []providers.Migrator{m, capable[providers.Migrator](c, c.second())} {
		c.done("MigrateVM")(m.MigrateVM(ctx, target(vm), providers.Migration{Node: to}))
		c.wantOn(vm, to, models.PowerStopped)
	}
	c.wantText(vm, "", "carried along")
	c.done("StartVM on the other node")(c.p.StartVM(ctx, target(vm)))
	c.wantOn(vm, to, models.PowerRunning)
	c.remove(vm)
}

func testMigrateLiveRefused(c *contract) {
	vm := c.create(c.request())
	c.refused("MigrateVM, live, of a stopped VM", providers.FailedPrecondition)(capable[providers.Migrator](c, c.p).MigrateVM(
		c.t.Context(), target(vm), providers.Migration{Node: c.elsewhere(vm), Live: true}))
	c.wantOn(vm, vm.Node, models.PowerStopped)
}

func testMigrateColdRefused(c *contract) {
	vm, m, ctx := c.create(c.request()), capable[providers.Migrator](c, c.p), c.t.Context()
	c.refused("MigrateVM to a node that is not there", providers.NotFound)(m.MigrateVM(ctx, target(vm), providers.Migration{Node: "not-there"}))
	c.refused("MigrateVM to nowhere", providers.InvalidArgument, providers.NotFound)(m.MigrateVM(ctx, target(vm), providers.Migration{}))
	c.wantOn(vm, vm.Node, models.PowerStopped)
	c.done("StartVM")(c.p.StartVM(ctx, target(vm)))
	c.refused("MigrateVM, cold, of a running VM", providers.FailedPrecondition)(
		m.MigrateVM(ctx, target(vm), providers.Migration{Node: c.elsewhere(vm)}))
	c.wantOn(vm, vm.Node, models.PowerRunning)
}

// testMigrateAborted ends a migration right after its beginning: it may be at
// work still, or over. Another process does it, as after a crash.
func testMigrateAborted(c *contract) {
	vm, m, ctx := c.guest(), capable[providers.Migrator](c, c.p), c.t.Context()
	c.done("AbortMigration of nothing")(m.AbortMigration(ctx, target(vm)))
	c.wantOn(vm, vm.Node, models.PowerRunning)

	boot, to := c.boot(vm), c.elsewhere(vm)
	_, err := m.MigrateVM(ctx, target(vm), providers.Migration{Node: to, Live: true})
	c.noError("MigrateVM", err)
	for range 2 {
		c.done("AbortMigration")(capable[providers.Migrator](c, c.second()).AbortMigration(ctx, target(vm)))
	}
	on := c.find(vm.VMID).Node
	if on != vm.Node && on != to {
		c.t.Fatalf("the VM is on %q, want it on %q or %q", on, vm.Node, to)
	}
	c.wantOn(vm, on, models.PowerRunning)
	c.wantBoot(vm, boot)
	c.done("MigrateVM after an aborted one")(m.MigrateVM(ctx, target(vm), providers.Migration{Node: to, Live: true}))
	c.wantOn(vm, to, models.PowerRunning)
}
