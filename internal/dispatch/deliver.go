package dispatch

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// Deliver tells Temporal what was asked of a job: to stop, to give up undoing, to
// run a step anew. What was delivered before is left out; twice is harmless. An
// error leaves the request to the relay.
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
	if op.AbandonRequestedAt != nil && op.AbandonDeliveredAt == nil {
		if err := d.signal(ctx, op.ID, saga.SignalAbandon, *op.AbandonRequestedAt, d.store.MarkAbandonDelivered); err != nil {
			return err
		}
	}
	if op.StepRetryRequestedAt != nil && op.StepRetryDeliveredAt == nil {
		return d.signal(ctx, op.ID, workflows.SignalRetryStep, *op.StepRetryRequestedAt, d.store.MarkStepRetryDelivered)
	}
	return nil
}

// signal sends a signal without payload and remembers it. A job that has closed
// needs none.
func (d *Dispatcher) signal(
	ctx context.Context, jobID, name string, requested time.Time, mark func(context.Context, string, time.Time) error,
) error {
	if err := d.client.SignalWorkflow(ctx, jobID, "", name, nil); err != nil && !notFound(err) {
		return wrap("signal "+name+" to", jobID, err)
	}
	return wrap("remember "+name+" of", jobID, mark(ctx, jobID, requested))
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
