package dispatch

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/workflows"
)

// WakeConsole tells the job of a console session that the session has changed.
// A job that has closed need not know.
func (d *Dispatcher) WakeConsole(ctx context.Context, jobID string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := d.client.SignalWorkflow(ctx, jobID, "", workflows.SignalConsole, nil); err != nil && !notFound(err) {
		return wrap("wake", jobID, err)
	}
	return nil
}
