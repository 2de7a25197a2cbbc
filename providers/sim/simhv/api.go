package simhv

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// apiError is a refusal.
type apiError struct {
	status     int
	Code       string
	Message    string
	retryAfter time.Duration
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// As makes it a refusal of the admin side.
func (e *apiError) As(target any) bool {
	r, ok := target.(**simadmin.Refusal)
	if ok {
		*r = &simadmin.Refusal{Status: e.status, Code: e.Code, Message: e.Message}
	}
	return ok
}

// operation is one operation of the adapter's side.
type operation func(body []byte) (request, error)

// request is a call that was read.
type request interface {
	// target says what the call is about. The caller holds Server.mu.
	target(st *state) simadmin.Target
	// run carries it out.
	run(s *Server, p simadmin.Plan) (response any, err error)
}

// decoded makes an operation of a request type. Unknown fields are refused.
func decoded[T any, P interface {
	*T
	request
}](body []byte) (request, error) {
	req := P(new(T))
	if err := strictly(body, req); err != nil {
		return nil, err
	}
	return req, nil
}

// strictly reads a JSON body without unknown fields.
func strictly(body []byte, into any) error {
	err := simadmin.Decode(body, into)
	var refused *simadmin.Refusal
	if errors.As(err, &refused) {
		return errors.New(refused.Message)
	}
	return err
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
	t := simadmin.Target{Op: op}
	req, err := decode(body)
	if err == nil {
		s.mu.Lock()
		t = req.target(s.state)
		s.mu.Unlock()
		t.Op = op
	}
	seq := s.side.Begin(t, r.UserAgent())
	status, nativeID := s.conduct(w, r, t, req, err)
	s.side.End(seq, simadmin.Outcome{
		Status: status, NativeID: nativeID, RefusedLogin: op == wire.OpLogin && status == http.StatusUnauthorized,
	})
}

// conduct takes a call from authentication to its answer, and returns what was
// answered: 0 for nothing.
func (s *Server) conduct(w http.ResponseWriter, r *http.Request, t simadmin.Target, req request, badRequest error) (status int, nativeID string) {
	if t.Op != wire.OpLogin && !s.sessions.holds(bearer(r), time.Now()) {
		return refuse(w, unauthenticated()), ""
	}
	if badRequest != nil {
		return refuse(w, invalid(badRequest.Error())), ""
	}
	fault, verdict := s.side.Meet(r.Context(), t)
	switch verdict {
	case simadmin.Refused:
		return refuse(w, refusal(fault)), ""
	case simadmin.Dropped:
		return drop(w), ""
	case simadmin.Abandoned:
		return 0, ""
	case simadmin.Served:
	}
	p := fault.Plan(wire.CodeTaskFailed)
	response, err := req.run(s, p)
	nativeID = nativeIDOf(response)
	stream, isStream := response.(*console)
	if isStream && fault.LosesAnswer() {
		s.dropConsole(stream)
	}
	switch {
	case fault.LosesAnswer() && fault.Status == 0:
		return drop(w), nativeID
	case fault.LosesAnswer():
		return refuse(w, refusal(fault)), nativeID
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
	return simadmin.Answer(w, status, body)
}

func unauthenticated() *apiError {
	return &apiError{status: http.StatusUnauthorized, Code: wire.CodeUnauthenticated, Message: "log in first"}
}

func invalid(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, Code: wire.CodeInvalid, Message: message}
}
