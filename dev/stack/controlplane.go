package stack

import (
	"context"
	"fmt"

	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/internal/providerpool"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere"
	"github.com/hypervisor-control-plane/hcp/worker"
)

// startControlPlane starts the API and the worker, which share one Temporal
// client: a job's first workflow task then needs no poll.
func (s *Stack) startControlPlane(ctx context.Context) (err error) {
	dispatcher := dispatch.New(s.client, s.store, s.opts.Logger)
	installation, err := s.store.InstallationID(ctx)
	if err != nil {
		return fmt.Errorf("installation ID: %w", err)
	}
	registry := providers.NewRegistry(sim.Factory(), libvirt.Factory(), proxmox.Factory(), vsphere.Factory())
	adapters := providerpool.New(s.store, registry, installation, providerpool.Breaker{}, s.opts.Logger)
	if s.api, err = s.startAPI(ctx, dispatcher, adapters); err != nil {
		return err
	}
	s.worker = goBackground(ctx, func(ctx context.Context) error {
		return worker.Run(ctx, worker.Deps{
			Client: s.client, Store: s.store, Dispatcher: dispatcher, InstallationID: installation,
			Registry: registry,
			Logger:   s.opts.Logger,
		})
	})
	for _, op := range s.seeded {
		if err := dispatcher.Dispatch(ctx, op); err != nil { // the relay takes it
			s.opts.Logger.WarnContext(ctx, "dispatch a job of the seed", "job_id", op.ID, "error", err)
		}
	}
	return nil
}
