package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// sse is one server-sent event.
type sse struct{ id, name, data string }

// open follows a job from after an event on.
func (c client) open(ctx context.Context, tb testing.TB, jobID, after string) *http.Response {
	tb.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/api/hcp/tenant/v1/jobs/"+jobID+"/events", nil)
	require.NoError(tb, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(tb, err)
	return res
}

// events reads a job's stream from after an event on, until it ends or enough
// events with an ID have come.
func (c client) events(tb testing.TB, jobID, after string, enough int) (out []sse, ended bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), jobLimit)
	defer cancel()
	res := c.open(ctx, tb, jobID, after)
	defer res.Body.Close() //nolint:errcheck // cut off, or read to its end
	if res.StatusCode == http.StatusNoContent {
		return nil, true
	}
	require.Equal(tb, http.StatusOK, res.StatusCode)
	var e sse
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.id != "" {
				out = append(out, e)
			}
			e = sse{}
			if enough > 0 && len(out) == enough {
				return out, false
			}
		}
	}
	require.NoError(tb, lines.Err())
	return out, true
}

func (e sse) word(tb testing.TB) string {
	tb.Helper()
	var v struct{ Name, State string }
	require.NoError(tb, json.Unmarshal([]byte(e.data), &v))
	return strings.TrimSpace(v.Name + " " + v.State)
}

// A create is followed over HTTP by one who stays and by one who is cut off
// again and again: both are told the same. A long poll is answered on a change.
func TestFollowACreate(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c := p.hypervisor(), p.tenant()
	second := simadmin.Duration(time.Second)
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"create_vm": second, "set_power": second}}))
	a := c.create(t, "followed")

	staying, cut := make(chan []sse, 1), make(chan []sse, 1)
	first, _ := c.events(t, a.JobID, "", 1)
	go func() {
		all, _ := c.events(t, a.JobID, first[0].id, 0)
		staying <- all
	}()
	go func() {
		var all []sse
		last, ended := first[0].id, false
		for !ended {
			var some []sse
			some, ended = c.events(t, a.JobID, last, 1+rand.IntN(2))
			if all = append(all, some...); len(some) > 0 {
				last = some[len(some)-1].id
			}
		}
		cut <- all
	}()
	changes, before := 0, c.job(t, a.JobID)
	for !before.over() {
		var now job
		began := time.Now()
		c.call(t, http.MethodGet, "/tenant/v1/jobs/"+a.JobID+"?wait=PT30S", nil, http.StatusOK, &now)
		require.Less(t, time.Since(began), 29*time.Second, "a change answers")
		require.NotEqual(t, before, now)
		before, changes = now, changes+1
	}
	require.Equal(t, "SUCCEEDED", before.State)
	require.GreaterOrEqual(t, changes, 2)

	all := <-staying
	require.Equal(t, all, <-cut)
	var told []string
	for _, e := range all {
		told = append(told, e.word(t))
	}
	last := []string{"CreateVM SUCCEEDED", "PowerOnVM RUNNING", "PowerOnVM SUCCEEDED", "SettleJob SUCCEEDED", "SUCCEEDED"}
	require.Equal(t, last, told[len(told)-len(last):])
	none, ended := c.events(t, a.JobID, all[len(all)-1].id, 0)
	require.True(t, ended)
	require.Empty(t, none, "who has seen the end is not sent it again")

	c.call(t, http.MethodGet, "/tenant/v1/jobs/"+a.JobID+"?wait=PT61S", nil, http.StatusBadRequest, nil)
}

// Streams do not hold a stop up, and are told to come again.
func TestAStopEndsStreams(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c := p.hypervisor(), p.tenant()
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"create_vm": simadmin.Duration(time.Minute)}}))
	a := c.create(t, "followed")
	eventually(t, jobLimit, func() error { return atWork(t, hv, "create_vm") })
	res := c.open(t.Context(), t, a.JobID, "")
	defer res.Body.Close() //nolint:errcheck // read to its end
	p.interrupt(t)
	all, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(all), "event: shutdown\ndata: {\"reason\":\"SHUTDOWN\"}\n\n"), "%s", all)
}

// A create that a lasting fault has failed is retried by an operator: the same
// job, its second run, one VM.
func TestAnOperatorRetriesACreate(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c, ops := p.hypervisor(), p.tenant(), p.ops()
	require.NoError(t, hv.SetFaults(t.Context(), simadmin.Fault{
		Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Count: simadmin.Always, Match: simadmin.FaultMatch{Name: "retried"},
	}))
	a := c.create(t, "retried")
	require.Equal(t, "FAILED", c.wait(t, a.JobID).State)
	requireVM(t, c, a.VMID, "ERROR", "NONE")
	require.Zero(t, reservations(t, p, a.VMID))
	require.NoError(t, hv.ClearFaults(t.Context()))

	r, err := c.try(t.Context(), http.MethodPost, "/tenant/v1/jobs/"+a.JobID+":retry", nil, nil)
	require.NoError(t, err)
	requireProblem(t, r, http.StatusNotFound, "UNKNOWN_ACTION")
	var again accepted
	ops.call(t, http.MethodPost, "/ops/v1/jobs/"+a.JobID+":retry", nil, http.StatusAccepted, &again)
	require.Equal(t, a.JobID, again.JobID)
	require.Equal(t, a.VMID, again.ResourceID)
	j := c.done(t, a.JobID)
	require.Equal(t, 2, j.Run)
	requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
	requireOnHypervisor(t, p, a.VMID)
	require.Equal(t, 1, reservations(t, p, a.VMID))
	r, err = ops.try(t.Context(), http.MethodPost, "/ops/v1/jobs/"+a.JobID+":retry", nil, nil)
	require.NoError(t, err)
	requireProblem(t, r, http.StatusConflict, "INVALID_STATE")
	requireAgreement(t, p)
}

// A cancel undoes a create at work; one of a job that undoes is refused; one
// that cannot undo is abandoned, and a delete cleans up.
func TestCancelAndAbandon(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c, ops := p.hypervisor(), p.tenant(), p.ops()
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"create_vm": simadmin.Duration(time.Minute)}}))
	a := c.create(t, "cancelled")
	eventually(t, jobLimit, func() error { return atWork(t, hv, "create_vm") })
	require.NoError(t, hv.SetFaults(t.Context(), simadmin.Fault{
		Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always, Match: simadmin.FaultMatch{VMID: a.VMID},
	}))
	abandon := map[string]any{"reason": "the host burnt"}
	r, err := ops.try(t.Context(), http.MethodPost, "/ops/v1/jobs/"+a.JobID+":abandon", abandon, nil)
	require.NoError(t, err)
	require.Contains(t, requireProblem(t, r, http.StatusConflict, "INVALID_STATE").Detail, "RUNNING")
	var got accepted
	c.call(t, http.MethodPost, "/tenant/v1/jobs/"+a.JobID+":cancel", nil, http.StatusAccepted, &got)
	require.Equal(t, accepted{ResourceID: a.VMID, JobID: a.JobID}, got)
	eventually(t, jobLimit, func() error {
		if j := c.job(t, a.JobID); j.State != "COMPENSATING" {
			return errNot(j.String())
		}
		return nil
	})
	r, err = c.try(t.Context(), http.MethodPost, "/tenant/v1/jobs/"+a.JobID+":cancel", nil, nil)
	require.NoError(t, err)
	require.Contains(t, requireProblem(t, r, http.StatusConflict, "JOB_NOT_CANCELLABLE").Detail, "COMPENSATING")

	ops.call(t, http.MethodPost, "/ops/v1/jobs/"+a.JobID+":abandon", abandon, http.StatusAccepted, nil)
	j := c.wait(t, a.JobID)
	require.Equal(t, "FAILED", j.State)
	require.Equal(t, "COMPENSATION_INCOMPLETE", j.Error.Code)
	require.Equal(t, "INCOMPLETE", j.Compensation)
	require.Equal(t, "ERROR", c.vm(t, a.VMID).Status)
	require.NoError(t, hv.ClearFaults(t.Context()))
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{}))
	c.done(t, c.delete(t, a.VMID).JobID)
	requireNotOnHypervisor(t, p, a.VMID)
	requireAgreement(t, p)
}

// errNot is what is so far instead of what is waited for.
type errNot string

func (e errNot) Error() string { return string(e) }
