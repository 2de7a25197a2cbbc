package simhv

import (
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// known refuses the name of a capability that there is not.
func known(c simadmin.Capabilities) error {
	for _, name := range c.Withdraw {
		if !slices.Contains(wire.Capabilities(), name) {
			return fmt.Errorf("there is no capability %q", name)
		}
	}
	return nil
}

// offered reports whether a capability is left.
func offered(c simadmin.Capabilities, name string) bool {
	switch name {
	case wire.CapConsoleRDP:
		if !c.RDPOnly {
			return false
		}
	case wire.CapConsoleVNC, wire.CapConsoleSerial:
		if c.RDPOnly {
			return false
		}
	}
	return !slices.Contains(c.Withdraw, name)
}

// capabilities are those that are set.
type capabilities struct {
	mu  sync.RWMutex
	set simadmin.Capabilities
}

func (c *capabilities) replace(set simadmin.Capabilities) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = set
}

func (c *capabilities) has(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return offered(c.set, name)
}

func (c *capabilities) list() []string {
	return slices.DeleteFunc(wire.Capabilities(), func(name string) bool { return !c.has(name) })
}

// offers refuses what goes with a capability that was withdrawn; what goes with
// none is never refused.
func (s *Server) offers(capability string) error {
	if capability == "" || s.capabilities.has(capability) {
		return nil
	}
	return &apiError{status: http.StatusNotImplemented, Code: wire.CodeUnsupported, Message: "this hypervisor has no " + capability}
}
