package proxmoxsim

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// call is one request of the API that was let in.
type call struct {
	server *Server
	ctx    context.Context //nolint:containedctx // a call lives no longer than its request
	method string
	path   string // without /api2/json
	// template is the path with names for its variables, empty where it is unknown.
	template string
	params   map[string]string // of the body or query; lists as they came, JSON arrays joined by NUL
	vars     map[string]string // of the path
	who      identity
	node     string // of the path; empty where it names none
	vmid     int    // of the path; 0 where it names none
	op       string // the simulated hypervisors' common name of what it does
	// plan is what a fault makes of the task that this call begins.
	plan simadmin.Plan
	// w and r are for calls that take over the connection or read a file.
	w http.ResponseWriter
	r *http.Request
}

// handler does one call. It runs without Server.mu and answers what goes under
// "data".
type handler func(c *call) (any, error)

// endpoint is one method of the API.
type endpoint struct {
	method string
	path   string // "/nodes/{node}/qemu/{vmid}/config"
	// allow refuses callers without the privilege; nil lets all in who are
	// authenticated.
	allow func(c *call) error
	// public endpoints need no authentication.
	public bool
	handle handler
}

// apiFailure is a refusal. Its text goes into the status line too.
type apiFailure struct {
	status int
	text   string
	errors map[string]string // by parameter, with status 400
	// bare refusals have no body: the proxy's own, about a node.
	bare       bool
	retryAfter time.Duration
}

func (e *apiFailure) Error() string { return e.text }

// failed is the 500 of the real daemons, which say everything in its text.
func failed(text string) *apiFailure {
	return &apiFailure{status: http.StatusInternalServerError, text: text}
}

// badParameter is the 400 about one parameter.
func badParameter(name, text string) *apiFailure {
	return &apiFailure{
		status: http.StatusBadRequest, text: "Parameter verification failed.", errors: map[string]string{name: text},
	}
}

// forbidden is the 403 that names the path and the privilege.
func forbidden(path string, privileges ...string) *apiFailure {
	return &apiFailure{
		status: http.StatusForbidden,
		text:   "Permission check failed (" + path + ", " + strings.Join(privileges, "|") + ")",
	}
}

// text returns a parameter, empty where it was not sent.
func (c *call) text(name string) string { return c.params[name] }

// has reports whether a parameter was sent.
func (c *call) has(name string) bool { _, ok := c.params[name]; return ok }

// flag reads a boolean parameter.
func (c *call) flag(name string, otherwise bool) bool {
	v, ok := c.params[name]
	if !ok {
		return otherwise
	}
	return v == "1" || strings.EqualFold(v, "true") || strings.EqualFold(v, "yes") || strings.EqualFold(v, "on")
}

// number reads an integer parameter; ok is false where it was not sent.
func (c *call) number(name string) (n int, ok bool) {
	v, sent := c.params[name]
	if !sent {
		return 0, false
	}
	n, err := strconv.Atoi(v)
	return n, err == nil
}

// list reads a list parameter: by comma, semicolon, space or NUL.
func (c *call) list(name string) []string {
	return strings.FieldsFunc(c.params[name], func(r rune) bool { return strings.ContainsRune(",; \x00", r) })
}

// guest finds the guest of the path on the node of the path. The caller holds
// Server.mu.
func (c *call) guest() (*guest, error) {
	g := c.server.state.guests[c.vmid]
	if g == nil || g.Node != c.node {
		return nil, failed("Configuration file 'nodes/" + c.node + "/qemu-server/" + strconv.Itoa(c.vmid) + ".conf' does not exist")
	}
	return g, nil
}
