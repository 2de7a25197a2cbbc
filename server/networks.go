package server

import (
	"context"
	"net/http"

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

// GetProjectNetwork reads a network that VMs of a project may be attached to.
func (s *Server) GetProjectNetwork(ctx context.Context, r api.GetProjectNetworkRequestObject) (api.GetProjectNetworkResponseObject, error) {
	if _, err := s.store.GetProject(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID); err != nil {
		return nil, err
	}
	row, err := s.store.GetNetwork(ctx, r.NetworkID)
	if err != nil {
		return nil, err
	}
	return matched(networkView(row), networkTag(row), r.Params.IfNoneMatch), nil
}

// networkTag is the entity tag of a network: its subnets come and go without
// its generation. They never change, so that their IDs stand for them.
func networkTag(n models.Network) string {
	if len(n.Subnets) == 0 {
		return etag(n.Generation)
	}
	var ids []byte
	for _, subnet := range n.Subnets {
		ids = append(append(ids, subnet.ID...), 0)
	}
	return contentTag(n.Generation, ids)
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
	return matched(opsNetworkView(row), networkTag(row), r.Params.IfNoneMatch), nil
}

// OpsCreateNetwork creates a network.
func (s *Server) OpsCreateNetwork(ctx context.Context, r api.OpsCreateNetworkRequestObject) (api.OpsCreateNetworkResponseObject, error) {
	b := *r.Body
	in := models.Network{ID: valueOf(b.ID), Name: b.Name, Description: valueOf(b.Description), Bindings: networkBindings(b.Bindings)}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateNetwork(ctx, c, in, idem, func(row models.Network) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, opsNetworkView(row))
		})
	})
}

// OpsUpdateNetwork changes a network.
func (s *Server) OpsUpdateNetwork(ctx context.Context, r api.OpsUpdateNetworkRequestObject) (api.OpsUpdateNetworkResponseObject, error) {
	patch := store.NetworkPatch{Name: r.Body.Name, Description: r.Body.Description}
	if r.Body.Bindings != nil {
		bindings := networkBindings(*r.Body.Bindings)
		patch.Bindings = &bindings
	}
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.UpdateNetwork(ctx, r.NetworkID, patch, w, func(row models.Network) (store.Answer, error) {
			return answer(http.StatusOK, opsNetworkView(row), map[string]string{"ETag": networkTag(row)})
		})
	})
}

// OpsDeleteNetwork retires a network that nothing uses.
func (s *Server) OpsDeleteNetwork(ctx context.Context, r api.OpsDeleteNetworkRequestObject) (api.OpsDeleteNetworkResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteNetwork(ctx, r.NetworkID, w, goneAnswer())
	})
}

func networkBindings(in []api.NetworkBinding) []models.NetworkBinding {
	out := make([]models.NetworkBinding, len(in))
	for i, x := range in {
		out[i] = models.NetworkBinding{
			ProviderID: x.ProviderID, ClusterID: valueOf(x.ClusterID), Ref: x.Ref, Type: models.NetworkType(valueOf(x.Type)),
		}
	}
	return out
}

func networkView(n models.Network) api.Network {
	v := api.Network{
		ID: n.ID, Name: n.Name, Description: n.Description, CreatedAt: n.CreatedAt, Subnets: make([]api.SubnetSummary, len(n.Subnets)),
	}
	for i, subnet := range n.Subnets {
		v.Subnets[i] = api.SubnetSummary{Cidr: subnet.CIDR, Gateway: optional(subnet.Gateway)}
		if len(subnet.DNSServers) > 0 {
			v.Subnets[i].DNSServers = &n.Subnets[i].DNSServers
		}
	}
	return v
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
