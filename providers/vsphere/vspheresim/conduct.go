package vspheresim

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// conduct takes a call to its answer: it is written down, delayed, a fault happens to
// it, and it is served.
func (s *Server) conduct(w http.ResponseWriter, r *http.Request, t target, next http.Handler) {
	seq := s.log.begin(t, r.UserAgent())
	n := &noted{ResponseWriter: w}
	defer func() { s.log.end(seq, n.status, t.op == opLogin && n.status >= http.StatusBadRequest) }()
	if fault := s.refuses(t); fault != nil {
		answerFault(n, fault)
		return
	}
	if !s.pause(r.Context(), s.latency.call(t.op)) {
		return
	}
	fault, cleared := s.faults.take(t)
	if fault != nil && s.prevents(n, r, fault, cleared) {
		return
	}
	if beginsTask(t.Method) {
		defer s.plans.begin(s.planOf(t, fault))()
	}
	if fault == nil || fault.Kind != simhv.FaultErrorAfter {
		next.ServeHTTP(n, r)
		s.guests.served(t.Call, n.status)
		return
	}
	lost := &noted{ResponseWriter: &nowhere{header: http.Header{}}}
	next.ServeHTTP(lost, r)
	s.guests.served(t.Call, lost.status)
	if fault.Status == 0 && fault.Code == "" {
		panic(http.ErrAbortHandler) // the connection breaks without an answer
	}
	refuse(n, fault)
}

// refuses is the fault that a call is answered with while all credentials are refused.
func (s *Server) refuses(t target) types.BaseMethodFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.refusing || t.Method == "RetrieveServiceContent":
		return nil
	case t.op == opLogin:
		return &types.InvalidLogin{}
	}
	return &types.NotAuthenticated{NoPermission: types.NoPermission{PrivilegeId: "System.View"}}
}

// prevents lets the part of a fault happen that comes before the effect, and reports
// whether the call ends here.
func (s *Server) prevents(w http.ResponseWriter, r *http.Request, f *simhv.Fault, cleared <-chan struct{}) bool {
	switch f.Kind {
	case simhv.FaultHang:
		return !s.hang(r.Context(), time.Duration(f.Delay), cleared)
	case simhv.FaultThrottle, simhv.FaultLocked:
		refuse(w, f)
		return true
	case simhv.FaultSlowTask:
		return false
	case simhv.FaultErrorBefore, simhv.FaultDropConnection, simhv.FaultErrorAfter, simhv.FaultTaskFails, simhv.FaultForgetTask, simhv.FaultPartial:
	}
	if !s.pause(r.Context(), time.Duration(f.Delay)) {
		return true
	}
	if f.Kind == simhv.FaultDropConnection {
		panic(http.ErrAbortHandler)
	}
	if f.Kind == simhv.FaultErrorBefore {
		refuse(w, f)
		return true
	}
	return false
}

// refuse is the answer of a fault that refuses the call: one of the API where it has
// a type, and else that of a proxy before it.
func refuse(w http.ResponseWriter, f *simhv.Fault) {
	fault, typed := faultOf(f.Code)
	switch {
	case f.Kind == simhv.FaultLocked:
		answerFault(w, &types.TaskInProgress{})
	case f.Kind == simhv.FaultThrottle:
		delay := cmp.Or(time.Duration(f.Delay), time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(int((delay+time.Second-1)/time.Second)))
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	case typed:
		answerFault(w, fault)
	default:
		http.Error(w, "an injected fault", cmp.Or(f.Status, http.StatusServiceUnavailable))
	}
}

// answerFault answers a fault of the API, as the server does.
func answerFault(w http.ResponseWriter, fault types.BaseMethodFault) {
	kind := reflect.TypeOf(fault).Elem().Name()
	var out bytes.Buffer
	out.WriteString(xml.Header + `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>` +
		`<faultcode>ServerFaultCode</faultcode><faultstring>an injected fault</faultstring><detail>`)
	err := xml.NewEncoder(&out).EncodeElement(fault, xml.StartElement{
		Name: xml.Name{Local: kind + "Fault"},
		Attr: []xml.Attr{
			{Name: xml.Name{Local: "xmlns"}, Value: "urn:" + vim25.Namespace}, {Name: xml.Name{Local: "xsi:type"}, Value: kind},
		},
	})
	if err != nil {
		http.Error(w, "the fault cannot be written", http.StatusBadGateway)
		return
	}
	out.WriteString(`</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`)
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write(out.Bytes()) // a client that has left is no concern of ours
}

// hang waits until the fault is cleared or limit has passed, and reports whether
// somebody still waits for the answer.
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

// noted is an answer whose status is remembered.
type noted struct {
	http.ResponseWriter
	status int
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

func (n *noted) Write(b []byte) (int, error) {
	if n.status == 0 {
		n.status = http.StatusOK
	}
	return n.ResponseWriter.Write(b)
}
