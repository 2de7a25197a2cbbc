package dispatch

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// Deliver tells Temporal what was asked of a job: to stop, to give up undoing.
// What was delivered before is left out; twice is harmless. An error leaves the
// request to the relay.
func (d *Dispatcher) Deliver(ctx context.Context, op models.Operation) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if op.CancelRequestedAt != nil && op.CancelDeliveredAt == nil {
		if err := d.Cancel(ctx, op.ID); err != nil {
			return err
		}
		if err := d.store.MarkCancelDelivered(ctx, op.ID, *op.CancelRequestedAt); err != nil {
			return wrap("remember the cancel of", op.ID, err)
		}
	}
	if op.AbandonRequestedAt == nil || op.AbandonDeliveredAt != nil {
		return nil
	}
	if err := d.client.SignalWorkflow(ctx, op.ID, "", saga.SignalAbandon, nil); err != nil && !notFound(err) {
		return wrap("abandon", op.ID, err)
	}
	return wrap("remember the abandonment of", op.ID, d.store.MarkAbandonDelivered(ctx, op.ID, *op.AbandonRequestedAt))
}

// Abandon gives up the undoing of a job for the sake of another one, which
// cannot wait for it any longer: it is recorded, and Temporal is told. A job that
// has ended is left alone. An error after the record leaves the rest to the relay.
func (d *Dispatcher) Abandon(ctx context.Context, jobID, forJobID string) error {
	by, err := d.store.Operation(ctx, forJobID)
	if err != nil {
		return err
	}
	op, err := d.store.AbandonFor(ctx, jobID, by)
	if err != nil || op.Outcome != models.OutcomeNone {
		return err
	}
	d.logger.WarnContext(ctx, "gave up the undoing of a job", "job_id", jobID, "for_job_id", forJobID)
	return d.Deliver(ctx, op)
}
