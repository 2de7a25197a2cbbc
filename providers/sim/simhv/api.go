package simhv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// apiError is a refusal.
type apiError struct {
	status     int
	Code       string
	Message    string
	retryAfter time.Duration
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// operation is one operation of the adapter's side.
type operation func(body []byte) (request, error)

// request is a call that was read.
type request interface {
	// target says what the call is about. The caller holds Server.mu.
	target(st *state) target
	// run carries it out.
	run(s *Server, p plan) (response any, err error)
}

// decoded makes an operation of a request type. Unknown fields are refused.
func decoded[T any, P interface {
	*T
	request
}](body []byte) (request, error) {
	req := P(new(T))
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(req); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the request")
	}
	return req, nil
}

func operations() map[string]operation {
	all := optionalOperations()
	maps.Copy(all, map[string]operation{
		wire.OpLogin:        decoded[login],
		wire.OpInfo:         decoded[info],
		wire.OpListNodes:    inquire(nodes),
		wire.OpListImages:   inquire(images),
		wire.OpListNetworks: inquire(networks),
		wire.OpListVMs:      decoded[listVMs],
		wire.OpFindVM:       decoded[findVM],
		wire.OpCreateVM:     decoded[createVM],
		wire.OpSetPower:     decoded[setPower],
		wire.OpReboot:       decoded[reboot],
		wire.OpDeleteVM:     decoded[deleteVM],
		wire.OpPollTask:     decoded[pollTask],
	})
	return all
}

// serveOp answers one call of an adapter: authenticate, read, write down, delay,
// let a fault happen, act, answer.
func (s *Server) serveOp(w http.ResponseWriter, r *http.Request, op string) {
	decode, ok := s.ops[op]
	if !ok || r.Method != http.MethodPost {
		refuse(w, &apiError{status: http.StatusNotFound, Code: wire.CodeNoOperation, Message: "no such operation"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if err != nil {
		refuse(w, &apiError{status: http.StatusBadRequest, Code: wire.CodeInvalid, Message: "the body cannot be read, or is too large"})
		return
	}
	t := target{op: op}
	req, err := decode(body)
	if err == nil {
		s.mu.Lock()
		t = req.target(s.state)
		s.mu.Unlock()
		t.op = op
	}
	seq := s.calls.begin(t, r.UserAgent(), now())
	status, nativeID := s.conduct(w, r, t, req, err)
	s.calls.end(seq, status, nativeID)
}

// conduct takes a call from authentication to its answer, and returns what was
// answered: 0 for nothing.
func (s *Server) conduct(w http.ResponseWriter, r *http.Request, t target, req request, badRequest error) (status int, nativeID string) {
	if t.op != wire.OpLogin && !s.sessions.holds(bearer(r), time.Now()) {
		return refuse(w, unauthenticated()), ""
	}
	if badRequest != nil {
		return refuse(w, invalid(badRequest.Error())), ""
	}
	if !s.pause(r.Context(), s.latency.call(t.op)) {
		return 0, ""
	}
	fault, cleared := s.faults.take(t)
	p := plan{}
	if fault != nil {
		if status, done := s.before(w, r, fault, cleared); done {
			return status, ""
		}
		p = fault.plan()
	}
	response, err := req.run(s, p)
	nativeID = nativeIDOf(response)
	stream, isStream := response.(*console)
	if isStream && fault != nil && fault.Kind == FaultErrorAfter {
		s.dropConsole(stream)
	}
	switch {
	case fault != nil && fault.Kind == FaultErrorAfter && fault.Status == 0:
		return drop(w), nativeID
	case fault != nil && fault.Kind == FaultErrorAfter:
		return refuse(w, fault.refusal()), nativeID
	case err != nil:
		return refuse(w, err), nativeID
	case isStream:
		return s.serveConsole(w, r, stream), nativeID
	}
	return answer(w, http.StatusOK, response), nativeID
}

// nativeIDOf is the VM that an answer is about, for the log of calls.
func nativeIDOf(response any) string {
	switch r := response.(type) {
	case wire.WorkResponse:
		return r.NativeID
	case wire.FindVMResponse:
		if r.VM != nil {
			return r.VM.NativeID
		}
	case *console:
		return r.nativeID
	}
	return ""
}

// before lets the part of a fault happen that comes before the effect. done
// says that the call ends here.
func (s *Server) before(w http.ResponseWriter, r *http.Request, f *Fault, cleared <-chan struct{}) (status int, done bool) {
	switch f.Kind {
	case FaultHang:
		return 0, !s.hang(r.Context(), time.Duration(f.Delay), cleared)
	case FaultThrottle, FaultLocked:
		return refuse(w, f.refusal()), true
	case FaultSlowTask:
		return 0, false
	case FaultErrorBefore, FaultDropConnection, FaultErrorAfter, FaultTaskFails, FaultForgetTask, FaultPartial:
	}
	if !s.pause(r.Context(), time.Duration(f.Delay)) {
		return 0, true
	}
	if f.Kind == FaultErrorBefore {
		return refuse(w, f.refusal()), true
	}
	if f.Kind == FaultDropConnection {
		return drop(w), true
	}
	return 0, false
}

// hang waits until the fault is cleared or limit has passed, and reports
// whether somebody still waits for the answer.
func (s *Server) hang(ctx context.Context, limit time.Duration, cleared <-chan struct{}) bool {
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-cleared:
	case <-over:
	case <-ctx.Done():
		return false
	case <-s.done:
		return false
	}
	return ctx.Err() == nil
}

// pause waits, and reports whether somebody still waits for the answer.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.done:
		return false
	}
}

func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) int {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return refuse(w, &apiError{status: http.StatusInternalServerError, Code: wire.CodeUnavailable, Message: "this connection cannot be dropped"})
	}
	_ = conn.Close() // nobody is told: that is the fault
	return 0
}

// refuse answers an error.
func refuse(w http.ResponseWriter, err error) int {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{status: http.StatusInternalServerError, Code: wire.CodeUnavailable, Message: err.Error()}
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.retryAfter/time.Second)))
	}
	return answer(w, e.status, wire.Error{Code: e.Code, Message: e.Message})
}

func answer(w http.ResponseWriter, status int, body any) int {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"code":"unavailable","message":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has left is no concern of ours
	return status
}

func unauthenticated() *apiError {
	return &apiError{status: http.StatusUnauthorized, Code: wire.CodeUnauthenticated, Message: "log in first"}
}

func invalid(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, Code: wire.CodeInvalid, Message: message}
}
