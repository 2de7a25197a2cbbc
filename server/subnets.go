package server

import (
	"context"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/internal/ipam"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsListSubnets lists the subnets of a network in the order in which they are
// filled.
func (s *Server) OpsListSubnets(ctx context.Context, r api.OpsListSubnetsRequestObject) (api.OpsListSubnetsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, "")
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListSubnets(ctx, r.NetworkID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, subnetView)
}

// OpsGetSubnet reads a subnet.
func (s *Server) OpsGetSubnet(ctx context.Context, r api.OpsGetSubnetRequestObject) (api.OpsGetSubnetResponseObject, error) {
	row, err := s.store.GetSubnet(ctx, r.NetworkID, r.SubnetID)
	if err != nil {
		return nil, err
	}
	return hashed(subnetView(row), firstGeneration, r.Params.IfNoneMatch)
}

// OpsCreateSubnet adds a subnet to a network.
func (s *Server) OpsCreateSubnet(ctx context.Context, r api.OpsCreateSubnetRequestObject) (api.OpsCreateSubnetResponseObject, error) {
	b := *r.Body
	in := store.CreateSubnet{ID: valueOf(b.ID), NetworkID: r.NetworkID, Plan: ipam.Plan{
		CIDR: b.Cidr, Gateway: valueOf(b.Gateway), DNSServers: valueOf(b.DNSServers), PoolStart: valueOf(b.PoolStart), PoolEnd: valueOf(b.PoolEnd),
	}}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateSubnet(ctx, c, in, idem, func(row store.SubnetUsage) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, subnetView(row))
		})
	})
}

// OpsDeleteSubnet removes a subnet of which no address is taken.
func (s *Server) OpsDeleteSubnet(ctx context.Context, r api.OpsDeleteSubnetRequestObject) (api.OpsDeleteSubnetResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.DeleteSubnet(ctx, c, r.NetworkID, r.SubnetID, match, idem, store.Answer{Status: http.StatusNoContent})
	})
}

// OpsListAddresses lists the addresses of a network that are taken.
func (s *Server) OpsListAddresses(ctx context.Context, r api.OpsListAddressesRequestObject) (api.OpsListAddressesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, "")
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListAddresses(ctx, r.NetworkID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, func(a models.AllocatedAddress) api.AllocatedAddress {
		return api.AllocatedAddress{
			IPAddress: a.IP, SubnetID: optional(a.SubnetID), VMID: a.VMID, Mac: a.MAC,
			TenantID: a.TenantID, ProjectID: a.ProjectID, CreatedAt: a.CreatedAt,
		}
	})
}

func subnetView(s store.SubnetUsage) api.Subnet {
	block := ipam.Block{Prefix: s.Prefix()}
	return api.Subnet{
		ID: s.ID, NetworkID: s.NetworkID, Cidr: s.CIDR, Gateway: optional(s.Gateway), DNSServers: list(s.DNSServers),
		PoolStart: block.At(s.PoolStart).String(), PoolEnd: block.At(s.PoolEnd).String(),
		Allocated: s.Allocated, CreatedAt: s.CreatedAt,
	}
}
