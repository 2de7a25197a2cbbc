package vsphere

import "github.com/hypervisor-control-plane/hcp/models"

// The kinds of work that every provider does. The argument is the hypervisor's own
// task, where there is one.
const (
	workCreate   = "create"
	workDelete   = "delete"
	workStart    = "start"
	workStop     = "stop"
	workShutdown = "shutdown"
)

// lookCore is lookOf for what every provider does: making, power and deletion.
func (p *Provider) lookCore(kind string) look {
	switch kind {
	case workCreate:
		return p.lookCreate
	case workDelete:
		return p.lookDelete
	case workStart:
		return p.lookPower(models.PowerRunning)
	case workStop:
		return p.lookPower(models.PowerStopped)
	case workShutdown:
		return p.lookShutdown
	}
	return nil
}
