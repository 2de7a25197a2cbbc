package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListProjectNetworks lists the networks that VMs of a project may be attached
// to: for now those of the installation.
func (s *Server) ListProjectNetworks(ctx context.Context, r api.ListProjectNetworksRequestObject) (api.ListProjectNetworksResponseObject, error) {
	if _, err := s.store.GetProject(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID); err != nil {
		return nil, err
	}
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListNetworks(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, networkView)
}

// OpsListNetworks lists the networks and what they are on each provider.
func (s *Server) OpsListNetworks(ctx context.Context, r api.OpsListNetworksRequestObject) (api.OpsListNetworksResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListNetworks(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, opsNetworkView)
}

// OpsGetNetwork reads a network.
func (s *Server) OpsGetNetwork(ctx context.Context, r api.OpsGetNetworkRequestObject) (api.OpsGetNetworkResponseObject, error) {
	row, err := s.store.GetNetwork(ctx, r.NetworkID)
	if err != nil {
		return nil, err
	}
	return tagged(opsNetworkView(row), r.Params.IfNoneMatch), nil
}

// OpsCreateNetwork creates a network.
func (s *Server) OpsCreateNetwork(ctx context.Context, r api.OpsCreateNetworkRequestObject) (api.OpsCreateNetworkResponseObject, error) {
	b := *r.Body
	in := models.Network{ID: valueOf(b.ID), Name: b.Name, Description: valueOf(b.Description)}
	for _, x := range b.Bindings {
		in.Bindings = append(in.Bindings, models.NetworkBinding{
			ProviderID: x.ProviderID, ClusterID: valueOf(x.ClusterID), Ref: x.Ref, Type: models.NetworkType(valueOf(x.Type)),
		})
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateNetwork(ctx, c, in, idem, func(row models.Network) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, opsNetworkView(row))
		})
	})
}

func networkView(n models.Network) api.Network {
	return api.Network{ID: n.ID, Name: n.Name, Description: n.Description, CreatedAt: n.CreatedAt, Subnets: []api.SubnetSummary{}}
}

// opsNetwork is api.OpsNetwork, made of a tenant's view and what only operators see.
type opsNetwork struct {
	api.Network
	Bindings []api.NetworkBinding `json:"bindings"`
}

func opsNetworkView(n models.Network) opsNetwork {
	v := opsNetwork{Network: networkView(n), Bindings: make([]api.NetworkBinding, len(n.Bindings))}
	for i, b := range n.Bindings {
		v.Bindings[i] = api.NetworkBinding{
			ProviderID: b.ProviderID, ClusterID: optional(b.ClusterID), Ref: b.Ref, Type: optional(api.NetworkBindingType(b.Type)),
		}
	}
	return v
}
