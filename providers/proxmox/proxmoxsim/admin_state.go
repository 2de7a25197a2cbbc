package proxmoxsim

import (
	"context"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// SetNode changes a node. One that is down answers nothing for its guests, which go on.
func (s admin) SetNode(_ context.Context, name string, set simadmin.NodeChange) (simadmin.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.state.node(name)
	if n == nil {
		return simadmin.Node{}, simadmin.NoNode()
	}
	after, err := set.Apply(n.view())
	if err != nil {
		return simadmin.Node{}, err
	}
	n.Online, n.Maintenance = after.State != simadmin.NodeDown, after.State == simadmin.NodeMaintenance
	n.VCPUs, n.MemoryMiB = after.VCPUs, after.MemoryMiB
	return after, nil
}

func (n *node) view() simadmin.Node {
	state := simadmin.NodeUp
	switch {
	case !n.Online:
		state = simadmin.NodeDown
	case n.Maintenance:
		state = simadmin.NodeMaintenance
	}
	return simadmin.Node{Name: n.Name, State: state, VCPUs: n.VCPUs, MemoryMiB: n.MemoryMiB}
}

// clusterChange is what PUT /_admin/cluster changes.
type clusterChange struct {
	Quorate *bool `json:"quorate,omitempty"`
}

func (s *Server) adminCluster(_ *http.Request, body []byte) (int, any, error) {
	var set clusterChange
	if err := simadmin.Decode(body, &set); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	simadmin.Assign(&s.state.quorate, set.Quorate)
	return http.StatusOK, clusterChange{Quorate: &s.state.quorate}, nil
}

// storageChange is what PUT /_admin/storage/{storage} changes.
type storageChange struct {
	GiB      *int  `json:"gib,omitempty"` // its size
	Disabled *bool `json:"disabled,omitempty"`
}

func (s *Server) adminStorage(r *http.Request, body []byte) (int, any, error) {
	var set storageChange
	if err := simadmin.Decode(body, &set); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	store := s.state.storages[r.PathValue("storage")]
	if store == nil {
		return 0, nil, &simadmin.Refusal{Status: http.StatusNotFound, Code: "no_storage", Message: "no such storage"}
	}
	if set.GiB != nil {
		store.Total = int64(*set.GiB) * gib
	}
	simadmin.Assign(&store.Disabled, set.Disabled)
	return http.StatusOK, set, nil
}

// Stats counts the tasks that are at work and the guests.
func (s admin) Stats(context.Context) (simadmin.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var powers []string
	for _, g := range s.state.guests {
		if !g.template() {
			powers = append(powers, adminPower(g))
		}
	}
	out := simadmin.CountVMs(powers)
	for _, t := range s.state.tasks {
		if t.Running {
			out.TasksRunning++
		}
	}
	return out, nil
}
