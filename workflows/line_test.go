package workflows_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
)

// verdict is what becomes of a call to the hypervisor.
type verdict int

const (
	passes   verdict = iota
	refused          // 503, and no effect
	garbled          // an answer that is not understood, and no effect
	lost             // the call takes effect, and its answer is not understood
	followed         // the call takes effect, and what is to follow it comes before its answer
)

// line is the adapter's way to the simulated hypervisor, where calls can be
// disturbed. rule says what becomes of a call; nil lets all pass.
type line struct {
	next  http.Handler
	heard speech

	mu    sync.Mutex
	rule  func(op string) verdict
	then  func()   // what follows a call that is followed
	tasks []string // the work that was begun
	calls []string // by which operations
}

// speech is how a kind of hypervisor is spoken to.
type speech struct {
	// operation names the operation that a request asks for; false for one that is
	// not an adapter's.
	operation func(r *http.Request) (string, bool)
	// work names the work that an answer says to have begun, or nothing.
	work func(body []byte) string
}

// simSpeech is how simulated hypervisors of kind sim are spoken to.
func simSpeech() speech {
	return speech{
		operation: func(r *http.Request) (string, bool) { return strings.CutPrefix(r.URL.Path, "/v1/") },
		work: func(body []byte) string {
			var made struct{ Task string }
			if json.Unmarshal(body, &made) != nil {
				return ""
			}
			return made.Task
		},
	}
}

// reads reports whether an operation changes nothing on the hypervisor.
func reads(op string) bool {
	return op == "login" || op == "info" || op == "snapshot_list" || slices.ContainsFunc([]string{"list_", "find_", "poll_", "console"}, func(p string) bool { return strings.HasPrefix(op, p) })
}

// disturb sets the rule, and forgets the calls.
func (l *line) disturb(rule func(op string) verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rule, l.calls, l.tasks = rule, nil, nil
}

// restore lets all calls pass again.
func (l *line) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rule = nil
}

// acted are the operations that made the hypervisor work since the last disturb,
// once for each piece of work.
func (l *line) acted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// judge says what becomes of a call.
func (l *line) judge(op string) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rule == nil {
		return passes
	}
	return l.rule(op)
}

// note writes down which work an operation has begun.
func (l *line) note(op string, body []byte) {
	task := l.heard.work(body)
	if reads(op) || task == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.tasks, task) {
		l.tasks, l.calls = append(l.tasks, task), append(l.calls, op)
	}
}

// ServeHTTP implements http.Handler.
func (l *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ours := l.heard.operation(r)
	if !ours {
		l.next.ServeHTTP(w, r)
		return
	}
	v := l.judge(op)
	switch v {
	case refused:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case garbled:
		w.WriteHeader(http.StatusTeapot)
		return
	case passes, lost, followed:
	}
	rec := httptest.NewRecorder()
	l.next.ServeHTTP(rec, r)
	l.note(op, rec.Body.Bytes())
	if v == followed {
		l.then()
	}
	if v == lost {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	for k, values := range rec.Header() {
		w.Header()[k] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// dumb is a hypervisor that takes a call of op, whose answer is lost, and from
// then on says nothing that is understood, to acts as to reads.
func (w *world) dumb(op string) func(string) verdict {
	acted := false
	return func(called string) verdict {
		switch {
		case acted:
			return garbled
		case w.breed.says.begins(op, called):
			acted = true
			return lost
		}
		return passes
	}
}

// blind is a hypervisor that can be read no more once it was asked for op.
func (w *world) blind(op string) func(string) verdict {
	asked := false
	return func(called string) verdict {
		asked = asked || w.breed.says.begins(op, called)
		if asked && reads(called) {
			return refused
		}
		return passes
	}
}
