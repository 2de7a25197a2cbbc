package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// A hypervisor that goes on refusing: the operation fails with a code that
// says why, and leaves nothing behind.
func TestLastingFaults(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "--sim-url", startSim(t, "--node-vcpus", "1000"))
	hv := p.hypervisor()
	foreign := foreignVMs(t, hv)
	lasting := func(op string, kind simadmin.FaultKind, status int, code string) simadmin.Fault {
		return simadmin.Fault{Op: op, Kind: kind, Nth: 1, Count: simadmin.Always, Status: status, Code: code}
	}
	cases := []struct {
		name      string
		operation string
		fault     simadmin.Fault
		code      string // of the job's error
	}{
		{"create-full", "create", lasting("create_vm", simadmin.FaultErrorBefore, 507, "no_capacity"), "NO_CAPACITY"},
		{"create-denied", "create", lasting("create_vm", simadmin.FaultErrorBefore, 403, "denied"), "PROVIDER_AUTH_FAILED"},
		{"create-invalid", "create", lasting("create_vm", simadmin.FaultErrorBefore, 400, "invalid"), "PROVIDER_REJECTED"},
		{"create-task-fails", "create", lasting("create_vm", simadmin.FaultTaskFails, 0, ""), "UNKNOWN_OUTCOME"},
		{"create-never-starts", "create", lasting("set_power", simadmin.FaultTaskFails, 0, ""), "UNKNOWN_OUTCOME"},
		{"create-start-denied", "create", lasting("set_power", simadmin.FaultErrorBefore, 403, "denied"), "PROVIDER_AUTH_FAILED"},
		{"create-start-full", "create", lasting("set_power", simadmin.FaultErrorBefore, 507, "no_capacity"), "NO_CAPACITY"},
		{"start-full", "start", lasting("set_power", simadmin.FaultErrorBefore, 507, "no_capacity"), "NO_CAPACITY"},
		{"start-task-fails", "start", lasting("set_power", simadmin.FaultTaskFails, 0, ""), "UNKNOWN_OUTCOME"},
		{"stop-denied", "stop", lasting("set_power", simadmin.FaultErrorBefore, 403, "denied"), "PROVIDER_AUTH_FAILED"},
	}
	faulty := make([]faultCase, len(cases))
	faults := make([]simadmin.Fault, len(cases))
	for i, one := range cases {
		one.fault.Match.Name = one.name
		faults[i], faulty[i] = one.fault, faultCase{one.operation, one.fault, one.name}
	}
	vms := prepare(t, p.tenant(), faulty)
	require.NoError(t, hv.SetFaults(t.Context(), faults...))
	outcomes := make([]faultOutcome, len(cases))
	inParallel(len(cases), faultsAtOnce, func(i int) { outcomes[i] = operate(t, p, faulty[i], vms[i]) })
	report, err := hv.Faults(t.Context())
	require.NoError(t, err)
	for i, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			require.Positive(t, report[i].Fired, "the fault never happened")
			require.Equal(t, "FAILED", outcomes[i].job.State, "%v %s", outcomes[i].err, outcomes[i].job)
			require.Equal(t, one.code, outcomes[i].job.Error.Code, "%s", outcomes[i].job)
			outcomes[i].check(t, p, faulty[i])
		})
	}
	require.NoError(t, hv.ClearFaults(t.Context()))
	requireForeign(t, hv, foreign)
	requireAgreement(t, p)
}

// A delete that the hypervisor refuses keeps what it knows, and another one
// carries on.
func TestRefusedDeleteIsCarriedOn(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c := p.hypervisor(), p.tenant()
	a := c.create(t, "sticky")
	c.done(t, a.JobID)
	require.NoError(t, hv.SetFaults(t.Context(), simadmin.Fault{
		Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Nth: 1, Count: simadmin.Always,
	}))
	j := c.wait(t, c.delete(t, a.VMID).JobID)
	require.Equal(t, "FAILED", j.State)
	require.Equal(t, "PROVIDER_AUTH_FAILED", j.Error.Code)
	v := c.vm(t, a.VMID)
	require.Equal(t, "ERROR", v.Status)
	require.Empty(t, v.CurrentJobID)
	require.Equal(t, 1, reservations(t, p, a.VMID), "it is still there")
	requireOnHypervisor(t, p, a.VMID)

	require.NoError(t, hv.ClearFaults(t.Context()))
	c.done(t, c.delete(t, a.VMID).JobID)
	requireNotOnHypervisor(t, p, a.VMID)
	require.Zero(t, reservations(t, p, a.VMID))
}

// A hypervisor that is down changes no VM's status: its jobs wait, say so, and
// go on when it is back.
func TestJobsWaitForTheHypervisor(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c := p.hypervisor(), p.tenant()
	a := c.create(t, "patient")
	c.done(t, a.JobID)
	require.NoError(t, hv.SetFaults(t.Context(), simadmin.Fault{
		Op: simadmin.AnyOp, Kind: simadmin.FaultDropConnection, Nth: 1, Count: simadmin.Always,
	}))
	stop := c.verb(t, a.VMID, "stop", map[string]any{"mode": "force"})
	eventually(t, jobLimit, func() error {
		if j := c.job(t, stop.JobID); j.State != "WAITING" || j.Waiting == nil || j.Waiting.Reason != "PROVIDER_UNAVAILABLE" {
			return fmt.Errorf("not waiting: %s", j)
		}
		return nil
	})
	require.Equal(t, "ACTIVE", c.vm(t, a.VMID).Status)
	require.NoError(t, hv.ClearFaults(t.Context()))
	j, err := c.tryWait(t.Context(), stop.JobID, 2*time.Minute) // the circuit breaker has opened
	require.NoError(t, err)
	require.Equal(t, "SUCCEEDED", j.State, "%s", j)
	require.Equal(t, "stopped", requireOnHypervisor(t, p, a.VMID).Power)
}
