package simadmin

import (
	"context"
	"time"
)

// Verdict is how a call goes on after it has met its fault.
type Verdict int

// The verdicts.
const (
	// Served calls are carried out, with what the fault makes of their task and answer.
	Served Verdict = iota
	// Refused calls are answered with the fault's refusal, in the hypervisor's terms.
	Refused
	// Dropped calls get no answer: their connection is closed.
	Dropped
	// Abandoned calls have nobody who waits for their answer.
	Abandoned
)

// Meet delays a call as the latencies say, and lets the part of the fault that is due
// happen which comes before the effect. The fault is nil for none.
func (s *Side) Meet(ctx context.Context, t Target) (*Fault, Verdict) {
	if !s.Pause(ctx, s.latency.call(t.Op)) {
		return nil, Abandoned
	}
	f, cleared := s.take(t)
	if f == nil {
		return nil, Served
	}
	return f, s.before(ctx, f, cleared)
}

func (s *Side) before(ctx context.Context, f *Fault, cleared <-chan struct{}) Verdict {
	switch f.Kind {
	case FaultHang:
		if !s.hang(ctx, time.Duration(f.Delay), cleared) {
			return Abandoned
		}
		return Served
	case FaultThrottle:
		return Refused
	case FaultSlowTask:
		return Served
	case FaultErrorBefore, FaultDropConnection, FaultErrorAfter, FaultLocked, FaultTaskFails, FaultForgetTask, FaultPartial:
	}
	switch {
	case !s.Pause(ctx, time.Duration(f.Delay)):
		return Abandoned
	case f.Kind == FaultErrorBefore, f.Kind == FaultLocked:
		return Refused
	case f.Kind == FaultDropConnection:
		return Dropped
	}
	return Served
}

// hang waits until the fault is cleared or limit has passed, and reports whether
// somebody still waits for the answer.
func (s *Side) hang(ctx context.Context, limit time.Duration, cleared <-chan struct{}) bool {
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-cleared:
	case <-over:
	case <-ctx.Done():
		return false
	case <-s.done:
		return false
	}
	return ctx.Err() == nil
}

// Pause waits, and reports whether somebody still waits for the answer.
func (s *Side) Pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.done:
		return false
	}
}
