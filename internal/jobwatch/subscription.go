package jobwatch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

// Event is something to tell a follower.
type Event struct {
	// ID is where a follower may carry on; empty for what the history does not
	// hold (a try of a step, a wait), which is told anew instead.
	ID string
	// Step is the step that changed; nil where it is the job.
	Step *jobview.Step
	// Job is the whole job, Op its row when the watcher last read it.
	Job jobview.Job
	Op  models.Operation

	at position
}

// Subscription is one follower of a job.
type Subscription struct {
	watcher  *watcher
	tenantID string
	after    string
	wake     chan struct{}

	// The rest is the watcher's to guard.
	queue   []Event
	unread  int  // live events in the queue
	started bool // was told where the run stands
	end     error
}

// Wake is sent to when there is something to Take.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// Take returns what has come since the last call. A non-nil error ends the
// subscription after these events: ErrEnded, ErrSlow or ErrClosed.
func (s *Subscription) Take() ([]Event, error) {
	s.watcher.mu.Lock()
	defer s.watcher.mu.Unlock()
	out := s.queue
	s.queue, s.unread = nil, 0
	return out, s.end
}

// Close gives the subscription up. It may be called twice.
func (s *Subscription) Close() { s.watcher.hub.leave(s) }

// push adds live events; a subscriber that leaves too many is dropped.
func (s *Subscription) push(limit int, events ...Event) {
	if s.end != nil || len(events) == 0 {
		return
	}
	if s.unread += len(events); s.unread > limit {
		s.queue = nil
		s.finish(ErrSlow)
		return
	}
	s.queue = append(s.queue, events...)
	s.notify()
}

// catchUp adds what a follower has missed, which no limit of its own bounds.
func (s *Subscription) catchUp(events []Event) {
	if s.end == nil {
		s.queue = append(s.queue, events...)
		s.notify()
	}
}

func (s *Subscription) finish(err error) {
	if s.end == nil {
		s.end = err
		s.notify()
	}
}

func (s *Subscription) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// position is a place in the changes of one run.
type position struct {
	event int64
	n     int
}

func (p position) before(q position) bool {
	return p.event < q.event || p.event == q.event && p.n < q.n
}

// runKeyLength is how much of Temporal's run ID tells the runs of a job apart.
// The ID is a UUID of version 7: its end is random, its beginning the time.
const runKeyLength = 12

func runKey(runID string) string { return runID[max(0, len(runID)-runKeyLength):] }

func eventID(run string, p position) string { return fmt.Sprintf("%s.%d.%d", run, p.event, p.n) }

// parseID reads the ID of an event; ok is false for what is none.
func parseID(id string) (run string, p position, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 || parts[0] == "" {
		return "", position{}, false
	}
	event, err1 := strconv.ParseInt(parts[1], 10, 64)
	n, err2 := strconv.Atoi(parts[2])
	if err1 != nil || err2 != nil || event < 0 || n < 0 {
		return "", position{}, false
	}
	return parts[0], position{event, n}, true
}
