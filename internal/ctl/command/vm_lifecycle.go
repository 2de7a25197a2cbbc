package command

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
)

func (a *App) vmSuspend() *cobra.Command {
	return a.working(spec{
		ops: "suspendVM", etag: true, use: "suspend VM", short: "Send a running VM to sleep, its memory kept", scope: inProject, refs: []ref{vmRef()},
		example:  `  hcpctl vm suspend web-1`,
		resource: vmResource(), past: "suspended",
		request: func(c *call) (*http.Request, error) {
			return client.NewSuspendVMRequest(c.server, c.project, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{state: client.JobStateSUCCEEDED})
}

func (a *App) vmResume() *cobra.Command {
	return a.working(spec{
		ops: "resumeVM", etag: true, use: "resume VM", short: "Let a suspended or paused VM go on", scope: inProject, refs: []ref{vmRef()},
		example:  `  hcpctl vm resume web-1`,
		resource: vmResource(), past: "resumed",
		request: func(c *call) (*http.Request, error) {
			return client.NewResumeVMRequest(c.server, c.project, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{state: client.JobStateSUCCEEDED})
}

func (a *App) vmReset() *cobra.Command {
	return a.working(spec{
		ops: "resetVM", etag: true, use: "reset VM", short: "Reset a running VM, without asking its guest", scope: inProject, refs: []ref{vmRef()},
		example:  `  hcpctl vm reset web-1 --yes`,
		resource: vmResource(), past: "reset",
		ask: func(c *call) string {
			return fmt.Sprintf("Reset VM %s at once? What its guest has not written is lost.", c.args[0])
		},
		request: func(c *call) (*http.Request, error) {
			return client.NewResetVMRequest(c.server, c.project, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{state: client.JobStateSUCCEEDED})
}

func (a *App) vmResize() *cobra.Command {
	cmd := a.working(spec{
		ops: "resizeVM", etag: true, use: "resize VM", short: "Give a VM another flavor, or a larger root disk", scope: inProject, refs: []ref{vmRef()},
		long: "Give a VM another flavor, or a larger root disk. A disk does not shrink. A running VM takes more of each, where its hypervisor can.",
		example: `  hcpctl vm resize web-1 --flavor large
  hcpctl vm resize web-1 --disk-gib 40`,
		resource: vmResource(), past: "resized",
		fields: func(f *fields) {
			f.text("flavor", "flavor_id", "flavor, by name or ID")
			f.number("disk-gib", "disk_gib", "size of the root disk in GiB; the flavor's, where that is more, without it")
		},
		request: bodied(func(c *call, b client.ResizeVMRequest) (*http.Request, error) {
			if b.FlavorID != nil {
				id, err := c.resolve(c.cmd.Context(), flavorRef(), *b.FlavorID)
				if err != nil {
					return nil, err
				}
				b.FlavorID = &id
			}
			return client.NewResizeVMRequest(c.server, c.project, c.ids[0], nil, b)
		}),
	}, goal{state: client.JobStateSUCCEEDED})
	a.completeFlag(cmd, "flavor", flavorRef())
	return cmd
}

func (a *App) vmRebuild() *cobra.Command {
	cmd := a.working(spec{
		ops: "rebuildVM", etag: true, use: "rebuild VM", short: "Give a stopped VM a new root disk from an image", scope: inProject, refs: []ref{vmRef()},
		long:     "Give a stopped VM a new root disk from an image. What is on the old one is lost; addresses, interfaces and data disks stay.",
		example:  `  hcpctl vm rebuild web-1 --image debian-13 --yes`,
		resource: vmResource(), past: "rebuilt",
		fields: func(f *fields) { f.text("image", "image_id", "image, by name or ID") },
		ask: func(c *call) string {
			return fmt.Sprintf("Rebuild VM %s (%s)? What is on its root disk is lost; this cannot be undone.", c.args[0], c.ids[0])
		},
		request: bodied(func(c *call, b client.RebuildVMRequest) (_ *http.Request, err error) {
			if b.ImageID, err = c.resolve(c.cmd.Context(), imageRef(), b.ImageID); err != nil {
				return nil, err
			}
			return client.NewRebuildVMRequest(c.server, c.project, c.ids[0], nil, b)
		}),
	}, goal{state: client.JobStateSUCCEEDED})
	a.completeFlag(cmd, "image", imageRef())
	return cmd
}

func (a *App) vmRetry() *cobra.Command {
	return a.working(spec{
		ops: "retryVM", etag: true, use: "retry VM", short: "Run the failed create of a VM again", scope: inProject, refs: []ref{vmRef()},
		example:  `  hcpctl vm retry web-1`,
		resource: vmResource(), past: "created",
		request: func(c *call) (*http.Request, error) {
			return client.NewRetryVMRequest(c.server, c.project, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{state: client.JobStateSUCCEEDED})
}

func (a *App) opsVMForceDelete() *cobra.Command {
	return a.working(spec{
		ops: "opsForceDeleteVM", etag: true, use: "force-delete VM", short: "Delete a VM, whatever its provider says", refs: []ref{opsVMRef()},
		long: "Delete a VM, whatever its provider says. A job at work on it is cancelled, and given up if it does not end within a minute. " +
			"What the provider could not be brought to delete stays there, and is listed by the job as its residue.",
		example:  `  hcpctl ops vm force-delete web-1 --reason "the host burnt down" --yes`,
		resource: vmResource(), past: "deleted",
		fields: func(f *fields) { f.text("reason", "reason", "why; it is kept with the job") },
		ask: func(c *call) string {
			return fmt.Sprintf("Delete VM %s (%s) whatever its provider says? Its record and quota are given up; this cannot be undone.", c.args[0], c.ids[0])
		},
		request: bodied(func(c *call, b client.ForceDeleteVMRequest) (*http.Request, error) {
			return client.NewOpsForceDeleteVMRequest(c.server, c.ids[0], nil, b)
		}),
	}, goal{state: client.JobStateSUCCEEDED, ops: true})
}
