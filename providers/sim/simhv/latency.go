package simhv

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// Latency is how slow the hypervisor is, by operation: Call before it acts,
// Task (instead of Options.TaskDelay) until the work is done.
type Latency struct {
	Call map[string]Duration `json:"call,omitempty"`
	Task map[string]Duration `json:"task,omitempty"`
}

func (l Latency) validate() error {
	for op := range l.Call {
		if !slices.Contains(wire.Ops(), op) {
			return fmt.Errorf("unknown op %q", op)
		}
	}
	for op := range l.Task {
		if !makesTask(op) {
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

func (l *latency) task(op string, otherwise time.Duration) time.Duration {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if d, ok := l.set.Task[op]; ok {
		return time.Duration(d)
	}
	return otherwise
}
