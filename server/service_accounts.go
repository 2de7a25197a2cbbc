package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListServiceAccounts lists the project's service accounts.
func (s *Server) ListServiceAccounts(ctx context.Context, r api.ListServiceAccountsRequestObject) (api.ListServiceAccountsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListServiceAccounts(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, serviceAccountView)
}

// GetServiceAccount reads a service account.
func (s *Server) GetServiceAccount(ctx context.Context, r api.GetServiceAccountRequestObject) (api.GetServiceAccountResponseObject, error) {
	row, err := s.store.GetServiceAccount(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.ServiceAccountID)
	if err != nil {
		return nil, err
	}
	return generation(serviceAccountView(row), row.Generation, r.Params.IfNoneMatch), nil
}

// CreateServiceAccount creates a service account without keys.
func (s *Server) CreateServiceAccount(ctx context.Context, r api.CreateServiceAccountRequestObject) (api.CreateServiceAccountResponseObject, error) {
	in := models.ServiceAccount{ProjectID: r.ProjectID, Name: r.Body.Name, Description: valueOf(r.Body.Description)}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateServiceAccount(ctx, c, in, idem, func(row models.ServiceAccount) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, serviceAccountView(row))
		})
	})
}

// UpdateServiceAccount changes, disables or enables a service account.
func (s *Server) UpdateServiceAccount(ctx context.Context, r api.UpdateServiceAccountRequestObject) (api.UpdateServiceAccountResponseObject, error) {
	patch := store.ServiceAccountPatch{Name: r.Body.Name, Description: r.Body.Description, Disabled: r.Body.Disabled}
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.UpdateServiceAccount(ctx, r.ProjectID, r.ServiceAccountID, patch, w, func(row models.ServiceAccount) (store.Answer, error) {
			return changedAnswer(row.Generation, serviceAccountView(row))
		})
	})
}

// DeleteServiceAccount deletes a service account with its keys and role bindings.
func (s *Server) DeleteServiceAccount(ctx context.Context, r api.DeleteServiceAccountRequestObject) (api.DeleteServiceAccountResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteServiceAccount(ctx, r.ProjectID, r.ServiceAccountID, w, goneAnswer())
	})
}

func serviceAccountView(a models.ServiceAccount) api.ServiceAccount {
	return api.ServiceAccount{
		ID: a.ID, ProjectID: a.ProjectID, Name: a.Name, Description: a.Description, Disabled: a.Disabled,
		Generation: a.Generation, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}
