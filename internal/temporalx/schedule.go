package temporalx

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// Schedule is a workflow that is started again and again, one at a time: a run
// that is due while another is at work is skipped.
type Schedule struct {
	ID string
	// Every is the interval; Jitter spreads the starts of many schedules.
	Every  time.Duration
	Jitter time.Duration
	// CatchUp is how far back starts are made up for after an outage.
	CatchUp time.Duration
	// Workflow, TaskQueue and Args are what is started, under an ID that begins
	// with the schedule's.
	Workflow  any
	TaskQueue string
	Args      []any
}

// EnsureSchedule makes the schedule, or brings one that exists to this form. One
// that an operator has paused stays paused.
func EnsureSchedule(ctx context.Context, c client.Client, s Schedule) error {
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: s.ID, Spec: s.spec(), Action: s.action(),
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: s.CatchUp,
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return wrap(err, "make schedule "+s.ID)
	}
	err = c.ScheduleClient().GetHandle(ctx, s.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			next := in.Description.Schedule
			spec := s.spec()
			next.Spec, next.Action = &spec, s.action()
			next.Policy = &client.SchedulePolicies{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: s.CatchUp}
			return &client.ScheduleUpdate{Schedule: &next}, nil
		},
	})
	return wrap(err, "change schedule "+s.ID)
}

// DropSchedule removes a schedule. Success when there is none.
func DropSchedule(ctx context.Context, c client.Client, id string) error {
	err := c.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
	var nf *serviceerror.NotFound
	if errors.As(err, &nf) {
		return nil
	}
	return wrap(err, "remove schedule "+id)
}

func (s Schedule) spec() client.ScheduleSpec {
	return client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: s.Every}}, Jitter: s.Jitter}
}

func (s Schedule) action() *client.ScheduleWorkflowAction {
	return &client.ScheduleWorkflowAction{ID: s.ID, Workflow: s.Workflow, TaskQueue: s.TaskQueue, Args: s.Args}
}
