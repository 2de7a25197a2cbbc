// Package ctltest is a small server for tests of hcpctl. It speaks the API's
// description: each request is checked against server/openapi.yaml, and each
// answer is made from the schemas there, unless a test says otherwise.
package ctltest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"
)

// Prefix is where the API begins.
const Prefix = "/api/hcp"

// Server is the server.
type Server struct {
	*httptest.Server
	tb     testing.TB
	doc    *openapi3.T
	routes []route

	mu       sync.Mutex
	seen     map[string]int
	requests []Request
	handlers map[string]http.HandlerFunc
	console  http.HandlerFunc

	consoleHeader http.Header
}

// Request is a request that was made.
type Request struct {
	Operation string
	Method    string
	URL       string
	Header    http.Header
	Body      []byte
}

type route struct {
	method  string
	path    string
	pattern *regexp.Regexp
	names   []string
	item    *openapi3.PathItem
	op      *openapi3.Operation
}

// Spec loads the description of the API.
func Spec(tb testing.TB) *openapi3.T {
	tb.Helper()
	dir, err := os.Getwd()
	require.NoError(tb, err)
	for {
		path := filepath.Join(dir, "server", "openapi.yaml")
		if _, err := os.Stat(path); err == nil {
			doc, err := openapi3.NewLoader().LoadFromFile(path)
			require.NoError(tb, err)
			return doc
		}
		parent := filepath.Dir(dir)
		require.NotEqual(tb, parent, dir, "server/openapi.yaml is not above the test")
		dir = parent
	}
}

// New starts a server that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, doc: Spec(tb), seen: map[string]int{}, handlers: map[string]http.HandlerFunc{}}
	param := regexp.MustCompile(`\\\{([A-Za-z]+)\\\}`)
	for path, item := range s.doc.Paths.Map() {
		for method, op := range item.Operations() {
			r := route{method: method, path: path, item: item, op: op}
			for _, m := range regexp.MustCompile(`\{([A-Za-z]+)\}`).FindAllStringSubmatch(path, -1) {
				r.names = append(r.names, m[1])
			}
			r.pattern = regexp.MustCompile("^" + Prefix + param.ReplaceAllString(regexp.QuoteMeta(path), `([^/:]+)`) + "$")
			s.routes = append(s.routes, r)
		}
	}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// Handle answers an operation in another way.
func (s *Server) Handle(operation string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[operation] = h
}

// Seen tells how often each operation was asked for.
func (s *Server) Seen() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for op, n := range s.seen {
		out[op] = n
	}
	return out
}

// Requests lists the requests of an operation.
func (s *Server) Requests(operation string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, r := range s.requests {
		if r.Operation == operation {
			out = append(out, r)
		}
	}
	return out
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if h := s.consoleHandler(req); h != nil {
		h(w, req)
		return
	}
	r, params := s.find(req)
	if r == nil {
		Problem(w, http.StatusNotFound, "NOT_FOUND", "no such route: "+req.Method+" "+req.URL.Path)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.seen[r.op.OperationID]++
	s.requests = append(s.requests, Request{r.op.OperationID, req.Method, req.URL.String(), req.Header.Clone(), body})
	h := s.handlers[r.op.OperationID]
	s.mu.Unlock()
	if err := s.check(req, body, r, params); err != nil {
		s.tb.Errorf("%s %s does not fit the description: %v", req.Method, req.URL, err)
		Problem(w, http.StatusBadRequest, "INVALID_ARGUMENT", err.Error())
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	if h != nil {
		h(w, req)
		return
	}
	s.sample(w, req, r)
}

func (s *Server) find(req *http.Request) (*route, map[string]string) {
	for i := range s.routes {
		r := &s.routes[i]
		m := r.pattern.FindStringSubmatch(req.URL.Path)
		if m == nil || r.method != req.Method {
			continue
		}
		params := map[string]string{}
		for i, name := range r.names {
			params[name] = m[i+1]
		}
		return r, params
	}
	return nil, nil
}

// check holds a request against the description; parameters that are not in
// it are errors too, as they are to the real server.
func (s *Server) check(req *http.Request, body []byte, r *route, params map[string]string) error {
	known := map[string]bool{}
	for _, list := range []openapi3.Parameters{r.item.Parameters, r.op.Parameters} {
		for _, p := range list {
			known[p.Value.In+" "+p.Value.Name] = true
		}
	}
	for name := range req.URL.Query() {
		if !known["query "+name] {
			return &openapi3filter.RequestError{Reason: "unknown query parameter " + name}
		}
	}
	clone := req.Clone(req.Context())
	clone.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		clone.Body = http.NoBody
	}
	return openapi3filter.ValidateRequest(req.Context(), &openapi3filter.RequestValidationInput{
		Request: clone, PathParams: params, QueryParams: req.URL.Query(),
		Route:   &routers.Route{Spec: s.doc, Path: r.path, PathItem: r.item, Method: r.method, Operation: r.op},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}

// Problem answers an error.
func Problem(w http.ResponseWriter, status int, code, detail string) {
	JSON(w, "application/problem+json", status, map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail, "request_id": "req-1", "retryable": status >= 500,
	})
}

// Answer answers JSON.
func Answer(w http.ResponseWriter, status int, v any) { JSON(w, "application/json", status, v) }

// JSON answers JSON of a media type.
func JSON(w http.ResponseWriter, mediaType string, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // a test's own value
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("X-Request-Id", "req-1")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// sample answers what the description says.
func (s *Server) sample(w http.ResponseWriter, req *http.Request, r *route) {
	for _, status := range []int{200, 201, 202, 204} {
		resp := r.op.Responses.Status(status)
		if resp == nil {
			continue
		}
		w.Header().Set("ETag", `"1"`)
		if status == 204 {
			w.WriteHeader(status)
			return
		}
		if resp.Value.Content.Get("text/event-stream") != nil {
			job := Job("SUCCEEDED")
			job["id"] = jobID(req.URL.Path)
			Events(w, Event{Name: "job", ID: "1.9", Data: job})
			return
		}
		v := Sample(resp.Value.Content.Get("application/json").Schema, "")
		if m, ok := v.(map[string]any); ok && m["next_page_token"] != nil {
			m["next_page_token"] = ""
		}
		if strings.HasSuffix(r.op.OperationID, "etJob") {
			job := Job("SUCCEEDED")
			job["id"] = jobID(req.URL.Path)
			v = job
		}
		Answer(w, status, v)
		return
	}
	Problem(w, http.StatusInternalServerError, "INTERNAL", "no success in the description")
}

// jobID is the ID in the path of a job.
func jobID(path string) string {
	_, id, _ := strings.Cut(path, "/jobs/")
	id, _, _ = strings.Cut(id, "/")
	return id
}
