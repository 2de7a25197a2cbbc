package vspheresim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

const restPath = "/rest"

// restCall is how a call of the REST API is told: its HTTP method with the last names of
// its path and its action, as "POST library-item deploy", and the ID that it is made on.
func restCall(r *http.Request) Call {
	var names []string
	var id string
	for _, name := range strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, restPath), "/"), "/") {
		if rest, ok := strings.CutPrefix(name, "id:"); ok {
			id = rest
			continue
		}
		names = append(names, name)
	}
	last := names[len(names)-1]
	if len(names) > 1 && names[len(names)-2] == "library-items" {
		id, last = last, "library-items"
	}
	method := r.Method + " " + last
	if action := r.URL.Query().Get("~action"); action != "" {
		method += " " + action
	}
	return Call{Method: method, Object: id}
}

// APIError is an error that the REST API answers with. Kind is the type, as "not_found";
// empty for an answer of a proxy before it.
type APIError struct {
	Status int
	Kind   string
}

// write answers with an error as the published API describes it.
func (e APIError) write(w http.ResponseWriter) {
	if e.Kind == "" {
		http.Error(w, http.StatusText(e.Status), e.Status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "com.vmware.vapi.std.errors." + e.Kind, "value": map[string]any{"messages": []any{}},
	})
}

// RefuseREST has the next calls of a method of the REST API be answered with an error,
// and have no effect.
func (s *Server) RefuseREST(method string, calls int, with APIError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[method] = refusedCalls{calls, with}
}

type refusedCalls struct {
	left int
	with APIError
}

// refusesCall is the error that a call is to be answered with.
func (s *Server) refusesCall(method string) (APIError, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.refused[method]
	if !ok || r.left == 0 {
		return APIError{}, false
	}
	r.left--
	s.refused[method] = r
	return r.with, true
}

// EndRESTSessions ends every session of the REST API.
func (s *Server) EndRESTSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// RESTSessions counts the sessions of the REST API.
func (s *Server) RESTSessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens)
}

const tokenHeader = "vmware-api-session-id" //nolint:gosec // the name of a header

// serveREST serves the REST API: the library's simulator, with its errors as the API
// documents them, sessions that end, and what that lacks of deployments and templates.
func (s *Server) serveREST(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, restPath+"/") {
			next.ServeHTTP(w, r)
			return
		}
		call := restCall(r)
		if with, refused := s.refusesCall(call.Method); refused {
			with.write(w)
			return
		}
		login := call.Method == "POST session"
		token := r.Header.Get(tokenHeader)
		s.mu.Lock()
		user, known := s.tokens[token]
		s.mu.Unlock()
		if !login && !known {
			APIError{http.StatusUnauthorized, "unauthenticated"}.write(w)
			return
		}
		if s.denies(user, call.Method) {
			APIError{http.StatusForbidden, "unauthorized"}.write(w)
			return
		}
		answer := &recorder{header: http.Header{}, status: http.StatusOK}
		switch call.Method {
		case "POST library-item deploy":
			s.deploy(answer, r, next)
		case "GET library-items":
			s.templateItem(answer, r, call.Object)
		case "GET item":
			next.ServeHTTP(answer, r)
			s.versioned(answer, call.Object)
		case "GET storage":
			next.ServeHTTP(answer, r)
			fileURIs(answer)
		default:
			next.ServeHTTP(answer, r)
		}
		name, _, _ := r.BasicAuth()
		s.noteToken(call, token, name, answer)
		answer.send(w)
	})
}

// noteToken follows logins and logouts.
func (s *Server) noteToken(call Call, token, user string, answer *recorder) {
	var body struct {
		Value string `json:"value"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case call.Method == "DELETE session":
		delete(s.tokens, token)
	case call.Method == "POST session" && answer.status == http.StatusOK && json.Unmarshal(answer.body.Bytes(), &body) == nil:
		s.tokens[body.Value] = user
	}
}

// recorder holds an answer back, so that it can be changed.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorder) Header() http.Header         { return a.header }
func (a *recorder) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *recorder) WriteHeader(status int)      { a.status = status }

// send gives the answer. The library's simulator gives some errors without their type.
func (a *recorder) send(w http.ResponseWriter) {
	if !json.Valid(a.body.Bytes()) {
		kind := map[int]string{
			http.StatusBadRequest: "invalid_argument", http.StatusUnauthorized: "unauthenticated", http.StatusNotFound: "not_found",
		}[a.status]
		if kind != "" {
			APIError{a.status, kind}.write(w)
			return
		}
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.Copy(w, &a.body)
}
