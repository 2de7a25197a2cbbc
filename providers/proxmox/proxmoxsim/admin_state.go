package proxmoxsim

import (
	"net/http"
	"slices"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

const (
	nodeUp          = "up"
	nodeDown        = "down"
	nodeMaintenance = "maintenance"
)

func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// adminNode changes a node. One that is down answers nothing for its guests,
// which go on.
func (s *Server) adminNode(r *http.Request, body []byte) (int, any, error) {
	var set simhv.NodeChange
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.state.node(r.PathValue("node"))
	if n == nil {
		return 0, nil, &adminFailure{status: http.StatusNotFound, Code: "no_node", Message: "no such node"}
	}
	after := *n
	if set.State != nil {
		if !slices.Contains([]string{nodeUp, nodeDown, nodeMaintenance}, *set.State) {
			return 0, nil, invalid(`state must be "up", "down" or "maintenance"`)
		}
		after.Online, after.Maintenance = *set.State != nodeDown, *set.State == nodeMaintenance
	}
	assign(&after.VCPUs, set.VCPUs)
	assign(&after.MemoryMiB, set.MemoryMiB)
	if after.VCPUs < 1 || after.MemoryMiB < 1 {
		return 0, nil, invalid("vcpus and memory_mib must be positive")
	}
	*n = after
	return http.StatusOK, nodeView(n), nil
}

func nodeView(n *node) map[string]any {
	state := nodeUp
	switch {
	case !n.Online:
		state = nodeDown
	case n.Maintenance:
		state = nodeMaintenance
	}
	return map[string]any{"name": n.Name, "state": state, "vcpus": n.VCPUs, "memory_mib": n.MemoryMiB}
}

// clusterChange is what PUT /_admin/cluster changes.
type clusterChange struct {
	Quorate *bool `json:"quorate,omitempty"`
}

func (s *Server) adminCluster(_ *http.Request, body []byte) (int, any, error) {
	var set clusterChange
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	assign(&s.state.quorate, set.Quorate)
	return http.StatusOK, clusterChange{Quorate: &s.state.quorate}, nil
}

// storageChange is what PUT /_admin/storage/{storage} changes.
type storageChange struct {
	GiB      *int  `json:"gib,omitempty"` // its size
	Disabled *bool `json:"disabled,omitempty"`
}

func (s *Server) adminStorage(r *http.Request, body []byte) (int, any, error) {
	var set storageChange
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	store := s.state.storages[r.PathValue("storage")]
	if store == nil {
		return 0, nil, &adminFailure{status: http.StatusNotFound, Code: "no_storage", Message: "no such storage"}
	}
	if set.GiB != nil {
		store.Total = int64(*set.GiB) * gib
	}
	assign(&store.Disabled, set.Disabled)
	return http.StatusOK, set, nil
}

func (s *Server) adminStats(*http.Request, []byte) (int, any, error) {
	out := simhv.Stats{VMs: map[string]int{powerRunning: 0, powerStopped: 0, powerSuspended: 0}}
	out.Calls, out.LoginsRefused = s.calls.counts()
	out.Logins = out.Calls[opLogin]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.state.tasks {
		if t.Running {
			out.TasksRunning++
		}
	}
	for _, g := range s.state.guests {
		if !g.template() {
			out.VMs[adminPower(g)]++
		}
	}
	return http.StatusOK, out, nil
}
