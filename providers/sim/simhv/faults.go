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

// planOf is what a fault, or nil for none, makes of the call's task.
func planOf(f *simadmin.Fault) plan {
	if f == nil {
		return plan{}
	}
	switch f.Kind {
	case simadmin.FaultSlowTask:
		return plan{delay: f.SlowedBy()}
	case simadmin.FaultTaskFails:
		return plan{fail: cmp.Or(f.Code, wire.CodeTaskFailed)}
	case simadmin.FaultForgetTask:
		return plan{forget: true}
	case simadmin.FaultPartial:
		return plan{part: cmp.Or(f.Part, simadmin.PartDisk)}
	case simadmin.FaultErrorBefore, simadmin.FaultErrorAfter, simadmin.FaultDropConnection, simadmin.FaultHang,
		simadmin.FaultThrottle, simadmin.FaultLocked:
	}
	return plan{}
}
