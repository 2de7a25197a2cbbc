package proxmoxsim

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

const apiPrefix = "/api2/json"

// ServeHTTP serves both sides. The API is that of the first node that is up.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, "")
}

// Endpoint serves both sides as one node does: while it is down, connections
// are dropped without an answer.
func (s *Server) Endpoint(node string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, node) })
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, at string) {
	switch {
	case strings.HasPrefix(r.URL.Path, simadmin.Prefix):
		s.side.ServeHTTP(w, r)
	case at != "" && !s.isUp(at):
		drop(w)
	case strings.HasPrefix(r.URL.EscapedPath(), apiPrefix+"/"):
		s.serveAPI(w, r)
	default:
		refuse(w, &apiFailure{status: http.StatusNotFound, text: "no such file '" + r.URL.Path + "'"})
	}
}

func (s *Server) isUp(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.state.node(name)
	return n != nil && n.Online
}

// serveAPI answers one call in the order of the real proxy: authenticate, find
// the method, check privileges, pass it to its node, validate, act.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	c, err := s.read(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	seq := s.side.Begin(s.target(c), r.UserAgent())
	var once sync.Once
	end := func(status int) {
		once.Do(func() {
			s.side.End(seq, simadmin.Outcome{Status: status, RefusedLogin: status == http.StatusUnauthorized && c.op == opLogin})
		})
	}
	c.w = noted{ResponseWriter: w, note: end}
	end(s.conduct(c))
}

// read makes a call of a request, whatever it may do.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (*call, error) {
	path := strings.TrimPrefix(r.URL.Path, apiPrefix)
	template, vars, _ := s.facts.match(r.Method, path)
	c := &call{
		server: s, ctx: r.Context(), method: r.Method, path: path, template: template, vars: vars, node: vars["node"], w: w, r: r,
	}
	var err error
	if c.params, err = params(w, r); err != nil {
		return nil, &apiFailure{status: http.StatusBadRequest, text: err.Error()}
	}
	if vmid, err := strconv.Atoi(vars["vmid"]); err == nil {
		c.vmid = vmid
	}
	c.op = s.opOf(c)
	return c, nil
}

// conduct takes a call from authentication to its answer, and returns the
// status that was answered: 0 for nothing.
func (s *Server) conduct(c *call) int {
	e, found := s.endpoints[c.method+" "+c.template]
	if !found || !e.public {
		if err := s.authenticate(c); err != nil {
			s.delayRefusal(c.ctx)
			return refuse(c.w, err)
		}
	}
	if !found {
		return refuse(c.w, &apiFailure{
			status: http.StatusNotImplemented, text: "Method '" + c.method + " " + c.path + "' not implemented",
		})
	}
	fault, verdict := s.side.Meet(c.ctx, s.target(c))
	switch verdict {
	case simadmin.Refused:
		return refuse(c.w, injected(c, fault))
	case simadmin.Dropped:
		return drop(c.w)
	case simadmin.Abandoned:
		return 0
	case simadmin.Served:
	}
	c.plan = fault.Plan("an injected fault")
	out, err := s.act(&e, c)
	switch {
	case fault.LosesAnswer() && fault.Status == 0:
		return drop(c.w)
	case fault.LosesAnswer():
		return refuse(c.w, injected(c, fault))
	case errors.Is(err, errAnswered):
		return http.StatusSwitchingProtocols
	case err != nil:
		if statusOf(err) == http.StatusUnauthorized {
			s.delayRefusal(c.ctx)
		}
		return refuse(c.w, err)
	}
	return answer(c.w, out)
}

// act checks a call and does it.
func (s *Server) act(e *endpoint, c *call) (any, error) {
	if e.allow != nil {
		if err := e.allow(c); err != nil {
			return nil, err
		}
	}
	if c.node != "" {
		if err := s.reach(c.node); err != nil {
			return nil, err
		}
	}
	if bad := s.facts.validate(c.method+" "+c.template, s.validated(c)); bad != nil {
		return nil, &apiFailure{status: http.StatusBadRequest, text: "Parameter verification failed.", errors: bad}
	}
	if c.flag("skiplock", false) && c.who.name() != root {
		return nil, badParameter("skiplock", "Only root may use this option.")
	}
	if err := c.failsAtOnce(); err != nil {
		return nil, err
	}
	return e.handle(c)
}

// validated are the parameters that the schema must allow.
func (s *Server) validated(c *call) map[string]string {
	all := make(map[string]string, len(c.params)+len(c.vars))
	for name, value := range c.params {
		all[name] = value
	}
	for name, value := range c.vars {
		all[name] = value
	}
	if s.opts.SnippetUpload && strings.HasSuffix(c.template, "/upload") && all["content"] == contentSnippets {
		all["content"] = "iso"
	}
	return all
}

// reach passes a call on to its node, as far as that can be done.
func (s *Server) reach(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.state.node(name)
	if n == nil {
		return failed("hostname lookup '" + name + "' failed - failed to get address info for: " + name + ": Name or service not known")
	}
	if !n.Online {
		return &apiFailure{status: statusNoConnection, text: "No route to host", bare: true}
	}
	return nil
}

// statusNoConnection is what the proxy answers when it does not reach a node.
const statusNoConnection = 595

// errAnswered is what a handler returns that took over the connection.
var errAnswered = errors.New("the handler has answered")

func statusOf(err error) int {
	var e *apiFailure
	if errors.As(err, &e) {
		return e.status
	}
	return http.StatusInternalServerError
}

func now() time.Time { return time.Now().UTC().Round(0) }
