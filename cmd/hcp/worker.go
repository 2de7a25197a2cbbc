package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/config"
	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/internal/temporalx"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere"
	"github.com/hypervisor-control-plane/hcp/worker"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// namespaceRetention is asked for where the namespace does not exist yet.
const namespaceRetention = 7 * 24 * time.Hour

// registry holds every adapter. The worker uses them for steps, and the server
// for consoles.
func registry() *providers.Registry {
	return providers.NewRegistry(sim.Factory(), libvirt.Factory(), proxmox.Factory(), vsphere.Factory())
}

func workerCommand() *cobra.Command {
	return withSettings(&cobra.Command{
		Use:   "worker",
		Short: "Run workflows and their steps",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			cfg, log, err := load(cmd, config.RoleWorker)
			if err != nil {
				return err
			}
			st, err := openRecord(ctx, cfg, log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			installation, err := st.InstallationID(ctx)
			if err != nil {
				return err
			}
			temporal, err := temporalx.Dial(ctx, temporalOptions(cfg, log))
			if err != nil {
				return err
			}
			defer temporal.Close()
			if err := temporalx.EnsureNamespace(ctx, temporal, cfg.Temporal.Namespace, namespaceRetention); err != nil {
				return err
			}
			if err := temporalx.EnsureSearchAttributes(ctx, temporal, cfg.Temporal.Namespace, workflows.SearchAttributes()); err != nil {
				return err
			}
			return worker.Run(ctx, worker.Deps{
				Client:         temporal,
				Store:          st,
				Dispatcher:     dispatch.New(temporal, st, log),
				Registry:       registry(),
				InstallationID: installation,
				Logger:         log,
				Config:         worker.Config{Providers: cfg.Worker.Providers},
			})
		},
	})
}
