// Package simadmin is the admin side of every simulated hypervisor: faults to inject,
// latencies, the list of calls, and what is there, with a client of it. A simulator
// mounts a Side, hands its calls to it, and adds what only it has by Hypervisor.
package simadmin

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// Prefix is where the admin side lives.
const Prefix = "/_admin/"

// maxBody is the largest request that is read, in bytes.
const maxBody = 1 << 20

// Hypervisor is what a simulator shows of itself and lets others change. Its errors
// are Refusals where somebody else is to blame.
type Hypervisor interface {
	// VMs are those that are there, in the order in which they were made.
	VMs(ctx context.Context) ([]VM, error)
	// CreateVM makes a foreign VM, which has a name.
	CreateVM(ctx context.Context, vm NewVM) (VM, error)
	PatchVM(ctx context.Context, nativeID string, set VMChange) (VM, error)
	DeleteVM(ctx context.Context, nativeID string) error
	SetNode(ctx context.Context, node string, set NodeChange) (Node, error)
	// SetCredentials has every call refused as unauthenticated, or ends that.
	SetCredentials(ctx context.Context, valid bool) error
	// Stats counts the tasks and the VMs. The Side counts the calls.
	Stats(ctx context.Context) (Stats, error)
}

// Options configure a Side. The zero value remembers DefaultCallLog calls, and knows
// them by the operations alone.
type Options struct {
	// CallLog is how many calls are remembered; 0 means DefaultCallLog.
	CallLog int
	// HasCall reports whether the hypervisor's own API has a call of this name: a fault
	// may name one in place of an operation. Nil: none.
	HasCall func(name string) bool
	// BeginsTask reports whether a call begins a task. Nil: it does if its operation
	// does, and where a fault names it.
	BeginsTask func(t Target) bool
	// Refuses refuses a fault that could not happen to this hypervisor. Nil: none.
	Refuses func(f *Fault) error
}

// Side is the admin side of one simulator. It has no authentication, so it serves
// loopback only, and no pages in a browser.
type Side struct {
	hypervisor Hypervisor
	opts       Options
	mux        *http.ServeMux
	book       book
	latency    latency
	calls      callLog

	done chan struct{} // closed by Close
	once sync.Once
}

var _ http.Handler = (*Side)(nil)

// New makes the admin side of a simulator.
func New(h Hypervisor, opts Options) *Side {
	s := &Side{
		hypervisor: h, opts: opts, mux: http.NewServeMux(), book: book{cleared: make(chan struct{})},
		calls: callLog{limit: cmp.Or(opts.CallLog, DefaultCallLog), byOp: map[string]uint64{}}, done: make(chan struct{}),
	}
	s.Handle("GET "+Prefix+"vms", s.listVMs)
	s.Handle("POST "+Prefix+"vms", s.createVM)
	s.Handle("PATCH "+Prefix+"vms/{native_id}", s.patchVM)
	s.Handle("DELETE "+Prefix+"vms/{native_id}", s.deleteVM)
	s.Handle("GET "+Prefix+"calls", s.listCalls)
	s.Handle("GET "+Prefix+"faults", s.listFaults)
	s.Handle("PUT "+Prefix+"faults", s.setFaults)
	s.Handle("DELETE "+Prefix+"faults", s.clearFaults)
	s.Handle("PUT "+Prefix+"latency", s.setLatency)
	s.Handle("PUT "+Prefix+"credentials", s.setCredentials)
	s.Handle("PUT "+Prefix+"nodes/{node}", s.setNode)
	s.Handle("GET "+Prefix+"stats", s.stats)
	return s
}

// Close releases the calls that wait. Once more does nothing.
func (s *Side) Close() { s.once.Do(func() { close(s.done) }) }

// Handler does one call of the admin side, whose body was read. It answers JSON, or
// nothing where out is nil.
type Handler func(r *http.Request, body []byte) (status int, out any, err error)

// Handle adds a call that only this simulator has, before the Side serves.
func (s *Side) Handle(pattern string, h Handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serve(w, r, h) })
}

// ServeHTTP serves what is under Prefix.
func (s *Side) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() || r.Header.Get("Origin") != "" {
		refuse(w, &Refusal{Status: http.StatusForbidden, Code: "denied", Message: "the admin side is for this machine only"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

func serve(w http.ResponseWriter, r *http.Request, h Handler) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, Invalid("the body cannot be read, or is too large"))
		return
	}
	status, out, err := h(r, body)
	switch {
	case err != nil:
		refuse(w, err)
	case out == nil:
		w.WriteHeader(status)
	default:
		Answer(w, status, out)
	}
}

type vmList struct {
	VMs []VM `json:"vms"`
}

func (s *Side) listVMs(r *http.Request, _ []byte) (int, any, error) {
	vms, err := s.hypervisor.VMs(r.Context())
	return http.StatusOK, vmList{append([]VM{}, vms...)}, err
}

func (s *Side) createVM(r *http.Request, body []byte) (int, any, error) {
	var n NewVM
	if err := Decode(body, &n); err != nil {
		return 0, nil, err
	}
	if n.Name == "" {
		return 0, nil, Invalid("name is required")
	}
	vm, err := s.hypervisor.CreateVM(r.Context(), n)
	return http.StatusCreated, vm, err
}

func (s *Side) patchVM(r *http.Request, body []byte) (int, any, error) {
	var set VMChange
	if err := Decode(body, &set); err != nil {
		return 0, nil, err
	}
	vm, err := s.hypervisor.PatchVM(r.Context(), r.PathValue("native_id"), set)
	return http.StatusOK, vm, err
}

func (s *Side) deleteVM(r *http.Request, _ []byte) (int, any, error) {
	return http.StatusNoContent, nil, s.hypervisor.DeleteVM(r.Context(), r.PathValue("native_id"))
}

type callList struct {
	Calls []Call `json:"calls"`
}

func (s *Side) listCalls(r *http.Request, _ []byte) (int, any, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, nil, Invalid("the query is malformed")
	}
	var since uint64
	for name, values := range query {
		if name != "since" || len(values) != 1 {
			return 0, nil, Invalid("the only query parameter is since")
		}
		if since, err = strconv.ParseUint(values[0], 10, 64); err != nil {
			return 0, nil, Invalid("since is not a number")
		}
	}
	return http.StatusOK, callList{s.calls.since(since)}, nil
}

type faultList[T any] struct {
	Faults []T `json:"faults"`
}

func (s *Side) listFaults(*http.Request, []byte) (int, any, error) {
	return http.StatusOK, faultList[FaultReport]{s.book.report()}, nil
}

func (s *Side) setFaults(_ *http.Request, body []byte) (int, any, error) {
	list, err := s.parseFaults(body)
	if err != nil {
		return 0, nil, err
	}
	s.book.replace(list)
	return http.StatusOK, faultList[FaultReport]{s.book.report()}, nil
}

func (s *Side) parseFaults(body []byte) ([]Fault, error) {
	var raw faultList[json.RawMessage]
	if err := Decode(body, &raw); err != nil {
		return nil, err
	}
	if raw.Faults == nil {
		return nil, Invalid("faults is required")
	}
	list := make([]Fault, 0, len(raw.Faults))
	for i, b := range raw.Faults {
		f, err := s.parseFault(b)
		if err != nil {
			return nil, Invalid("fault " + strconv.Itoa(i) + ": " + err.Error())
		}
		list = append(list, f)
	}
	return list, nil
}

func (s *Side) clearFaults(*http.Request, []byte) (int, any, error) {
	s.book.replace(nil)
	return http.StatusNoContent, nil, nil
}

func (s *Side) setLatency(_ *http.Request, body []byte) (int, any, error) {
	var set Latency
	if err := Decode(body, &set); err != nil {
		return 0, nil, err
	}
	if err := set.validate(); err != nil {
		return 0, nil, Invalid(err.Error())
	}
	s.latency.replace(set)
	return http.StatusOK, set, nil
}

type credentialsBody struct {
	Valid *bool `json:"valid"`
}

func (s *Side) setCredentials(r *http.Request, body []byte) (int, any, error) {
	var set credentialsBody
	if err := Decode(body, &set); err != nil {
		return 0, nil, err
	}
	if set.Valid == nil {
		return 0, nil, Invalid("valid is required")
	}
	return http.StatusOK, set, s.hypervisor.SetCredentials(r.Context(), *set.Valid)
}

func (s *Side) setNode(r *http.Request, body []byte) (int, any, error) {
	var set NodeChange
	if err := Decode(body, &set); err != nil {
		return 0, nil, err
	}
	node, err := s.hypervisor.SetNode(r.Context(), r.PathValue("node"), set)
	return http.StatusOK, node, err
}

func (s *Side) stats(r *http.Request, _ []byte) (int, any, error) {
	out, err := s.hypervisor.Stats(r.Context())
	out.Calls, out.LoginsRefused = s.calls.counts()
	out.Logins = out.Calls[opLogin]
	return http.StatusOK, out, err
}
