package simhv

import (
	"cmp"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// refusal is the answer of a fault that refuses the call.
func refusal(f *simadmin.Fault) *apiError {
	switch f.Kind {
	case simadmin.FaultThrottle:
		return &apiError{status: http.StatusTooManyRequests, Code: wire.CodeThrottled, Message: "too many requests", retryAfter: f.RetryAfter()}
	case simadmin.FaultLocked:
		return &apiError{status: http.StatusConflict, Code: wire.CodeLocked, Message: "the VM is locked"}
	case simadmin.FaultErrorBefore, simadmin.FaultErrorAfter, simadmin.FaultDropConnection, simadmin.FaultHang,
		simadmin.FaultSlowTask, simadmin.FaultTaskFails, simadmin.FaultForgetTask, simadmin.FaultPartial:
	}
	return &apiError{
		status: cmp.Or(f.Status, http.StatusServiceUnavailable), Code: cmp.Or(f.Code, wire.CodeUnavailable),
		Message: "an injected fault",
	}
}
