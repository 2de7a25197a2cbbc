package command

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func vmResource() output.Resource {
	return output.Resource{Kind: "vm", Columns: []output.Column{
		{Header: "name", Path: "name"},
		{Header: "status", Path: "status"},
		{Header: "power", Path: "power_state"},
		{Header: "addresses", Path: "addresses[].ip", Flex: true},
		{Header: "vcpus", Path: "vcpus"},
		{Header: "memory_mib", Path: "memory_mib"},
		{Header: "disk_gib", Path: "disk_gib"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "id", Path: "id"},
		{Header: "reason", Path: "status_reason", Wide: true, Flex: true},
		{Header: "description", Path: "description", Wide: true, Flex: true},
		{Header: "image", Path: "image_id", Wide: true},
		{Header: "flavor", Path: "flavor_id", Wide: true},
		{Header: "networks", Path: "networks[].network_id", Wide: true},
		{Header: "zone", Path: "placement.zone", Wide: true},
		{Header: "tags", Path: "tags", Wide: true},
		{Header: "protected", Path: "delete_protection", Wide: true},
		{Header: "job", Path: "current_job_id", Wide: true},
	}}
}

func (a *App) vmCommand() *cobra.Command {
	return group("vm", "Virtual machines",
		a.vmCreate(), a.vmList(), a.vmGet(), a.vmUpdate(), a.vmStart(), a.vmStop(), a.vmReboot(),
		a.vmSuspend(), a.vmResume(), a.vmReset(), a.vmResize(), a.vmRebuild(), a.vmRetry(), a.vmDelete(), a.vmJobs(),
		a.vmClone(), a.vmSnapshotCommand(), a.vmDiskCommand(), a.vmNICCommand(),
		a.vmConsole(), a.vmSessions(), a.vmCloseSession())
}

func (a *App) vmCreate() *cobra.Command {
	cmd := a.working(spec{
		ops: "createVM", use: "create [NAME]", short: "Create a VM",
		long:  "Create a VM and wait until it runs.\n\nThe name is the guest's hostname. What is large or secret is read from files.",
		scope: inProject, named: "name", resource: vmResource(), past: "created",
		example: `  hcpctl vm create web-1 --image debian-13 --flavor small --network net0
  hcpctl vm create web-2 --image debian-13 --flavor small --network net0,ip=10.20.0.7 --tag env=prod --ssh-key-file id.pub --no-wait
  hcpctl vm create -f vm.yaml --name web-3`,
		fields: func(f *fields) {
			f.text("name", "name", "name, instead of the argument")
			f.text("description", "description", "what it is for")
			f.text("image", "image_id", "image, by name or ID")
			f.text("flavor", "flavor_id", "flavor, by name or ID")
			f.records("network", "networks", "network by name or ID, NETWORK or NETWORK,ip=ADDRESS", "network_id", "ip_address")
			f.text("zone", "placement.zone", "zone, by name or ID")
			f.text("location", "placement.location", "location, instead of a zone")
			f.number("disk-gib", "disk_gib", "size of the root disk in GiB; the flavor's without it")
			f.content("user-data", "user_data", "cloud-init user data")
			f.list("ssh-key", "ssh_keys", "public key, or ID of an SSH key of the project")
			f.labels("metadata", "metadata", "metadata", false)
			f.labels("tag", "tags", "tag", false)
			f.boolean("start", "start", "power it on (default true)")
			f.boolean("delete-protection", "delete_protection", "refuse to delete it")
		},
		request: bodied(func(c *call, b client.CreateVMRequest) (*http.Request, error) {
			if err := c.resolveVMBody(&b); err != nil {
				return nil, err
			}
			return client.NewCreateVMRequest(c.server, c.project, nil, b)
		}),
	}, goal{state: client.JobStateSUCCEEDED})
	a.completeFlag(cmd, "image", imageRef())
	a.completeFlag(cmd, "flavor", flavorRef())
	a.completeFlag(cmd, "network", networkRef())
	a.completeFlag(cmd, "zone", zoneRef())
	a.sshKeyFiles(cmd)
	return cmd
}

// resolveVMBody puts IDs in the place of names.
func (c *call) resolveVMBody(b *client.CreateVMRequest) (err error) {
	ctx := c.cmd.Context()
	if b.Name == "" || b.ImageID == "" || b.FlavorID == "" {
		return fail.Usagef("a VM needs a name, an --image and a --flavor").
			Then("See what there is: hcpctl image list, hcpctl flavor list")
	}
	if b.ImageID, err = c.resolve(ctx, imageRef(), b.ImageID); err != nil {
		return err
	}
	if b.FlavorID, err = c.resolve(ctx, flavorRef(), b.FlavorID); err != nil {
		return err
	}
	if b.Networks != nil {
		for i := range *b.Networks {
			n := &(*b.Networks)[i]
			if n.NetworkID, err = c.resolve(ctx, networkRef(), n.NetworkID); err != nil {
				return err
			}
		}
	}
	if b.Placement != nil && b.Placement.Zone != nil {
		*b.Placement.Zone, err = c.resolve(ctx, zoneRef(), *b.Placement.Zone)
	}
	if err != nil {
		return err
	}
	return c.addSSHKeyFiles(b)
}

func vmFilters(f *filters) {
	f.many("status", "status", "PENDING, ACTIVE, ERROR, DELETING or DELETED", "PENDING", "ACTIVE", "ERROR", "DELETING", "DELETED")
	f.many("power", "power_state", "RUNNING, STOPPED, PAUSED, SUSPENDED, UNKNOWN or NONE", "RUNNING", "STOPPED", "PAUSED", "SUSPENDED", "UNKNOWN", "NONE")
	f.one("zone", "zone", "ID of the zone")
	f.one("name", "name", "this name")
	f.one("name-prefix", "name_prefix", "names that begin so")
	f.many("tag", "tag", "KEY:VALUE")
	createdFilters(f)
	f.sort("-created_at", "created_at", "name", "-name")
}

func createdFilters(f *filters) {
	f.one("created-after", "created_after", "created after this time (RFC 3339)")
	f.one("created-before", "created_before", "created before this time (RFC 3339)")
}

func (a *App) vmList() *cobra.Command {
	return a.listing(spec{
		ops: "listVMs", use: "list", aliases: []string{"ls"}, short: "List the project's VMs", scope: inProject,
		long: "List the project's VMs. Deleted ones are left out unless --status DELETED asks for them.",
		example: `  hcpctl vm list
  hcpctl vm list --power running --tag env:prod --sort name -o wide
  hcpctl vm list -o jsonpath='$.items[*].name'`,
		filters: vmFilters, resource: vmResource(),
		request: func(c *call) (*http.Request, error) { return client.NewListVMsRequest(c.server, c.project, nil) },
	})
}

func (a *App) vmGet() *cobra.Command {
	return a.reading(spec{
		ops: "getVM", use: "get VM", short: "Show a VM", scope: inProject, refs: []ref{vmRef()},
		example: `  hcpctl vm get web-1
  hcpctl vm get web-1 -o yaml`,
		resource: vmResource(),
		request: func(c *call) (*http.Request, error) {
			return client.NewGetVMRequest(c.server, c.project, c.ids[0], nil)
		},
	})
}

func (a *App) vmUpdate() *cobra.Command {
	return a.working(spec{
		ops: "updateVM", etag: true, use: "update VM", short: "Change a VM's name, description, tags, metadata or delete protection", scope: inProject, refs: []ref{vmRef()},
		long:    "Change a VM's name, description, tags, metadata or delete protection. What is not named stays. The guest's hostname stays too.",
		example: `  hcpctl vm update web-1 --tag env=prod --tag old- --delete-protection`,
		fields: func(f *fields) {
			f.text("name", "name", "new name")
			f.text("description", "description", "new description")
			f.labels("metadata", "metadata", "metadata", true)
			f.labels("tag", "tags", "tag", true)
			f.boolean("delete-protection", "delete_protection", "refuse to delete it")
		},
		resource: vmResource(), past: "updated",
		request: bodied(func(c *call, b client.UpdateVMRequest) (*http.Request, error) {
			return client.NewUpdateVMRequest(c.server, c.project, c.ids[0], nil, b)
		}),
	}, goal{state: client.JobStateSUCCEEDED})
}

func (a *App) vmStart() *cobra.Command {
	return a.working(spec{
		ops: "startVM", etag: true, use: "start VM", short: "Power a VM on", scope: inProject, refs: []ref{vmRef()},
		example:  `  hcpctl vm start web-1`,
		resource: vmResource(), past: "started",
		request: func(c *call) (*http.Request, error) {
			return client.NewStartVMRequest(c.server, c.project, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{state: client.JobStateSUCCEEDED})
}

// power are the flags of stop and reboot.
type power struct {
	mode  string
	grace time.Duration
}

func (p *power) flags(cmd *cobra.Command, modes ...string) {
	cmd.Flags().StringVar(&p.mode, "mode", modes[0], fmt.Sprintf("how: %v", modes))
	cmd.Flags().DurationVar(&p.grace, "grace", time.Minute, "how long the guest may take, 1s to 1h")
	completeChoices(cmd, "mode", modes)
}

// iso writes a duration as the API wants it.
func iso(d time.Duration) (client.Duration, error) {
	if d < time.Second || d > time.Hour {
		return "", fail.Usagef("--grace is 1s to 1h")
	}
	return fmt.Sprintf("PT%dS", d/time.Second), nil
}

// forced is what is confirmed before the power is cut.
func (p *power) forced(what string) func(*call) string {
	return func(c *call) string {
		if p.mode != "force" {
			return ""
		}
		return fmt.Sprintf("%s VM %s at once? What its guest has not written is lost.", what, c.args[0])
	}
}

func (a *App) vmStop() *cobra.Command {
	var p power
	cmd := a.working(spec{
		ops: "stopVM", etag: true, use: "stop VM", short: "Power a VM off", scope: inProject, refs: []ref{vmRef()},
		long: "Power a VM off. With --mode force its power is cut, and a job that is at work on it is cancelled first.",
		example: `  hcpctl vm stop web-1
  hcpctl vm stop web-1 --mode graceful_then_force --grace 2m
  hcpctl vm stop web-1 --mode force --yes`,
		resource: vmResource(), past: "stopped", ask: p.forced("Cut the power of"),
		request: func(c *call) (*http.Request, error) {
			d, err := iso(p.grace)
			if err != nil {
				return nil, err
			}
			mode := client.StopVMRequestMode(p.mode)
			return client.NewStopVMRequest(c.server, c.project, c.ids[0], nil, client.StopVMRequest{Mode: &mode, Timeout: &d})
		},
	}, goal{state: client.JobStateSUCCEEDED})
	p.flags(cmd, "graceful", "force", "graceful_then_force")
	return cmd
}

func (a *App) vmReboot() *cobra.Command {
	var p power
	cmd := a.working(spec{
		ops: "rebootVM", etag: true, use: "reboot VM", short: "Reboot a running VM", scope: inProject, refs: []ref{vmRef()},
		example:  `  hcpctl vm reboot web-1 --grace 30s`,
		resource: vmResource(), past: "rebooted", ask: p.forced("Reset"),
		request: func(c *call) (*http.Request, error) {
			d, err := iso(p.grace)
			if err != nil {
				return nil, err
			}
			mode := client.RebootVMRequestMode(p.mode)
			return client.NewRebootVMRequest(c.server, c.project, c.ids[0], nil, client.RebootVMRequest{Mode: &mode, Timeout: &d})
		},
	}, goal{state: client.JobStateSUCCEEDED})
	p.flags(cmd, "graceful", "force")
	return cmd
}

func (a *App) vmDelete() *cobra.Command {
	return a.working(spec{
		ops: "deleteVM", etag: true, use: "delete VM", aliases: []string{"rm"}, short: "Delete a VM with its disks", scope: inProject, refs: []ref{vmRef()},
		long:     "Delete a VM with its disks. A job that is at work on it is cancelled first.",
		example:  `  hcpctl vm delete web-1 --yes`,
		resource: vmResource(), past: "deleted",
		ask: func(c *call) string {
			return fmt.Sprintf("Delete VM %s (%s)? Its disks are deleted with it; this cannot be undone.", c.args[0], c.ids[0])
		},
		request: func(c *call) (*http.Request, error) {
			return client.NewDeleteVMRequest(c.server, c.project, c.ids[0], nil)
		},
	}, goal{state: client.JobStateSUCCEEDED})
}

func (a *App) vmJobs() *cobra.Command {
	return a.listing(spec{
		ops: "listVMJobs", use: "jobs VM", short: "List the jobs of a VM", scope: inProject, refs: []ref{vmRef()},
		example: `  hcpctl vm jobs web-1 --outcome failed`,
		filters: func(f *filters) {
			jobKinds(f)
			f.sort("-created_at", "created_at")
		},
		resource: jobResource(),
		request: func(c *call) (*http.Request, error) {
			return client.NewListVMJobsRequest(c.server, c.project, c.ids[0], nil)
		},
	})
}
