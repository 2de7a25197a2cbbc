package command

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func (a *App) vmClone() *cobra.Command {
	return a.working(spec{
		ops: "cloneVM", etag: true, use: "clone VM [NAME]", short: "Make a VM from a stopped one", scope: inProject, refs: []ref{vmRef()}, named: "name",
		long: "Make a VM from a stopped one. It has a copy of the root disk, and an identity, addresses and a hostname of its own.\nSnapshots and data disks are not copied.",
		example: `  hcpctl vm clone web-1 web-2
  hcpctl vm clone web-1 web-3 --start=false`,
		fields: func(f *fields) {
			f.text("name", "name", "name, instead of the argument")
			f.text("description", "description", "what it is for")
			f.boolean("start", "start", "power it on (default true)")
		},
		resource: vmResource(), past: "cloned",
		request: bodied(func(c *call, b client.CloneVMRequest) (*http.Request, error) {
			return client.NewCloneVMRequest(c.server, c.project, c.ids[0], nil, b)
		}),
	}, goal{state: client.JobStateSUCCEEDED})
}

func snapshotResource() output.Resource {
	return output.Resource{Kind: "snapshot", Columns: []output.Column{
		{Header: "name", Path: "name"},
		{Header: "status", Path: "status"},
		{Header: "memory", Path: "memory"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "id", Path: "id"},
		{Header: "description", Path: "description", Wide: true, Flex: true},
	}}
}

func snapshotRef() ref {
	return ref{noun: "snapshot", hint: "status", list: func(c *call) (*http.Request, error) {
		return client.NewListSnapshotsRequest(c.server, c.project, c.ids[0], nil)
	}}
}

func (a *App) vmSnapshotCommand() *cobra.Command {
	r, one := snapshotResource(), []ref{vmRef(), snapshotRef()}
	done := goal{state: client.JobStateSUCCEEDED}
	return group("snapshot", "Snapshots of VMs",
		a.working(spec{
			ops: "createSnapshot", etag: true, use: "create VM [NAME]", short: "Take a snapshot of a VM", scope: inProject, refs: []ref{vmRef()}, named: "name",
			example: "  hcpctl vm snapshot create web-1 before-upgrade\n  hcpctl vm snapshot create web-1 nightly --memory=false --description 'disks only'",
			fields: func(f *fields) {
				f.text("name", "name", "name, instead of the argument")
				f.text("description", "description", "what it is for")
				f.boolean("memory", "memory", "keep the memory too; without it as the VM runs and its provider can")
			},
			resource: r, past: "taken",
			request: bodied(func(c *call, b client.CreateSnapshotRequest) (*http.Request, error) {
				return client.NewCreateSnapshotRequest(c.server, c.project, c.ids[0], nil, b)
			}),
		}, done),
		a.listing(spec{
			ops: "listSnapshots", use: "list VM", aliases: []string{"ls"}, short: "List the snapshots of a VM", scope: inProject, refs: []ref{vmRef()},
			example: "  hcpctl vm snapshot list web-1", resource: r,
			request: func(c *call) (*http.Request, error) {
				return client.NewListSnapshotsRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
		a.reading(spec{
			ops: "getSnapshot", use: "get VM SNAPSHOT", short: "Show a snapshot", scope: inProject, refs: one, resource: r,
			example: "  hcpctl vm snapshot get web-1 before-upgrade",
			request: func(c *call) (*http.Request, error) {
				return client.NewGetSnapshotRequest(c.server, c.project, c.ids[0], c.ids[1])
			},
		}),
		a.working(spec{
			ops: "revertSnapshot", etag: true, use: "revert VM SNAPSHOT", short: "Take a VM back to a snapshot", scope: inProject, refs: one, resource: r, past: "reverted to",
			long:    "Take a VM back to a snapshot. Afterwards it runs if the snapshot has memory, or if it ran before.",
			example: "  hcpctl vm snapshot revert web-1 before-upgrade --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Take VM %s back to snapshot %s? What was written since is lost.", c.args[0], c.args[1])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewRevertSnapshotRequest(c.server, c.project, c.ids[0], c.ids[1], nil, client.NoParameters{})
			},
		}, done),
		a.working(spec{
			ops: "deleteSnapshot", etag: true, use: "delete VM SNAPSHOT", aliases: []string{"rm"}, short: "Delete a snapshot", scope: inProject, refs: one, resource: r, past: "deleted",
			example: "  hcpctl vm snapshot delete web-1 before-upgrade --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Delete snapshot %s of VM %s? This cannot be undone; the VM stays as it is.", c.args[1], c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewDeleteSnapshotRequest(c.server, c.project, c.ids[0], c.ids[1], nil)
			},
		}, done),
	)
}

func diskResource() output.Resource {
	return output.Resource{Kind: "disk", Columns: []output.Column{
		{Header: "name", Path: "name"},
		{Header: "status", Path: "status"},
		{Header: "size_gib", Path: "size_gib"},
		{Header: "serial", Path: "serial"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "id", Path: "id"},
	}}
}

func diskRef() ref {
	return ref{noun: "disk", hint: "status", list: func(c *call) (*http.Request, error) {
		return client.NewListDisksRequest(c.server, c.project, c.ids[0], nil)
	}}
}

func (a *App) vmDiskCommand() *cobra.Command {
	r, one := diskResource(), []ref{vmRef(), diskRef()}
	done := goal{state: client.JobStateSUCCEEDED}
	return group("disk", "Data disks of VMs",
		a.working(spec{
			ops: "attachDisk", etag: true, use: "attach VM [NAME]", short: "Attach a new, blank disk", scope: inProject, refs: []ref{vmRef()}, named: "name",
			example: "  hcpctl vm disk attach web-1 data --size-gib 100",
			fields: func(f *fields) {
				f.text("name", "name", "name, instead of the argument")
				f.number("size-gib", "size_gib", "size in GiB")
			},
			resource: r, past: "attached",
			request: bodied(func(c *call, b client.AttachDiskRequest) (*http.Request, error) {
				return client.NewAttachDiskRequest(c.server, c.project, c.ids[0], nil, b)
			}),
		}, done),
		a.listing(spec{
			ops: "listDisks", use: "list VM", aliases: []string{"ls"}, short: "List the data disks of a VM", scope: inProject, refs: []ref{vmRef()},
			example: "  hcpctl vm disk list web-1", resource: r,
			request: func(c *call) (*http.Request, error) {
				return client.NewListDisksRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
		a.reading(spec{
			ops: "getDisk", use: "get VM DISK", short: "Show a data disk", scope: inProject, refs: one, resource: r,
			example: "  hcpctl vm disk get web-1 data",
			request: func(c *call) (*http.Request, error) {
				return client.NewGetDiskRequest(c.server, c.project, c.ids[0], c.ids[1])
			},
		}),
		a.working(spec{
			ops: "detachDisk", etag: true, use: "detach VM DISK", short: "Detach a data disk and delete it", scope: inProject, refs: one, resource: r, past: "detached and deleted",
			long:    "Detach a data disk and delete it. The guest of a running VM has to let go of it: unmount it first.",
			example: "  hcpctl vm disk detach web-1 data --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Detach disk %s from VM %s and delete it? What is on it is lost; this cannot be undone.", c.args[1], c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewDetachDiskRequest(c.server, c.project, c.ids[0], c.ids[1], nil)
			},
		}, done),
	)
}

// nicRef names an interface: no list has them, the VM shows them.
func nicRef() ref { return ref{noun: "interface", nameless: true} }

func (a *App) vmNICCommand() *cobra.Command {
	r := output.Resource{Kind: "nic"}
	done := goal{state: client.JobStateSUCCEEDED}
	attach := a.working(spec{
		ops: "attachNIC", etag: true, use: "attach VM", short: "Attach a VM to a network", scope: inProject, refs: []ref{vmRef()},
		example: "  hcpctl vm nic attach web-1 --network back\n  hcpctl vm nic attach web-1 --network back --ip-address 10.30.0.9",
		fields: func(f *fields) {
			f.text("network", "network_id", "network, by name or ID")
			f.text("ip-address", "ip_address", "address to have; one of the network without it")
		},
		resource: r, past: "attached",
		request: bodied(func(c *call, b client.AttachNICRequest) (req *http.Request, err error) {
			if b.NetworkID == "" {
				return nil, fail.Usagef("an interface needs a --network").Then("See what there is: hcpctl network list")
			}
			if b.NetworkID, err = c.resolve(c.cmd.Context(), networkRef(), b.NetworkID); err != nil {
				return nil, err
			}
			return client.NewAttachNICRequest(c.server, c.project, c.ids[0], nil, b)
		}),
	}, done)
	a.completeFlag(attach, "network", networkRef())
	return group("nic", "Network interfaces of VMs", attach,
		a.working(spec{
			ops: "detachNIC", etag: true, use: "detach VM INTERFACE", short: "Detach a VM from a network", scope: inProject, refs: []ref{vmRef(), nicRef()}, resource: r, past: "detached",
			long:    "Detach a VM from a network. An interface is named by its ID, which the VM shows: its MAC without the colons. Its address is given back.",
			example: "  hcpctl vm nic detach web-1 5254003a1fc2 --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Detach interface %s from VM %s? Its address is given back.", c.args[1], c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewDetachNICRequest(c.server, c.project, c.ids[0], c.ids[1], nil)
			},
		}, done),
	)
}
