package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// faultsAtOnce bounds the operations under faults at one time. With more, so
// many calls would fail in a row that the provider's circuit breaker opens,
// which is another matter.
const faultsAtOnce = 4

// A faultCase is one operation on one VM of its own, during which one call of
// the hypervisor goes wrong.
type faultCase struct {
	operation string // "create", "start", "stop", "delete"
	fault     simadmin.Fault
	as        string // the VM's name; empty for one that tells the rest
}

func (c faultCase) name() string {
	if c.as != "" {
		return c.as
	}
	op := strings.ReplaceAll(c.fault.Op, "_", "")
	kind := strings.ReplaceAll(string(c.fault.Kind), "_", "-")
	return fmt.Sprintf("%s-%s-%s-%d", c.operation, op, kind, c.fault.Nth)
}

// calls are what the hypervisor is asked during each operation, about a VM
// that it knows by name by then.
func calls() map[string][]string {
	return map[string][]string{
		"create": {"create_vm", "set_power", "find_vm", "poll_task"},
		"start":  {"set_power", "find_vm", "poll_task"},
		"stop":   {"set_power", "find_vm", "poll_task"},
		"delete": {"set_power", "delete_vm", "find_vm", "poll_task"},
	}
}

// kinds are the faults that can happen to a call.
func kinds(op string) []simadmin.FaultKind {
	all := []simadmin.FaultKind{
		simadmin.FaultErrorBefore, simadmin.FaultErrorAfter, simadmin.FaultDropConnection, simadmin.FaultHang,
		simadmin.FaultThrottle, simadmin.FaultLocked,
	}
	switch op {
	case "create_vm":
		return append(all, simadmin.FaultSlowTask, simadmin.FaultTaskFails, simadmin.FaultForgetTask, simadmin.FaultPartial)
	case "set_power", "delete_vm":
		return append(all, simadmin.FaultSlowTask, simadmin.FaultTaskFails, simadmin.FaultForgetTask)
	case "poll_task":
		return append(all, simadmin.FaultForgetTask)
	}
	return all
}

func faultCases() []faultCase {
	var out []faultCase
	for _, operation := range []string{"create", "start", "stop", "delete"} {
		for _, op := range calls()[operation] {
			for _, kind := range kinds(op) {
				c := faultCase{operation: operation, fault: simadmin.Fault{Op: op, Kind: kind, Nth: 1, Count: 1}}
				switch kind { //nolint:exhaustive // the others have no delay
				case simadmin.FaultHang, simadmin.FaultSlowTask:
					c.fault.Delay = simadmin.Duration(time.Second)
				}
				c.fault.Match.Name = c.name()
				out = append(out, c)
			}
		}
	}
	return out
}

// Whatever goes wrong once, at whichever call, the operation reaches its end:
// done, or failed with nothing left behind.
func TestEveryFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "--sim-url", startSim(t, "--node-vcpus", "1000"))
	hv, c := p.hypervisor(), p.tenant()
	// Tasks take a moment, so that each operation polls for them.
	task := simadmin.Duration(20 * time.Millisecond)
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{
		Task: map[string]simadmin.Duration{"create_vm": task, "set_power": task, "delete_vm": task},
	}))
	foreign := foreignVMs(t, hv)
	cases := faultCases()

	vms := prepare(t, c, cases)
	faults := make([]simadmin.Fault, len(cases))
	for i, one := range cases {
		faults[i] = one.fault
	}
	require.NoError(t, hv.SetFaults(t.Context(), faults...))
	outcomes := make([]faultOutcome, len(cases))
	inParallel(len(cases), faultsAtOnce, func(i int) { outcomes[i] = operate(t, p, cases[i], vms[i]) })

	report, err := hv.Faults(t.Context())
	require.NoError(t, err)
	require.Len(t, report, len(cases))
	failed := 0
	for i, one := range cases {
		t.Run(one.name(), func(t *testing.T) {
			require.Equal(t, 1, report[i].Fired, "the fault never happened: %+v", report[i])
			outcomes[i].check(t, p, one)
		})
		if outcomes[i].job.State != "SUCCEEDED" {
			failed++
		}
	}
	t.Logf("%d operations under faults, %d of them failed cleanly", len(cases), failed)
	require.NoError(t, hv.ClearFaults(t.Context()))
	requireForeign(t, hv, foreign)
	requireAgreement(t, p)
}

// prepare makes a VM for each case that needs one: running for stop and
// delete, stopped for start.
func prepare(t *testing.T, c client, cases []faultCase) []string {
	t.Helper()
	ids := make([]string, len(cases))
	inParallel(len(cases), 16, func(i int) {
		if cases[i].operation == "create" {
			return
		}
		body := createBody(cases[i].name())
		body["start"] = cases[i].operation != "start"
		a, err := c.tryCreate(t.Context(), body, "")
		if err != nil {
			t.Error(err)
			return
		}
		ids[i] = a.VMID
		if j, err := c.tryWait(t.Context(), a.JobID, jobLimit); err != nil || j.State != "SUCCEEDED" {
			t.Errorf("prepare %s: %v, %s", cases[i].name(), err, j)
		}
	})
	require.False(t, t.Failed())
	return ids
}

// faultOutcome is how an operation under a fault ended.
type faultOutcome struct {
	vmID string
	job  job
	err  error
}

func operate(t *testing.T, p *instance, one faultCase, vmID string) faultOutcome {
	t.Helper()
	c := p.tenant()
	var a accepted
	var err error
	switch one.operation {
	case "create":
		a, err = c.tryCreate(t.Context(), createBody(one.name()), "")
		vmID = a.VMID
	case "delete":
		a, err = c.tryDelete(t.Context(), vmID, "")
	default:
		a, err = c.tryVerb(t.Context(), vmID, one.operation, map[string]any{"mode": "force"})
	}
	if err != nil {
		return faultOutcome{vmID: vmID, err: err}
	}
	j, err := c.tryWait(t.Context(), a.JobID, 2*time.Minute)
	return faultOutcome{vmID: vmID, job: j, err: err}
}

// check holds the record against the hypervisor.
func (o faultOutcome) check(t *testing.T, p *instance, one faultCase) {
	t.Helper()
	require.NoError(t, o.err)
	v, on := p.tenant().vm(t, o.vmID), marked(t, p.hypervisor(), o.vmID)
	require.Empty(t, v.CurrentJobID, "the lock is given back")
	ended := one.operation + " " + o.job.State
	switch ended {
	case "create SUCCEEDED", "start SUCCEEDED":
		require.Equal(t, "ACTIVE RUNNING", v.Status+" "+v.PowerState)
		require.Len(t, on, 1)
		require.Equal(t, "running", on[0].Power)
		require.Len(t, on[0].Disks, 1)
	case "stop SUCCEEDED":
		require.Equal(t, "ACTIVE STOPPED", v.Status+" "+v.PowerState)
		require.Len(t, on, 1)
		require.Equal(t, "stopped", on[0].Power)
	case "delete SUCCEEDED":
		require.Equal(t, "DELETED", v.Status)
		require.Empty(t, on)
	case "create FAILED":
		require.Equal(t, "ERROR NONE", v.Status+" "+v.PowerState)
		require.Empty(t, on, "nothing is left on the hypervisor")
		require.Equal(t, "COMPLETE", o.job.Compensation, "%s", o.job)
	case "start FAILED", "stop FAILED":
		require.Equal(t, "ACTIVE", v.Status)
		require.Len(t, on, 1)
		require.Contains(t, []string{strings.ToUpper(on[0].Power), "UNKNOWN"}, v.PowerState)
	default:
		t.Fatalf("%s: %s", ended, o.job)
	}
	held := 1
	if v.Status == "DELETED" || ended == "create FAILED" {
		held = 0
	}
	require.Equal(t, held, reservations(t, p, o.vmID), "reservations")
}

// foreignVMs are other people's VMs on the hypervisor: one has the name of a
// VM of ours, one bears the mark of another installation.
func foreignVMs(tb testing.TB, hv simadmin.Admin) []simadmin.VM {
	tb.Helper()
	for _, v := range []simadmin.NewVM{
		{Name: "somebody-elses", Node: "node-1", VCPUs: 1, MemoryMiB: 256, Power: "running"},
		{Name: faultCases()[0].name(), Node: "node-2", VCPUs: 1, MemoryMiB: 256, Power: "stopped"},
		{
			Name: "other-installation", Node: "node-3", VCPUs: 1, MemoryMiB: 256, Power: "running",
			Mark: &simadmin.Mark{VMID: "0190aaaa-0000-7000-8000-000000000001", InstallationID: "another"},
		},
	} {
		_, err := hv.CreateVM(tb.Context(), v)
		require.NoError(tb, err)
	}
	all, err := hv.VMs(tb.Context())
	require.NoError(tb, err)
	return all
}

// requireForeign demands that nobody has touched them.
func requireForeign(tb testing.TB, hv simadmin.Admin, before []simadmin.VM) {
	tb.Helper()
	all, err := hv.VMs(tb.Context())
	require.NoError(tb, err)
	for _, want := range before {
		var got *simadmin.VM
		for i := range all {
			if all[i].NativeID == want.NativeID {
				got = &all[i]
			}
		}
		require.NotNil(tb, got, "foreign VM %s is gone", want.Name)
		wantJSON, err := json.Marshal(want)
		require.NoError(tb, err)
		gotJSON, err := json.Marshal(got)
		require.NoError(tb, err)
		require.JSONEq(tb, string(wantJSON), string(gotJSON))
	}
}

// inParallel runs f for 0 to n-1 on so many goroutines.
func inParallel(n, atOnce int, f func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
