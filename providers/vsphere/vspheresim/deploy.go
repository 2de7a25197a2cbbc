package vspheresim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vapi/vcenter"
	"github.com/vmware/govmomi/vim25/types"
)

// The library's simulator deploys an OVF item at once, forgets its note, and shows no
// task that lasts as long as the deployment does. Ours has both: the VM has its note
// from its birth, and the task ends when the deployment has.

// deployments are what deployments do that is not as usual.
type deployments struct {
	held     *hold
	failures int  // of the next ones, after their VM was made
	silent   bool // no task is shown
}

// HoldDeploy keeps the next deployment at work, once its VM is made, which closes
// taken, until release.
func (s *Server) HoldDeploy() (taken <-chan struct{}, release func()) {
	h := &hold{taken: make(chan struct{}), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deployments.held = h
	return h.taken, onceClosed(h.release)
}

// FailDeploys has the next deployments fail, and leave their VM behind.
func (s *Server) FailDeploys(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deployments.failures = n
}

// HideDeploys has deployments show no task that tells what they make.
func (s *Server) HideDeploys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deployments.silent = true
}

// nextDeployment is how the next deployment goes.
func (s *Server) nextDeployment() deployments {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.deployments
	s.deployments.held = nil
	s.deployments.failures = max(now.failures-1, 0)
	return now
}

// deploy serves a deployment.
func (s *Server) deploy(answer *recorder, r *http.Request, next http.Handler) {
	raw, err := io.ReadAll(r.Body)
	var spec vcenter.Deploy
	if err != nil || json.Unmarshal(raw, &spec) != nil {
		APIError{http.StatusBadRequest, "invalid_argument"}.write(answer)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	how := s.nextDeployment()
	s.mu.Lock()
	s.notes[spec.Name] = spec.Annotation
	s.mu.Unlock()
	var task *simulator.Task
	if !how.silent {
		task = s.begin(spec)
	}
	s.own.Add(1)
	next.ServeHTTP(answer, r)
	s.own.Add(-1)
	if how.held != nil {
		close(how.held.taken)
		<-how.held.release
	}
	var done struct {
		Value vcenter.Deployment `json:"value"`
	}
	failed := json.Unmarshal(answer.body.Bytes(), &done) != nil || !done.Value.Succeeded
	if how.failures > 0 {
		failed = true
		answer.body.Reset()
		_ = json.NewEncoder(&answer.body).Encode(map[string]any{"value": vcenter.Deployment{
			Error: &vcenter.DeploymentError{Errors: []vcenter.OVFError{{
				Category: "SERVER", Error: &vcenter.Error{Class: "com.vmware.vapi.std.errors.timed_out"},
			}}},
		}})
	}
	if task != nil {
		s.end(task, failed)
	}
}

// isOwn reports whether a call is one that the library's simulator makes for a
// deployment at work: it is none of a client's.
func (s *Server) isOwn(r *http.Request) bool {
	return s.own.Load() > 0 && strings.Contains(r.UserAgent(), " govmomi/")
}

// begin shows a task at work that makes a VM, with the event that tells its name.
func (s *Server) begin(spec vcenter.Deploy) *simulator.Task {
	m := s.Model.Map()
	ctx := simulator.NewContext()
	ctx.Map = m
	named := func(name string) types.EntityEventArgument { return types.EntityEventArgument{Name: name} }
	event := &types.VmBeingCreatedEvent{VmEvent: types.VmEvent{Event: types.Event{
		Vm:         &types.VmEventArgument{EntityEventArgument: named(spec.Name)},
		Host:       &types.HostEventArgument{EntityEventArgument: named(spec.HostID)},
		Datacenter: &types.DatacenterEventArgument{EntityEventArgument: named("")},
	}}}
	events := m.EventManager()
	ctx.WithLock(events, func() { events.PostEvent(ctx, &types.PostEvent{EventToPost: event}) })
	pool := types.ManagedObjectReference{Type: "ResourcePool", Value: spec.ResourcePoolID}
	task := simulator.CreateTask(pool, importTask, nil)
	task.Info.State, task.Info.EventChainId = types.TaskInfoStateRunning, event.ChainId
	m.Put(task)
	ctx.WithLock(task, func() { task.Info.Task, task.Info.Key = task.Self, task.Self.Value })
	return task
}

// end ends a task.
func (s *Server) end(task *simulator.Task, failed bool) {
	ctx := simulator.NewContext()
	ctx.Map = s.Model.Map()
	changes := []types.PropertyChange{
		{Name: "info.completeTime", Val: time.Now()},
		{Name: "info.state", Val: types.TaskInfoStateSuccess},
	}
	if failed {
		changes[1].Val = types.TaskInfoStateError
		changes = append(changes, types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{Fault: &types.Timedout{}}})
	}
	ctx.Map.AtomicUpdate(ctx, task, changes)
}

// annotate gives a VM that is deployed its note from its birth.
func (s *Server) annotate(req *types.ImportVApp) {
	spec, ok := req.Spec.(*types.VirtualMachineImportSpec)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if note, ok := s.notes[spec.ConfigSpec.Name]; ok {
		spec.ConfigSpec.Annotation = note
	}
}
