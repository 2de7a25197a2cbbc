package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsDeleteFlavor is not there yet.
func (s *Server) OpsDeleteFlavor(ctx context.Context, r api.OpsDeleteFlavorRequestObject) (api.OpsDeleteFlavorResponseObject, error) {
	return nil, notFound()
}

// OpsUpdateFlavor is not there yet.
func (s *Server) OpsUpdateFlavor(ctx context.Context, r api.OpsUpdateFlavorRequestObject) (api.OpsUpdateFlavorResponseObject, error) {
	return nil, notFound()
}

// OpsDeleteImage is not there yet.
func (s *Server) OpsDeleteImage(ctx context.Context, r api.OpsDeleteImageRequestObject) (api.OpsDeleteImageResponseObject, error) {
	return nil, notFound()
}

// OpsUpdateImage is not there yet.
func (s *Server) OpsUpdateImage(ctx context.Context, r api.OpsUpdateImageRequestObject) (api.OpsUpdateImageResponseObject, error) {
	return nil, notFound()
}

// OpsDeleteNetwork is not there yet.
func (s *Server) OpsDeleteNetwork(ctx context.Context, r api.OpsDeleteNetworkRequestObject) (api.OpsDeleteNetworkResponseObject, error) {
	return nil, notFound()
}

// OpsUpdateNetwork is not there yet.
func (s *Server) OpsUpdateNetwork(ctx context.Context, r api.OpsUpdateNetworkRequestObject) (api.OpsUpdateNetworkResponseObject, error) {
	return nil, notFound()
}

// OpsDeleteProject is not there yet.
func (s *Server) OpsDeleteProject(ctx context.Context, r api.OpsDeleteProjectRequestObject) (api.OpsDeleteProjectResponseObject, error) {
	return nil, notFound()
}

// OpsUpdateProject is not there yet.
func (s *Server) OpsUpdateProject(ctx context.Context, r api.OpsUpdateProjectRequestObject) (api.OpsUpdateProjectResponseObject, error) {
	return nil, notFound()
}

// OpsDeleteTenant is not there yet.
func (s *Server) OpsDeleteTenant(ctx context.Context, r api.OpsDeleteTenantRequestObject) (api.OpsDeleteTenantResponseObject, error) {
	return nil, notFound()
}

// OpsUpdateTenant is not there yet.
func (s *Server) OpsUpdateTenant(ctx context.Context, r api.OpsUpdateTenantRequestObject) (api.OpsUpdateTenantResponseObject, error) {
	return nil, notFound()
}

// OpsDeleteZone is not there yet.
func (s *Server) OpsDeleteZone(ctx context.Context, r api.OpsDeleteZoneRequestObject) (api.OpsDeleteZoneResponseObject, error) {
	return nil, notFound()
}

// OpsUpdateZone is not there yet.
func (s *Server) OpsUpdateZone(ctx context.Context, r api.OpsUpdateZoneRequestObject) (api.OpsUpdateZoneResponseObject, error) {
	return nil, notFound()
}

// ListServiceAccounts is not there yet.
func (s *Server) ListServiceAccounts(ctx context.Context, r api.ListServiceAccountsRequestObject) (api.ListServiceAccountsResponseObject, error) {
	return nil, notFound()
}

// CreateServiceAccount is not there yet.
func (s *Server) CreateServiceAccount(ctx context.Context, r api.CreateServiceAccountRequestObject) (api.CreateServiceAccountResponseObject, error) {
	return nil, notFound()
}

// DeleteServiceAccount is not there yet.
func (s *Server) DeleteServiceAccount(ctx context.Context, r api.DeleteServiceAccountRequestObject) (api.DeleteServiceAccountResponseObject, error) {
	return nil, notFound()
}

// GetServiceAccount is not there yet.
func (s *Server) GetServiceAccount(ctx context.Context, r api.GetServiceAccountRequestObject) (api.GetServiceAccountResponseObject, error) {
	return nil, notFound()
}

// UpdateServiceAccount is not there yet.
func (s *Server) UpdateServiceAccount(ctx context.Context, r api.UpdateServiceAccountRequestObject) (api.UpdateServiceAccountResponseObject, error) {
	return nil, notFound()
}

// ListServiceAccountKeys is not there yet.
func (s *Server) ListServiceAccountKeys(ctx context.Context, r api.ListServiceAccountKeysRequestObject) (api.ListServiceAccountKeysResponseObject, error) {
	return nil, notFound()
}

// CreateServiceAccountKey is not there yet.
func (s *Server) CreateServiceAccountKey(ctx context.Context, r api.CreateServiceAccountKeyRequestObject) (api.CreateServiceAccountKeyResponseObject, error) {
	return nil, notFound()
}

// DeleteServiceAccountKey is not there yet.
func (s *Server) DeleteServiceAccountKey(ctx context.Context, r api.DeleteServiceAccountKeyRequestObject) (api.DeleteServiceAccountKeyResponseObject, error) {
	return nil, notFound()
}

// ListSSHKeys is not there yet.
func (s *Server) ListSSHKeys(ctx context.Context, r api.ListSSHKeysRequestObject) (api.ListSSHKeysResponseObject, error) {
	return nil, notFound()
}

// CreateSSHKey is not there yet.
func (s *Server) CreateSSHKey(ctx context.Context, r api.CreateSSHKeyRequestObject) (api.CreateSSHKeyResponseObject, error) {
	return nil, notFound()
}

// DeleteSSHKey is not there yet.
func (s *Server) DeleteSSHKey(ctx context.Context, r api.DeleteSSHKeyRequestObject) (api.DeleteSSHKeyResponseObject, error) {
	return nil, notFound()
}

// GetSSHKey is not there yet.
func (s *Server) GetSSHKey(ctx context.Context, r api.GetSSHKeyRequestObject) (api.GetSSHKeyResponseObject, error) {
	return nil, notFound()
}
