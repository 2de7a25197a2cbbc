package simhv

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// The admin side has no authentication, so it is served to loopback only, and
// not to pages in a browser.

const adminPrefix = "/_admin/"

func (s *Server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h func(r *http.Request, body []byte) (status int, out any, err error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { adminAnswer(w, r, h) })
	}
	route("GET /_admin/vms", s.adminListVMs)
	route("POST /_admin/vms", s.adminCreateVM)
	route("PATCH /_admin/vms/{native_id}", s.adminPatchVM)
	route("DELETE /_admin/vms/{native_id}", s.adminDeleteVM)
	route("GET /_admin/calls", s.adminCalls)
	route("GET /_admin/faults", s.adminFaults)
	route("PUT /_admin/faults", s.adminSetFaults)
	route("DELETE /_admin/faults", s.adminClearFaults)
	route("PUT /_admin/latency", s.adminLatency)
	route("GET /_admin/vms/{native_id}/screen", s.adminScreen)
	route("PUT /_admin/capabilities", s.adminCapabilities)
	route("PUT /_admin/credentials", s.adminCredentials)
	route("PUT /_admin/nodes/{node}", s.adminNode)
	route("GET /_admin/stats", s.adminStats)
	return mux
}

func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() || r.Header.Get("Origin") != "" {
		refuse(w, &apiError{status: http.StatusForbidden, Code: wire.CodeDenied, Message: "the admin side is for this machine only"})
		return
	}
	s.admin.ServeHTTP(w, r)
}

func adminAnswer(w http.ResponseWriter, r *http.Request, h func(*http.Request, []byte) (int, any, error)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if err != nil {
		refuse(w, invalid("the body cannot be read, or is too large"))
		return
	}
	status, out, err := h(r, body)
	switch {
	case err != nil:
		refuse(w, err)
	case out == nil:
		w.WriteHeader(status)
	default:
		answer(w, status, out)
	}
}

// strict reads a JSON body without unknown fields.
func strict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid(err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("data after the body")
	}
	return nil
}

func (s *Server) adminCalls(r *http.Request, _ []byte) (int, any, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, nil, invalid("the query is malformed")
	}
	var since uint64
	for name, values := range query {
		if name != "since" || len(values) != 1 {
			return 0, nil, invalid("the only query parameter is since")
		}
		if since, err = strconv.ParseUint(values[0], 10, 64); err != nil {
			return 0, nil, invalid("since is not a number")
		}
	}
	return http.StatusOK, callList{s.calls.since(since)}, nil
}

type callList struct {
	Calls []Call `json:"calls"`
}

type faultList[T any] struct {
	Faults []T `json:"faults"`
}

func (s *Server) adminFaults(*http.Request, []byte) (int, any, error) {
	return http.StatusOK, faultList[FaultReport]{s.faults.report()}, nil
}

func (s *Server) adminSetFaults(_ *http.Request, body []byte) (int, any, error) {
	list, err := parseFaults(body)
	if err != nil {
		return 0, nil, err
	}
	s.faults.replace(list)
	return http.StatusOK, faultList[FaultReport]{s.faults.report()}, nil
}

func parseFaults(body []byte) ([]Fault, error) {
	var raw faultList[json.RawMessage]
	if err := strict(body, &raw); err != nil {
		return nil, err
	}
	if raw.Faults == nil {
		return nil, invalid("faults is required")
	}
	list := make([]Fault, 0, len(raw.Faults))
	for i, b := range raw.Faults {
		f, err := parseFault(b)
		if err != nil {
			return nil, invalid("fault " + strconv.Itoa(i) + ": " + err.Error())
		}
		list = append(list, f)
	}
	return list, nil
}

func (s *Server) adminClearFaults(*http.Request, []byte) (int, any, error) {
	s.faults.replace(nil)
	return http.StatusNoContent, nil, nil
}

func (s *Server) adminLatency(_ *http.Request, body []byte) (int, any, error) {
	var set Latency
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	if err := set.validate(); err != nil {
		return 0, nil, invalid(err.Error())
	}
	s.latency.replace(set)
	return http.StatusOK, set, nil
}

type credentialsBody struct {
	Valid *bool `json:"valid"`
}

func (s *Server) adminCredentials(_ *http.Request, body []byte) (int, any, error) {
	var set credentialsBody
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	if set.Valid == nil {
		return 0, nil, invalid("valid is required")
	}
	s.sessions.setValid(*set.Valid)
	return http.StatusOK, set, nil
}

// NodeChange is what PUT /_admin/nodes/{node} changes; nil keeps. Memory is in MiB.
type NodeChange struct {
	State     *string `json:"state,omitempty"` // "up", "down", "maintenance"
	VCPUs     *int    `json:"vcpus,omitempty"`
	MemoryMiB *int    `json:"memory_mib,omitempty"`
}

func (s *Server) adminNode(r *http.Request, body []byte) (int, any, error) {
	var set NodeChange
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.nodes[r.PathValue("node")]
	if old == nil {
		return 0, nil, &apiError{status: http.StatusNotFound, Code: wire.CodeNoNode, Message: "no such node"}
	}
	n := *old
	assign(&n.State, set.State)
	assign(&n.VCPUs, set.VCPUs)
	assign(&n.MemoryMiB, set.MemoryMiB)
	if n.State != nodeUp && n.State != nodeDown && n.State != nodeMaintenance {
		return 0, nil, invalid(`state must be "up", "down" or "maintenance"`)
	}
	if n.VCPUs < 1 || n.MemoryMiB < 1 {
		return 0, nil, invalid("vcpus and memory_mib must be positive")
	}
	return http.StatusOK, n, s.commit(change{Nodes: []*nodeRecord{&n}})
}

func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Stats are counts since the start of the process; VMs are those of now.
type Stats struct {
	TasksRunning int            `json:"tasks_running"`
	VMs          map[string]int `json:"vms"` // by power
	// Logins counts every attempt, LoginsRefused those that were refused.
	Logins        uint64            `json:"logins"`
	LoginsRefused uint64            `json:"logins_refused"`
	Calls         map[string]uint64 `json:"calls"` // by operation
	// StateError is why the state file could not be compacted the last time.
	StateError string `json:"state_error,omitempty"`
}

func (s *Server) adminStats(*http.Request, []byte) (int, any, error) {
	out := Stats{VMs: map[string]int{wire.PowerRunning: 0, wire.PowerStopped: 0, wire.PowerSuspended: 0}}
	out.Calls, out.LoginsRefused = s.calls.counts()
	out.Logins = out.Calls[wire.OpLogin]
	s.mu.Lock()
	defer s.mu.Unlock()
	out.TasksRunning = len(s.timers)
	for _, v := range s.state.order {
		out.VMs[v.Power]++
	}
	if j := s.state.journal; j != nil && j.compactErr != nil {
		out.StateError = j.compactErr.Error()
	}
	return http.StatusOK, out, nil
}
