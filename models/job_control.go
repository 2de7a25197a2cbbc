package models

import "time"

// JobControl is what was asked of a job after it was accepted. A request is
// recorded here first and delivered to Temporal afterwards, so that one that
// was answered with 202 is not lost while Temporal is away.
type JobControl struct {
	// CancelRequestedAt is when the run at hand was asked to stop.
	CancelRequestedAt *time.Time
	CancelDeliveredAt *time.Time
	// AbandonRequestedAt is when an operator gave up the undoing of the run at
	// hand, AbandonedBy who, "<issuer>|<subject>", and AbandonReason why.
	AbandonRequestedAt *time.Time
	AbandonDeliveredAt *time.Time
	AbandonReason      string
	AbandonedBy        string
	// StepRetryRequestedAt is when an operator last asked for the step whose
	// outcome is not known to be run anew.
	StepRetryRequestedAt *time.Time
	StepRetryDeliveredAt *time.Time
	// RetryRequestedAt is set from the acceptance of another run until that run
	// begins or ends.
	RetryRequestedAt *time.Time
	// RetryClaimedAt is when a process last took on the start of that run.
	RetryClaimedAt *time.Time
	// EndedRunID is Temporal's ID of the run that settled the job; empty while a
	// run is at work, and for a job that was settled from outside.
	EndedRunID string
}

// Retried reports whether another run was accepted that has not begun yet.
func (c JobControl) Retried() bool { return c.RetryRequestedAt != nil }
