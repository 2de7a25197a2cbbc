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
	return generation(flavorView(row), row.Generation, r.Params.IfNoneMatch), nil
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

// OpsUpdateFlavor changes a flavor.
func (s *Server) OpsUpdateFlavor(ctx context.Context, r api.OpsUpdateFlavorRequestObject) (api.OpsUpdateFlavorResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.UpdateFlavor(ctx, r.FlavorID, r.Body.Name, w, func(row models.Flavor) (store.Answer, error) {
			return changedAnswer(row.Generation, flavorView(row))
		})
	})
}

// OpsDeleteFlavor retires a flavor that nothing uses.
func (s *Server) OpsDeleteFlavor(ctx context.Context, r api.OpsDeleteFlavorRequestObject) (api.OpsDeleteFlavorResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteFlavor(ctx, r.FlavorID, w, goneAnswer())
	})
}

func flavorView(f models.Flavor) api.Flavor {
	return api.Flavor{ID: f.ID, Name: f.Name, Vcpus: f.VCPUs, MemoryMib: f.MemoryMiB, DiskGib: f.DiskGiB, CreatedAt: f.CreatedAt}
}
