package simhv

import (
	"net/http"
	"strconv"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// begin puts a new task to work on v, which the caller has cloned, and commits
// both. A task that is at work on v already is cancelled. Callers hold mu.
func (s *Server) begin(t *taskRecord, v *vmRecord, p simadmin.Plan) error {
	var c change
	if old := s.state.tasks[v.Task]; old != nil && !old.Done {
		cancelled := *old
		cancelled.Done, cancelled.Code, cancelled.Ends = true, wire.CodeTaskCancelled, now()
		c.Tasks = append(c.Tasks, &cancelled)
		old.undo(v)
	}
	if v.Seq == 0 {
		s.identify(&c, v)
	}
	t.ID = "task-" + strconv.FormatUint(s.state.number(&c), 10)
	t.VM, t.Started = v.Seq, now()
	t.Ends, t.Fail, t.Hidden = t.Started.Add(p.Delay), p.Fail, p.Forget
	v.Task = t.ID
	if p.Delay <= 0 {
		end(s.state, &c, t, v)
	} else {
		c.VMs = append(c.VMs, v)
	}
	c.Tasks = append(c.Tasks, t)
	if err := s.commit(c); err != nil {
		return err
	}
	if !t.Done {
		s.arm(t)
	}
	return nil
}

// identify gives a new VM its number and a native ID that nobody has.
func (s *Server) identify(c *change, v *vmRecord) {
	for {
		v.Seq = s.state.number(c)
		v.NativeID = "vm-" + strconv.FormatUint(v.Seq, 10)
		if s.state.byNative[v.NativeID] == nil {
			return
		}
	}
}

// end marks t as done and adds what it makes of v to the change.
func end(st *state, c *change, t *taskRecord, v *vmRecord) {
	t.Done = true
	if next := t.effect(st, v); next != nil {
		c.VMs = append(c.VMs, next)
	} else {
		c.Gone = append(c.Gone, v.Seq)
	}
}

// commit is the one way to change the state. Callers hold mu.
func (s *Server) commit(c change) error {
	if s.closed {
		return shuttingDown()
	}
	for _, v := range c.VMs {
		v.Revision++
	}
	ended := s.consolesEndedBy(c)
	if err := s.state.commit(c); err != nil {
		return &apiError{status: http.StatusInternalServerError, Code: wire.CodeStorage, Message: err.Error()}
	}
	for _, t := range c.Tasks {
		if timer := s.timers[t.ID]; timer != nil && t.Done {
			timer.Stop()
			delete(s.timers, t.ID)
		}
	}
	for _, console := range ended {
		console.end()
	}
	return nil
}

func shuttingDown() *apiError {
	return &apiError{status: http.StatusServiceUnavailable, Code: wire.CodeUnavailable, Message: "shutting down"}
}

// arm lets a task end at its time. Callers hold mu.
func (s *Server) arm(t *taskRecord) {
	s.timers[t.ID] = time.AfterFunc(time.Until(t.Ends), func() { s.finish(t.ID) })
}

// finish ends a task whose time has come.
func (s *Server) finish(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.tasks[id]
	if s.closed || old == nil || old.Done {
		return
	}
	t, c := *old, change{}
	if v := s.state.vms[t.VM]; v != nil {
		end(s.state, &c, &t, v)
	} else {
		t.Done, t.Code = true, wire.CodeNoVM
	}
	c.Tasks = append(c.Tasks, &t)
	if err := s.commit(c); err != nil {
		// The state file cannot be written: the task is at work until it can.
		s.timers[id] = time.AfterFunc(time.Second, func() { s.finish(id) })
	}
}
