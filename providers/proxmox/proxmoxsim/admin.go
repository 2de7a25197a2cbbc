package proxmoxsim

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// admin is what the admin side shows of a cluster, and changes.
type admin struct{ *Server }

var _ simadmin.Hypervisor = admin{}

func (s *Server) adminSide() *simadmin.Side {
	side := simadmin.New(admin{s}, simadmin.Options{
		CallLog: s.opts.CallLog,
		HasCall: func(name string) bool { _, ok := s.facts.Endpoints[name]; return ok },
	})
	side.Handle("PUT "+simadmin.Prefix+"cluster", s.adminCluster)
	side.Handle("PUT "+simadmin.Prefix+"storage/{storage}", s.adminStorage)
	return side
}

// SetCredentials refuses tokens, tickets and passwords alike.
func (s admin) SetCredentials(_ context.Context, valid bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepting = valid
	return nil
}
