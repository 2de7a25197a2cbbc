package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsListTenants lists the tenants.
func (s *Server) OpsListTenants(ctx context.Context, r api.OpsListTenantsRequestObject) (api.OpsListTenantsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListTenants(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, tenantView)
}

// OpsGetTenant reads a tenant.
func (s *Server) OpsGetTenant(ctx context.Context, r api.OpsGetTenantRequestObject) (api.OpsGetTenantResponseObject, error) {
	row, err := s.store.GetTenant(ctx, r.TenantID)
	if err != nil {
		return nil, err
	}
	return generation(tenantView(row), row.Generation, r.Params.IfNoneMatch), nil
}

// OpsCreateTenant creates a tenant.
func (s *Server) OpsCreateTenant(ctx context.Context, r api.OpsCreateTenantRequestObject) (api.OpsCreateTenantResponseObject, error) {
	b := *r.Body
	in := models.Tenant{ID: valueOf(b.ID), Name: b.Name}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateTenant(ctx, c, in, idem, func(row models.Tenant) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, tenantView(row))
		})
	})
}

// OpsUpdateTenant changes a tenant.
func (s *Server) OpsUpdateTenant(ctx context.Context, r api.OpsUpdateTenantRequestObject) (api.OpsUpdateTenantResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.UpdateTenant(ctx, r.TenantID, r.Body.Name, w, func(row models.Tenant) (store.Answer, error) {
			return changedAnswer(row.Generation, tenantView(row))
		})
	})
}

// OpsDeleteTenant retires a tenant that has no projects.
func (s *Server) OpsDeleteTenant(ctx context.Context, r api.OpsDeleteTenantRequestObject) (api.OpsDeleteTenantResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteTenant(ctx, r.TenantID, w, goneAnswer())
	})
}

func tenantView(t models.Tenant) api.Tenant {
	return api.Tenant{ID: t.ID, Name: t.Name, CreatedAt: t.CreatedAt}
}
