package vsphere

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// ending is what happens at one request of an operation that changes something.
type ending int

const (
	unharmed   ending = iota
	answerLost        // it took effect, and the connection broke
	diesBefore        // the process ended before it was sent
	diesAfter         // the process ended before the answer came
)

func (e ending) String() string {
	return [...]string{"unharmed", "answer lost", "process dies before", "process dies after"}[e]
}

var errDead = errors.New("the process is dead")

// process is a provider in a process of its own, whose requests go by a gate that can
// end it.
type process struct {
	*Provider
	inner connections

	mu     sync.Mutex
	writes []string // the requests that change something, in their order
	at     int      // which of them has the ending; 0: none
	how    ending
	dead   bool
	asked  int                     // how many requests there were, reads too
	meet   func(at int, of string) // called before each of them
}

// silent is how long the processes of a sweep take work for going on that they see
// nothing of.
const silent = 50 * time.Millisecond

func newProcess(t *testing.T, s *vspheresim.Server) *process {
	t.Helper()
	x := &process{Provider: openWith(t, testConfig(s, nil))}
	x.silence = silent
	x.inner = x.session.transport.http
	x.session.transport.http = x
	// The login is none of the operation's requests. A session that no call was
	// answered with is not known to be good.
	require.Nil(t, x.sees(t.Context(), "Test"))
	x.forget()
	return x
}

func (x *process) CloseIdleConnections() { x.inner.CloseIdleConnections() }

// methodOf reads the method of a call from its envelope.
func methodOf(envelope []byte) string {
	found := regexp.MustCompile(`Body>\s*<(\w+)`).FindSubmatch(envelope)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// changes reports whether a call changes something.
func changes(method string) bool {
	return strings.HasSuffix(method, "_Task") && method != "SearchDatastore_Task" ||
		slices.Contains([]string{"MakeDirectory", "ShutdownGuest", "RebootGuest", "CancelTask"}, method)
}

// RoundTrip is the gate.
func (x *process) RoundTrip(req *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, err
	}
	method := methodOf(raw)
	req.Body = io.NopCloser(bytes.NewReader(raw))
	if method == "Logout" {
		return x.inner.RoundTrip(req)
	}
	x.mu.Lock()
	x.asked++
	at, meet := x.asked, x.meet
	x.mu.Unlock()
	if meet != nil {
		meet(at, method)
	}
	how, dead := x.enter(method)
	if dead {
		return nil, errDead
	}
	res, err := x.inner.RoundTrip(req)
	if err != nil || how == unharmed {
		return res, err
	}
	_ = res.Body.Close()
	x.mu.Lock()
	x.dead = how == diesAfter
	x.mu.Unlock()
	return nil, errDead
}

func (x *process) enter(method string) (how ending, dead bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if changes(method) && !x.dead {
		x.writes = append(x.writes, method)
		if len(x.writes) == x.at {
			how = x.how
		}
	}
	x.dead = x.dead || how == diesBefore
	return how, x.dead
}

// end sets the ending of a request to come.
func (x *process) end(at int, how ending) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.at, x.how = at, how
}

func (x *process) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writes, x.asked = nil, 0
}

func (x *process) isDead() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.dead
}

func (x *process) requests() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked
}

func (x *process) written() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.writes)
}

// asking is one call of an operation.
type asking func(context.Context, *process) (providers.TaskRef, error)

// drive follows a task, or asks, until the work is done or the process has ended, as an
// activity does. It returns the task that it knows in the end.
func (x *process) drive(t *testing.T, ask asking, task providers.TaskRef) (providers.TaskRef, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var err error
	if task == "" {
		task, err = ask(ctx, x)
	}
	for ; !x.isDead(); <-tick.C {
		var st providers.TaskStatus
		if err == nil {
			if st, err = x.PollTask(ctx, task); err == nil {
				if !st.Done {
					continue
				}
				if err = st.Err; err == nil {
					return task, nil
				}
			}
			if providers.CodeOf(err) == providers.NotFound {
				task, err = ask(ctx, x)
				continue
			}
		}
		if !providers.CodeOf(err).Retryable() || ctx.Err() != nil {
			return task, err
		}
		task, err = ask(ctx, x)
	}
	return task, nil
}
