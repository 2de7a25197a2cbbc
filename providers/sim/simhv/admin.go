package simhv

import (
	"context"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// admin is what the admin side shows of a hypervisor, and changes.
type admin struct{ *Server }

var _ simadmin.Hypervisor = admin{}

func (s *Server) adminSide() *simadmin.Side {
	side := simadmin.New(admin{s}, simadmin.Options{CallLog: s.opts.CallLog})
	side.Handle("GET "+simadmin.Prefix+"vms/{native_id}/screen", s.adminScreen)
	side.Handle("PUT "+simadmin.Prefix+"capabilities", s.adminCapabilities)
	return side
}

func (s *Server) adminCapabilities(_ *http.Request, body []byte) (int, any, error) {
	var set simadmin.Capabilities
	if err := simadmin.Decode(body, &set); err != nil {
		return 0, nil, err
	}
	if err := known(set); err != nil {
		return 0, nil, simadmin.Invalid(err.Error())
	}
	s.capabilities.replace(set)
	return http.StatusOK, set, nil
}

// SetCredentials ends the sessions.
func (s admin) SetCredentials(_ context.Context, valid bool) error {
	s.sessions.setValid(valid)
	return nil
}

// SetNode changes a node.
func (s admin) SetNode(_ context.Context, name string, set simadmin.NodeChange) (simadmin.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.nodes[name]
	if old == nil {
		return simadmin.Node{}, simadmin.NoNode()
	}
	after, err := set.Apply(simadmin.Node(*old))
	if err != nil {
		return simadmin.Node{}, err
	}
	n := nodeRecord(after)
	return after, s.commit(change{Nodes: []*nodeRecord{&n}})
}

// Stats counts the tasks that are at work and the VMs.
func (s admin) Stats(context.Context) (simadmin.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	powers := make([]string, 0, len(s.state.order))
	for _, v := range s.state.order {
		powers = append(powers, v.Power)
	}
	out := simadmin.CountVMs(powers)
	out.TasksRunning = len(s.timers)
	if j := s.state.journal; j != nil && j.compactErr != nil {
		out.StateError = j.compactErr.Error()
	}
	return out, nil
}
