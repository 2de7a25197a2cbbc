package vspheresim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// The admin side has simhv's paths and bodies, so that simhv.Admin drives it. It has no
// authentication, so it is served to loopback only, and not to pages in a browser.

const (
	adminPrefix = "/_admin/"
	maxBody     = 1 << 20 // bytes
)

// adminFailure is a refusal of the admin side.
type adminFailure struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *adminFailure) Error() string { return e.Message }

func invalid(message string) *adminFailure {
	return &adminFailure{status: http.StatusBadRequest, Code: "invalid", Message: message}
}

func (s *Server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h func(r *http.Request, body []byte) (status int, out any, err error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { adminServe(w, r, h) })
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
	route("PUT /_admin/credentials", s.adminCredentials)
	route("PUT /_admin/nodes/{node}", s.adminNode)
	route("GET /_admin/stats", s.adminStats)
	return mux
}

func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() || r.Header.Get("Origin") != "" {
		adminRefuse(w, &adminFailure{
			status: http.StatusForbidden, Code: "denied", Message: "the admin side is for this machine only",
		})
		return
	}
	s.admin.ServeHTTP(w, r)
}

func adminServe(w http.ResponseWriter, r *http.Request, h func(*http.Request, []byte) (int, any, error)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		adminRefuse(w, invalid("the body cannot be read, or is too large"))
		return
	}
	status, out, err := h(r, body)
	switch {
	case err != nil:
		adminRefuse(w, err)
	case out == nil:
		w.WriteHeader(status)
	default:
		adminAnswer(w, status, out)
	}
}

func adminRefuse(w http.ResponseWriter, err error) {
	var e *adminFailure
	if !errors.As(err, &e) {
		e = &adminFailure{status: http.StatusInternalServerError, Code: "unavailable", Message: err.Error()}
	}
	adminAnswer(w, e.status, e)
}

func adminAnswer(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"code":"unavailable","message":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has left is no concern of ours
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

type callList struct {
	Calls []simhv.Call `json:"calls"`
}

func (s *Server) adminCalls(r *http.Request, _ []byte) (int, any, error) {
	var since uint64
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return 0, nil, invalid("since is not a number")
		}
		since = n
	}
	return http.StatusOK, callList{s.log.since(since)}, nil
}

type faultList[T any] struct {
	Faults []T `json:"faults"`
}

func (s *Server) adminFaults(*http.Request, []byte) (int, any, error) {
	return http.StatusOK, faultList[simhv.FaultReport]{s.faults.report()}, nil
}

func (s *Server) adminSetFaults(_ *http.Request, body []byte) (int, any, error) {
	var raw faultList[json.RawMessage]
	if err := strict(body, &raw); err != nil {
		return 0, nil, err
	}
	if raw.Faults == nil {
		return 0, nil, invalid("faults is required")
	}
	list := make([]simhv.Fault, 0, len(raw.Faults))
	for i, b := range raw.Faults {
		f, err := parseFault(b)
		if err != nil {
			return 0, nil, invalid("fault " + strconv.Itoa(i) + ": " + err.Error())
		}
		list = append(list, f)
	}
	s.faults.replace(list)
	return http.StatusOK, faultList[simhv.FaultReport]{s.faults.report()}, nil
}

func (s *Server) adminClearFaults(*http.Request, []byte) (int, any, error) {
	s.faults.replace(nil)
	return http.StatusNoContent, nil, nil
}

func (s *Server) adminLatency(_ *http.Request, body []byte) (int, any, error) {
	var set simhv.Latency
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	if err := validLatency(set); err != nil {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = !*set.Valid
	return http.StatusOK, set, nil
}
