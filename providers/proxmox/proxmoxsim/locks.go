package proxmoxsim

import (
	"context"
	"fmt"
	"time"
)

// lockGuest takes the lock file of a guest's configuration, as every change of
// it does for as long as the change takes. It waits Options.LockTimeout at most.
// The caller does not hold Server.mu, and calls unlock once.
func (s *Server) lockGuest(ctx context.Context, vmid int) (unlock func(), err error) {
	s.mu.Lock()
	held, ok := s.locks[vmid]
	if !ok {
		held = make(chan struct{}, 1)
		s.locks[vmid] = held
	}
	s.mu.Unlock()
	timer := time.NewTimer(s.opts.LockTimeout)
	defer timer.Stop()
	select {
	case held <- struct{}{}:
		if ctx.Err() != nil { // interrupted, and not to go on
			<-held
			return nil, context.Cause(ctx)
		}
		return func() { <-held }, nil
	case <-timer.C:
		return nil, lockTimeout(vmid)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func lockTimeout(vmid int) *apiFailure {
	return failed(fmt.Sprintf("can't lock file '/var/lock/qemu-server/lock-%d.conf' - got timeout", vmid))
}

// checkLock refuses work on a guest that a lock in its configuration keeps for
// other work. The caller holds Server.mu.
func (g *guest) checkLock() error {
	if lock := g.lock(); lock != "" {
		return failed("VM is locked (" + lock + ")")
	}
	return nil
}

// checkQuorum refuses writes to a cluster file system without a majority. The
// caller holds Server.mu.
func (s *Server) checkQuorum() error {
	if !s.state.quorate {
		return failed("cluster not ready - no quorum?")
	}
	return nil
}
