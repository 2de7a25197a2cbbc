package simadmin

import (
	"fmt"
	"sync"
	"time"
)

// Latency is how slow the hypervisor is, by operation: Call before it acts,
// Task (instead of the simulator's own delay) until the work is done.
type Latency struct {
	Call map[string]Duration `json:"call,omitempty"`
	Task map[string]Duration `json:"task,omitempty"`
}

func (l Latency) validate() error {
	for op := range l.Call {
		if !IsOp(op) {
			return fmt.Errorf("unknown op %q", op)
		}
	}
	for op := range l.Task {
		if !MakesTask(op) {
			return fmt.Errorf("%q has no task", op)
		}
	}
	return nil
}

type latency struct {
	mu  sync.RWMutex
	set Latency
}

func (l *latency) replace(set Latency) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set = set
}

func (l *latency) call(op string) time.Duration {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return time.Duration(l.set.Call[op])
}

// TaskDelay is how long the task of an operation takes, otherwise where no latency is
// set for it.
func (s *Side) TaskDelay(op string, otherwise time.Duration) time.Duration {
	s.latency.mu.RLock()
	defer s.latency.mu.RUnlock()
	if d, ok := s.latency.set.Task[op]; ok {
		return time.Duration(d)
	}
	return otherwise
}
