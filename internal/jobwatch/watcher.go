package jobwatch

import (
	"context"
	"slices"
	"sync"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

// maxLog bounds the changes that are kept of one run for those who carry on.
// Who has missed more is told how the job stands.
const maxLog = 1000

// watcher follows one job for all its subscribers.
type watcher struct {
	hub       *Hub
	jobID     string
	cancel    context.CancelFunc
	followers int // guarded by the hub

	mu   sync.Mutex
	subs map[*Subscription]struct{}
	// key, log and last are the durable changes of the run at hand; cut is how far
	// the log was shortened.
	key  string
	log  []Event
	last position
	cut  position
	// durable is the job by the history alone, now by all that is known; known
	// says that there is something to tell.
	durable, now jobview.Job
	op           models.Operation
	known        bool
	ended        error
	// ahead is sent to when a subscriber has seen more than this watcher.
	ahead chan struct{}
}

func newWatcher(h *Hub, jobID string, cancel context.CancelFunc) *watcher {
	return &watcher{hub: h, jobID: jobID, cancel: cancel, subs: map[*Subscription]struct{}{}, ahead: make(chan struct{}, 1)}
}

func (w *watcher) add(s *Subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs[s] = struct{}{}
	if w.known {
		w.begin(s)
	}
	if w.ended != nil {
		s.finish(w.ended)
	}
}

func (w *watcher) remove(s *Subscription) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, was := w.subs[s]
	delete(w.subs, s)
	s.queue = nil
	return was
}

// end ends every subscription.
func (w *watcher) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = err
	for s := range w.subs {
		if w.known && !s.started {
			s.after = "" // there is nothing more to come that it could wait for
			w.begin(s)
		}
		s.finish(err)
	}
}

// Current is the job as the watcher knows it; ok is false before it knows.
func (s *Subscription) Current() (op models.Operation, job jobview.Job, ok bool) {
	w := s.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.op, w.now, w.known
}

// begin tells a subscriber where the job stands, or what it has missed. Without
// a run, because Temporal is away or has none, that is for the time being: the
// place where it wants to carry on is kept. One that has seen more than this
// watcher, by another process that was quicker, begins once the watcher has
// come as far.
func (w *watcher) begin(s *Subscription) {
	if s.started {
		return
	}
	if w.key == "" {
		s.catchUp([]Event{{Job: w.now, Op: w.op}})
		return
	}
	run, at, ok := parseID(s.after)
	here := ok && run == w.key && !at.before(w.cut)
	if here && w.last.before(at) && w.ended == nil {
		select {
		case w.ahead <- struct{}{}:
		default:
		}
		return
	}
	s.started = true
	if !here || w.last.before(at) {
		s.catchUp([]Event{{ID: eventID(w.key, w.last), Job: w.now, Op: w.op, at: w.last}})
		return
	}
	var missed []Event
	for _, e := range w.log {
		if at.before(e.at) {
			missed = append(missed, e)
		}
	}
	s.catchUp(append(missed, w.passing(w.durable, w.now)...))
}

// doubt lets those begin who wait for a place that the history does not have.
func (w *watcher) doubt(events int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.subs {
		if _, at, _ := parseID(s.after); !s.started && at.event > events {
			s.after = ""
			w.begin(s)
		}
	}
}

// enter makes the given run the one at hand. Of a run that is read again, after
// Temporal was away, what was told is not told again.
func (w *watcher) enter(run string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.key == run {
		return
	}
	w.key, w.log, w.last, w.cut = run, nil, position{}, position{}
	w.known = false
	for s := range w.subs {
		s.started = false
	}
}

// change takes over what an event has brought.
func (w *watcher) change(op models.Operation, changes []jobview.Change, durable jobview.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.op, w.durable = op, durable
	var fresh []Event
	for _, c := range changes {
		at := position{c.EventID, c.N}
		if !w.last.before(at) {
			continue
		}
		w.last = at
		fresh = append(fresh, Event{ID: eventID(w.key, at), Step: c.Step, Job: c.Job, Op: op, at: at})
	}
	w.log = append(w.log, fresh...)
	if over := len(w.log) - maxLog; over > 0 {
		w.cut = w.log[over-1].at
		w.log = append([]Event(nil), w.log[over:]...)
	}
	if !w.known {
		return
	}
	w.now = told(w.now, durable, fresh)
	w.tell(fresh)
}

// told is the view of those who were told the events: what an event did not
// touch stands as it was told before, by the history or otherwise.
func told(before, durable jobview.Job, fresh []Event) jobview.Job {
	now := durable
	now.Steps = slices.Clone(before.Steps)
	now.State, now.Waiting, now.CancelRequested = before.State, before.Waiting, before.CancelRequested
	for _, e := range fresh {
		if e.Step == nil {
			now.State, now.Waiting, now.CancelRequested = durable.State, durable.Waiting, durable.CancelRequested
			continue
		}
		if i := slices.IndexFunc(now.Steps, func(s jobview.Step) bool { return s.Name == e.Step.Name }); i >= 0 {
			now.Steps[i] = *e.Step
		}
	}
	return now
}

// show takes over how the job stands by all that is known, and tells what the
// history has not told. It lets those begin who wait for a first word.
func (w *watcher) show(op models.Operation, now jobview.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.now
	w.op, w.now = op, now
	if w.known {
		w.tell(w.passing(before, now))
	}
	first := !w.known
	w.known = true
	if w.key == "" && !first {
		return
	}
	for s := range w.subs {
		w.begin(s)
	}
}

// passing are the changes between two views that have no place in the history.
func (w *watcher) passing(before, now jobview.Job) []Event {
	var out []Event
	for _, s := range jobview.ChangedSteps(before, now) {
		out = append(out, Event{Step: &s, Job: now, Op: w.op})
	}
	if jobview.JobChanged(before, now) {
		out = append(out, Event{Job: now, Op: w.op})
	}
	return out
}

func (w *watcher) tell(events []Event) {
	for s := range w.subs {
		if w.key != "" && !s.started {
			continue
		}
		s.push(w.hub.opts.Limits.Buffer, events...)
	}
}
