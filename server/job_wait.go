package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/models"
)

// awaitChange reads a job, and where the caller has asked to wait returns it
// once it stands otherwise than when the request began, at once when it has
// ended, and as it is when the time is over.
func (s *Server) awaitChange(ctx context.Context, op models.Operation, wait *string) (models.Operation, jobview.Job, error) {
	limit, err := waitOf(wait)
	if err != nil {
		return op, jobview.Job{}, err
	}
	job := s.job(ctx, op)
	if limit == 0 || job.State.Terminal() {
		return op, job, nil
	}
	sub, err := s.follow(ctx, op, "")
	if err != nil {
		return op, job, err
	}
	defer sub.Close()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	lease := time.NewTicker(leaseEvery)
	defer lease.Stop()
	before := standing(job)
	for {
		select {
		case <-sub.Wake():
			nowOp, now, answer, err := s.looked(ctx, op, sub, before)
			if answer || err != nil {
				return nowOp, now, err
			}
		case <-lease.C:
			if err := requestOf(ctx).renew(ctx, op.ProjectID); err != nil {
				return op, job, err
			}
		case <-deadline.C:
			return op, job, nil
		case <-ctx.Done():
			return op, job, ctx.Err()
		}
	}
}

// looked looks at a job after its watcher has told something, and says whether
// that answers who waits. The watcher may be a moment behind what was read at
// first, so that what it tells is a reason to look, and no answer. Its end is
// one: this process stops, or the job has ended.
func (s *Server) looked(
	ctx context.Context, op models.Operation, sub *jobwatch.Subscription, before string,
) (models.Operation, jobview.Job, bool, error) {
	_, end := sub.Take()
	over := end != nil
	if _, seen, ok := sub.Current(); !over && (!ok || standing(seen) == before) {
		return op, jobview.Job{}, false, nil
	}
	now, err := s.store.Operation(ctx, op.ID)
	if err != nil {
		return op, jobview.Job{}, false, err
	}
	job := s.job(ctx, now)
	return now, job, over || standing(job) != before, nil //nolint:nilerr // that a subscription has ended is no failure
}

// follow subscribes the principal to a job.
func (s *Server) follow(ctx context.Context, op models.Operation, after string) (*jobwatch.Subscription, error) {
	sub, err := s.watch.Watch(op.ID, requestOf(ctx).Principal.TenantID, after) //nolint:contextcheck // what is shared outlives the one who starts it
	switch {
	case errors.Is(err, jobwatch.ErrLimit):
		p := newProblem(CodeRateLimited, "too many jobs are followed at once")
		p.header = map[string]string{"Retry-After": "5"}
		return nil, p
	case errors.Is(err, jobwatch.ErrClosed):
		return nil, stopping()
	}
	return sub, err
}

// stopping is the answer of a process that is about to stop.
func stopping() *problem {
	p := newProblem(CodeControlPlaneUnavailable, "this process stops; try again")
	p.header = map[string]string{"Retry-After": "1"}
	return p
}

// waitOf reads how long the caller wants to wait for a change.
func waitOf(v *string) (time.Duration, error) {
	if v == nil {
		return 0, nil
	}
	d := isoDuration(*v)
	if d > maxWait {
		return 0, newProblem(CodeInvalidArgument, "the wait is too long", fieldError{Pointer: "/query/wait", Detail: "must be at most PT60S"})
	}
	return d, nil
}

// standing is what of a job counts as a change: its state, and the state and
// the tries of its steps.
func standing(j jobview.Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %t %+v", j.Run, j.State, j.CancelRequested, j.Progress)
	for _, s := range j.Steps {
		fmt.Fprintf(&b, " %s %s %d", s.Name, s.State, s.Attempt)
		if c := s.Compensation; c != nil {
			fmt.Fprintf(&b, " %s %d", c.State, c.Attempt)
		}
	}
	return b.String()
}
