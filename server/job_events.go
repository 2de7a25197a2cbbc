package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

const (
	// firstWord is how long a stream waits for what it is to begin with before it
	// opens.
	firstWord = 5 * time.Second
	// heartbeat is how often a stream without events shows that it is alive.
	heartbeat = 15 * time.Second
)

// The events of a stream.
const (
	eventStep         = "step"
	eventJob          = "job"
	eventDropped      = "dropped"
	eventShutdown     = "shutdown"
	eventUnauthorized = "unauthorized"
)

// eventStream answers with a stream of events.
type eventStream func(w http.ResponseWriter) error

// StreamJobEvents follows a job of the tenant.
func (s *Server) StreamJobEvents(ctx context.Context, r api.StreamJobEventsRequestObject) (api.StreamJobEventsResponseObject, error) {
	return s.streamJob(ctx, r.JobID, valueOf(r.Params.LastEventID))
}

// OpsStreamJobEvents follows any job.
func (s *Server) OpsStreamJobEvents(ctx context.Context, r api.OpsStreamJobEventsRequestObject) (api.OpsStreamJobEventsResponseObject, error) {
	return s.streamJob(ctx, r.JobID, valueOf(r.Params.LastEventID))
}

func (s *Server) streamJob(ctx context.Context, jobID, after string) (eventStream, error) {
	op, err := s.visibleJob(ctx, jobID)
	if err != nil {
		return nil, err
	}
	sub, err := s.follow(ctx, op, after)
	if err != nil {
		return nil, err
	}
	first, end := firstOf(ctx, sub)
	if errors.Is(end, jobwatch.ErrClosed) {
		sub.Close()
		return nil, stopping()
	}
	return func(w http.ResponseWriter) error {
		defer sub.Close()
		if len(first) == 0 && errors.Is(end, jobwatch.ErrEnded) {
			w.WriteHeader(http.StatusNoContent) // an EventSource does not come again then
			return nil
		}
		out := newEventWriter(w)
		if err := out.open(); err != nil {
			return err
		}
		s.send(ctx, out, sub, op.ProjectID, first, end)
		return nil
	}, nil
}

// firstOf waits for what a subscription begins with: nothing, where nothing was
// missed.
func firstOf(ctx context.Context, sub *jobwatch.Subscription) ([]jobwatch.Event, error) {
	timer := time.NewTimer(firstWord)
	defer timer.Stop()
	for {
		select {
		case <-sub.Wake():
		case <-timer.C:
			return sub.Take()
		case <-ctx.Done():
			return sub.Take()
		}
		events, end := sub.Take()
		_, job, _ := sub.Current()
		if len(events) > 0 || end != nil || !job.State.Terminal() {
			return events, end
		}
	}
}

// send passes on what there is to tell of a job of the project until there is
// nothing more, or nobody to tell it to.
func (s *Server) send(ctx context.Context, out *eventWriter, sub *jobwatch.Subscription, projectID string, events []jobwatch.Event, end error) {
	lease := time.NewTicker(leaseEvery)
	defer lease.Stop()
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	err := s.pass(ctx, out, events, end)
	for err == nil && end == nil {
		select {
		case <-ctx.Done():
			return
		case <-sub.Wake():
			events, end = sub.Take()
			err = s.pass(ctx, out, events, end)
		case <-lease.C:
			if refused := requestOf(ctx).renew(ctx, projectID); refused != nil {
				end = refused
				err = out.event("", eventUnauthorized, reason{string(asProblem(refused).Code)})
			}
		case <-alive.C:
			err = out.comment()
		}
	}
}

// reason says why a stream ends before the job does.
type reason struct {
	Reason string `json:"reason"`
}

// pass sends events, and the word about the end if it is not the job's own.
func (s *Server) pass(ctx context.Context, out *eventWriter, events []jobwatch.Event, end error) error {
	for _, e := range events {
		name, data := eventJob, s.jobDocument(ctx, e.Op, e.Job)
		if e.Step != nil {
			name, data = eventStep, stepDocument(ctx, e)
		}
		if err := out.event(e.ID, name, data); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(end, jobwatch.ErrSlow):
		return out.event("", eventDropped, reason{"SLOW_READER"})
	case errors.Is(end, jobwatch.ErrClosed):
		return out.event("", eventShutdown, reason{"SHUTDOWN"})
	}
	return nil
}

// stepEvent is a step with the job that it belongs to. Causes are for operators.
type stepEvent struct {
	JobID string `json:"job_id"`
	Run   int    `json:"run"`
	api.JobStep
	Causes []api.JobCause `json:"causes,omitempty"`
}

func stepDocument(ctx context.Context, e jobwatch.Event) stepEvent {
	v := stepEvent{JobID: e.Job.ID, Run: e.Job.Run, JobStep: stepView(*e.Step)}
	if requestOf(ctx).Principal.Plane == auth.PlaneOps {
		v.Causes = causesOf(*e.Step)
	}
	return v
}

// causesOf are the hypervisor's own words about a step.
func causesOf(s jobview.Step) []api.JobCause {
	var out []api.JobCause
	add := func(e *jobview.Error) {
		if e != nil && e.Cause != "" {
			out = append(out, api.JobCause{Step: s.Name, Cause: e.Cause})
		}
	}
	add(s.Error)
	if s.Compensation != nil {
		add(s.Compensation.Error)
	}
	return out
}
