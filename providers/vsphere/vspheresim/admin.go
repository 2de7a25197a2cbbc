package vspheresim

import (
	"context"
	"errors"
	"fmt"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// maxBody bounds what is unpacked of a guest's information, in bytes.
const maxBody = 1 << 20

// admin is what the admin side shows of a server, and changes.
type admin struct{ *Server }

var _ simadmin.Hypervisor = admin{}

func (s *Server) adminSide() *simadmin.Side {
	return simadmin.New(admin{s}, simadmin.Options{
		CallLog: s.opts.CallLog, HasCall: isMethod, Refuses: refuses,
		BeginsTask: func(t simadmin.Target) bool { return beginsTask(t.Call) },
	})
}

// refuses refuses what cannot happen here. A fault's code is the type of one of the API's.
func refuses(f *simadmin.Fault) error {
	if _, known := faultOf(f.Code); f.Code != "" && !known {
		return fmt.Errorf("the API has no fault %q", f.Code)
	}
	if f.Kind == simadmin.FaultPartial {
		return errors.New("nothing is made in part: a clone is one task")
	}
	return nil
}

// SetCredentials refuses sessions and logins alike.
func (s admin) SetCredentials(_ context.Context, valid bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = !valid
	return nil
}
