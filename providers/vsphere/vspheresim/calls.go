package vspheresim

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// Call is a call of the SOAP API: its method, as "CloneVM_Task", and the reference
// of the object that it is made on, as "vm-52"; or one of the REST API (restCall).
type Call struct {
	Method string
	Object string
}

// ServeHTTP serves both sides.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, simadmin.Prefix) {
		s.side.ServeHTTP(w, r)
		return
	}
	s.api.ServeHTTP(w, r)
}

// observed logs every call, runs the hooks before it, and loses its answer where it
// was told to.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest := strings.HasPrefix(r.URL.Path, restPath+"/")
		if !rest && (r.Method != http.MethodPost || r.Body == nil) || s.isOwn(r) {
			next.ServeHTTP(w, r)
			return
		}
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the request broke off", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
		call := parseCall(raw)
		if rest {
			call = restCall(r)
		}
		hooks, held, lose := s.enter(call)
		for _, hook := range hooks {
			hook(call)
		}
		if !lose {
			s.conduct(w, r, s.target(call, raw), next)
			return
		}
		next.ServeHTTP(&nowhere{header: http.Header{}}, r)
		if held != nil {
			close(held.taken)
			<-held.release
		}
		panic(http.ErrAbortHandler) // the connection breaks without an answer
	})
}

// enter notes a call, and tells what is to happen with it.
func (s *Server) enter(c Call) (hooks []func(Call), held *hold, lose bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	if s.lost[c.Method] > 0 {
		s.lost[c.Method]--
		lose = true
	}
	if held = s.held[c.Method]; held != nil {
		delete(s.held, c.Method)
		lose = true
	}
	return slices.Clone(s.before), held, lose
}

// hold is an answer that is held back.
type hold struct{ taken, release chan struct{} }

// HoldAnswer lets the next call of a method take effect, which closes taken, and
// holds its answer back until release, which loses it.
func (s *Server) HoldAnswer(method string) (taken <-chan struct{}, release func()) {
	h := &hold{taken: make(chan struct{}), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[method] = h
	return h.taken, onceClosed(h.release)
}

func onceClosed(c chan struct{}) func() { return sync.OnceFunc(func() { close(c) }) }

// Calls returns the calls since the start, or since the last Forget.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Count returns how many calls of a method there were.
func (s *Server) Count(method string) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Method == method {
			n++
		}
	}
	return n
}

// Forget empties the log of calls.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// LoseAnswer lets the next call of a method take effect, and loses its answer.
func (s *Server) LoseAnswer(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[method]++
}

// Before adds a hook that runs before every call; it may wait.
func (s *Server) Before(hook func(Call)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = append(s.before, hook)
}

// nowhere is where an answer goes that is lost.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

// parseCall reads the method, and the object, from a SOAP envelope. The zero value
// for what is none.
func parseCall(envelope []byte) Call {
	var e struct {
		Body struct {
			Method struct {
				XMLName xml.Name
				This    string `xml:"_this"`
			} `xml:",any"`
		} `xml:"Body"`
	}
	if xml.Unmarshal(envelope, &e) != nil {
		return Call{}
	}
	return Call{Method: e.Body.Method.XMLName.Local, Object: e.Body.Method.This}
}
