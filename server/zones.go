package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListZones lists the zones.
func (s *Server) ListZones(ctx context.Context, r api.ListZonesRequestObject) (api.ListZonesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListZones(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, zoneView)
}

// OpsListZones lists the zones.
func (s *Server) OpsListZones(ctx context.Context, r api.OpsListZonesRequestObject) (api.OpsListZonesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListZones(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, zoneView)
}

// OpsGetZone reads a zone.
func (s *Server) OpsGetZone(ctx context.Context, r api.OpsGetZoneRequestObject) (api.OpsGetZoneResponseObject, error) {
	row, err := s.store.GetZone(ctx, r.ZoneID)
	if err != nil {
		return nil, err
	}
	return generation(zoneView(row), row.Generation, r.Params.IfNoneMatch), nil
}

// OpsCreateZone creates a zone.
func (s *Server) OpsCreateZone(ctx context.Context, r api.OpsCreateZoneRequestObject) (api.OpsCreateZoneResponseObject, error) {
	b := *r.Body
	in := models.Zone{ID: valueOf(b.ID), Name: b.Name, Location: valueOf(b.Location), Description: valueOf(b.Description)}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateZone(ctx, c, in, idem, func(row models.Zone) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, zoneView(row))
		})
	})
}

// OpsUpdateZone changes a zone.
func (s *Server) OpsUpdateZone(ctx context.Context, r api.OpsUpdateZoneRequestObject) (api.OpsUpdateZoneResponseObject, error) {
	patch := store.ZonePatch{Name: r.Body.Name, Location: r.Body.Location, Description: r.Body.Description}
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.UpdateZone(ctx, r.ZoneID, patch, w, func(row models.Zone) (store.Answer, error) {
			return changedAnswer(row.Generation, zoneView(row))
		})
	})
}

// OpsDeleteZone retires a zone that nothing uses.
func (s *Server) OpsDeleteZone(ctx context.Context, r api.OpsDeleteZoneRequestObject) (api.OpsDeleteZoneResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteZone(ctx, r.ZoneID, w, goneAnswer())
	})
}

func zoneView(z models.Zone) api.Zone {
	return api.Zone{ID: z.ID, Name: z.Name, Location: z.Location, Description: z.Description, CreatedAt: z.CreatedAt}
}
