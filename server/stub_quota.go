package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsListAddresses is not there yet.
func (s *Server) OpsListAddresses(ctx context.Context, r api.OpsListAddressesRequestObject) (api.OpsListAddressesResponseObject, error) {
	return nil, notFound()
}

// OpsListSubnets is not there yet.
func (s *Server) OpsListSubnets(ctx context.Context, r api.OpsListSubnetsRequestObject) (api.OpsListSubnetsResponseObject, error) {
	return nil, notFound()
}

// OpsCreateSubnet is not there yet.
func (s *Server) OpsCreateSubnet(ctx context.Context, r api.OpsCreateSubnetRequestObject) (api.OpsCreateSubnetResponseObject, error) {
	return nil, notFound()
}

// OpsDeleteSubnet is not there yet.
func (s *Server) OpsDeleteSubnet(ctx context.Context, r api.OpsDeleteSubnetRequestObject) (api.OpsDeleteSubnetResponseObject, error) {
	return nil, notFound()
}

// OpsGetSubnet is not there yet.
func (s *Server) OpsGetSubnet(ctx context.Context, r api.OpsGetSubnetRequestObject) (api.OpsGetSubnetResponseObject, error) {
	return nil, notFound()
}

// OpsGetQuota is not there yet.
func (s *Server) OpsGetQuota(ctx context.Context, r api.OpsGetQuotaRequestObject) (api.OpsGetQuotaResponseObject, error) {
	return nil, notFound()
}

// OpsPutQuota is not there yet.
func (s *Server) OpsPutQuota(ctx context.Context, r api.OpsPutQuotaRequestObject) (api.OpsPutQuotaResponseObject, error) {
	return nil, notFound()
}

// GetProjectNetwork is not there yet.
func (s *Server) GetProjectNetwork(ctx context.Context, r api.GetProjectNetworkRequestObject) (api.GetProjectNetworkResponseObject, error) {
	return nil, notFound()
}

// GetProjectQuota is not there yet.
func (s *Server) GetProjectQuota(ctx context.Context, r api.GetProjectQuotaRequestObject) (api.GetProjectQuotaResponseObject, error) {
	return nil, notFound()
}

// UpdateVM is not there yet.
func (s *Server) UpdateVM(ctx context.Context, r api.UpdateVMRequestObject) (api.UpdateVMResponseObject, error) {
	return nil, notFound()
}

// GetTenantQuota is not there yet.
func (s *Server) GetTenantQuota(ctx context.Context, r api.GetTenantQuotaRequestObject) (api.GetTenantQuotaResponseObject, error) {
	return nil, notFound()
}
