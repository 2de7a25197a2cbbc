package proxmoxsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// task is one worker process and what it left.
type task struct {
	UPID    string
	Node    string
	Type    string // "qmclone", "qmstart", ...
	ID      string
	Who     string
	PID     uint64
	PStart  uint64
	Start   time.Time
	End     time.Time
	Running bool
	Exit    string // "OK", "WARNINGS: 1" or what went wrong
	Log     []string
	// Forgotten tasks go on, and nobody knows of them.
	Forgotten bool
	cancel    context.CancelCauseFunc
}

// worker is a task at work.
type worker struct {
	server *Server
	task   *task
	op     string
	plan   simadmin.Plan
	ctx    context.Context //nolint:containedctx // a worker is this context's one user
}

// spawn starts a worker on the call's node (or the entry node) and returns its
// UPID. work runs in a goroutine of its own, without Server.mu; it calls
// worker.pause where the real one takes its time. The caller does not hold
// Server.mu.
func (s *Server) spawn(c *call, typ, id string, work func(w *worker) error) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spawnLocked(c, typ, id, work)
}

// spawnLocked is spawn for a caller that holds Server.mu.
func (s *Server) spawnLocked(c *call, typ, id string, work func(w *worker) error) string {
	node := c.node
	if node == "" || s.state.node(node) == nil {
		node = s.entry()
	}
	ctx, cancel := context.WithCancelCause(s.life)
	t := &task{
		Node: node, Type: typ, ID: id, Who: c.who.name(), Start: time.Now(), Running: true,
		PID: s.state.number() + 1000, PStart: s.state.number(), cancel: cancel, Forgotten: c.plan.Forget,
	}
	t.UPID = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", node, t.PID, t.PStart, t.Start.Unix(), typ, id, t.Who)
	s.remember(t)
	w := &worker{server: s, task: t, op: c.op, plan: c.plan, ctx: ctx}
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		defer cancel(nil)
		s.endTask(t, w.run(work))
	}()
	return t.UPID
}

func (w *worker) run(work func(w *worker) error) error {
	if w.plan.Fail != "" {
		if err := w.pause(); err != nil {
			return err
		}
		return failed(w.plan.Fail)
	}
	return work(w)
}

// pause waits as long as the work takes: Options.TaskDelay, or what the admin
// side has set, and a fault's delay. It fails when the task was stopped.
func (w *worker) pause() error {
	return w.wait(w.server.side.TaskDelay(w.op, w.server.opts.TaskDelay) + w.plan.Delay)
}

func (w *worker) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	case <-timer.C:
		return nil
	}
}

// logf adds a line to the task's log. The caller does not hold Server.mu.
func (w *worker) logf(format string, args ...any) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	w.task.Log = append(w.task.Log, fmt.Sprintf(format, args...))
}

// warn is what a worker returns to end with warnings, which is success.
type warn struct{ count int }

func (e warn) Error() string { return fmt.Sprintf("WARNINGS: %d", e.count) }

func (s *Server) endTask(t *task, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Running, t.End, t.Exit = false, time.Now(), "OK"
	if err != nil {
		t.Exit = exitOf(err)
	}
	var warned warn
	if err != nil && !errors.As(err, &warned) {
		t.Log = append(t.Log, "TASK ERROR: "+t.Exit)
		return
	}
	t.Log = append(t.Log, "TASK "+t.Exit)
}

// exitOf is what a failed task ends with, in one line: a refusal about parameters
// with its status and with all of them.
func exitOf(err error) string {
	text := strings.TrimSpace(err.Error())
	var e *apiFailure
	if !errors.As(err, &e) || len(e.errors) == 0 {
		return text
	}
	text = strconv.Itoa(e.status) + " " + text
	for _, name := range slices.Sorted(maps.Keys(e.errors)) {
		text += " " + name + ": " + e.errors[name]
	}
	return text
}

// keepTasks is how many tasks are remembered.
const keepTasks = 50_000

func (s *Server) remember(t *task) {
	s.state.tasks[t.UPID] = t
	if s.state.order = append(s.state.order, t.UPID); len(s.state.order) > keepTasks {
		delete(s.state.tasks, s.state.order[0])
		s.state.order = s.state.order[1:]
	}
}
