package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListFlavors lists the flavors.
func (s *Server) ListFlavors(ctx context.Context, r api.ListFlavorsRequestObject) (api.ListFlavorsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListFlavors(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, flavorView)
}

// OpsListFlavors lists the flavors.
func (s *Server) OpsListFlavors(ctx context.Context, r api.OpsListFlavorsRequestObject) (api.OpsListFlavorsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListFlavors(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, flavorView)
}

// OpsGetFlavor reads a flavor.
func (s *Server) OpsGetFlavor(ctx context.Context, r api.OpsGetFlavorRequestObject) (api.OpsGetFlavorResponseObject, error) {
	row, err := s.store.GetFlavor(ctx, r.FlavorID)
	if err != nil {
		return nil, err
	}
	return tagged(flavorView(row), r.Params.IfNoneMatch), nil
}

// OpsCreateFlavor creates a flavor.
func (s *Server) OpsCreateFlavor(ctx context.Context, r api.OpsCreateFlavorRequestObject) (api.OpsCreateFlavorResponseObject, error) {
	b := *r.Body
	in := models.Flavor{ID: valueOf(b.ID), Name: b.Name, VCPUs: b.Vcpus, MemoryMiB: b.MemoryMib, DiskGiB: b.DiskGib}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateFlavor(ctx, c, in, idem, func(row models.Flavor) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, flavorView(row))
		})
	})
}

func flavorView(f models.Flavor) api.Flavor {
	return api.Flavor{ID: f.ID, Name: f.Name, Vcpus: f.VCPUs, MemoryMib: f.MemoryMiB, DiskGib: f.DiskGiB, CreatedAt: f.CreatedAt}
}
