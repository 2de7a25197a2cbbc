package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsListClusters lists clusters.
func (s *Server) OpsListClusters(ctx context.Context, r api.OpsListClustersRequestObject) (api.OpsListClustersResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListClusters(ctx, valueOf(r.Params.ProviderID), at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, clusterView)
}

// OpsListNodes lists nodes.
func (s *Server) OpsListNodes(ctx context.Context, r api.OpsListNodesRequestObject) (api.OpsListNodesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListNodes(ctx, valueOf(r.Params.ProviderID), at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, nodeView)
}

func clusterView(c models.Cluster) api.Cluster {
	return api.Cluster{ID: c.ID, ProviderID: c.ProviderID, ZoneID: c.ZoneID, Name: c.Name, CreatedAt: c.CreatedAt}
}

func nodeView(n models.Node) api.Node {
	return api.Node{
		ID: n.ID, ProviderID: n.ProviderID, ClusterID: n.ClusterID, ZoneID: n.ZoneID, Name: n.Name, State: api.NodeState(n.State),
		Cordoned: n.Cordoned, Vcpus: n.VCPUs, MemoryMib: n.MemoryMiB, SeenAt: n.SeenAt, CreatedAt: n.CreatedAt,
	}
}
