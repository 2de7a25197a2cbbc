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
	return tagged(tenantView(row), r.Params.IfNoneMatch), nil
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

func tenantView(t models.Tenant) api.Tenant {
	return api.Tenant{ID: t.ID, Name: t.Name, CreatedAt: t.CreatedAt}
}
