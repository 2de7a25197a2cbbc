package proxmoxsim

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// injected is the answer of a fault that refuses the call.
func injected(c *call, f *simadmin.Fault) *apiFailure {
	switch f.Kind {
	case simadmin.FaultThrottle:
		return &apiFailure{status: http.StatusServiceUnavailable, text: "Service Unavailable", retryAfter: f.RetryAfter()}
	case simadmin.FaultLocked:
		return lockTimeout(lockedBy(c))
	case simadmin.FaultErrorBefore, simadmin.FaultErrorAfter, simadmin.FaultDropConnection, simadmin.FaultHang, simadmin.FaultSlowTask,
		simadmin.FaultTaskFails, simadmin.FaultForgetTask, simadmin.FaultPartial:
	}
	return &apiFailure{
		status: cmp.Or(f.Status, http.StatusServiceUnavailable), text: cmp.Or(f.Code, "an injected fault"),
	}
}

// failsAtOnce is what a fault that fails tasks makes of work that has none: a
// configuration is changed by the call itself.
func (c *call) failsAtOnce() error {
	if c.plan.Fail == "" || c.method != http.MethodPut || !strings.HasSuffix(c.template, "/config") {
		return nil
	}
	return failed(c.plan.Fail)
}

// lockedBy is the guest whose lock a call waits for: a clone's is the new one's.
func lockedBy(c *call) int {
	if vmid, err := strconv.Atoi(c.text("newid")); err == nil {
		return vmid
	}
	return c.vmid
}
