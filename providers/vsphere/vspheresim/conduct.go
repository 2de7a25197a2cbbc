package vspheresim

import (
	"bytes"
	"cmp"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// conduct takes a call to its answer: it is written down, delayed, a fault happens to
// it, and it is served.
func (s *Server) conduct(w http.ResponseWriter, r *http.Request, t simadmin.Target, next http.Handler) {
	seq := s.side.Begin(t, r.UserAgent())
	n := &noted{ResponseWriter: w}
	defer func() {
		s.side.End(seq, simadmin.Outcome{Status: n.status, RefusedLogin: t.Op == opLogin && n.status >= http.StatusBadRequest})
	}()
	if fault := s.refuses(t); fault != nil {
		answerFault(n, fault)
		return
	}
	fault, verdict := s.side.Meet(r.Context(), t)
	switch verdict {
	case simadmin.Refused:
		refuse(n, fault)
		return
	case simadmin.Dropped:
		panic(http.ErrAbortHandler)
	case simadmin.Abandoned:
		return
	case simadmin.Served:
	}
	call := callOf(t)
	if beginsTask(call.Method) {
		defer s.plans.begin(s.planOf(t, fault))()
	}
	if !fault.LosesAnswer() {
		next.ServeHTTP(n, r)
		s.guests.served(call, n.status)
		return
	}
	lost := &noted{ResponseWriter: &nowhere{header: http.Header{}}}
	next.ServeHTTP(lost, r)
	s.guests.served(call, lost.status)
	if fault.Status == 0 && fault.Code == "" {
		panic(http.ErrAbortHandler) // the connection breaks without an answer
	}
	refuse(n, fault)
}

// refuses is the fault that a call is answered with while all credentials are refused.
func (s *Server) refuses(t simadmin.Target) types.BaseMethodFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.refusing || t.Call == "RetrieveServiceContent":
		return nil
	case t.Op == opLogin:
		return &types.InvalidLogin{}
	}
	return &types.NotAuthenticated{NoPermission: types.NoPermission{PrivilegeId: "System.View"}}
}

// refuse is the answer of a fault that refuses the call: one of the API where it has
// a type, and else that of a proxy before it.
func refuse(w http.ResponseWriter, f *simadmin.Fault) {
	fault, typed := faultOf(f.Code)
	switch {
	case f.Kind == simadmin.FaultLocked:
		answerFault(w, &types.TaskInProgress{})
	case f.Kind == simadmin.FaultThrottle:
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter()/time.Second)))
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
