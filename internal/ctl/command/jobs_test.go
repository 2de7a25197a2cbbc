package command_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// The exit code says how a job ended.
func TestExitCodesOfJobs(t *testing.T) {
	cancelled := ctltest.Job("CANCELLED")
	for name, c := range map[string]struct {
		job  map[string]any
		code int
		says string
	}{
		"succeeded":           {ctltest.Job("SUCCEEDED"), 0, ""},
		"failed, undone":      {ctltest.Failed("NO_CAPACITY", "no room", "COMPLETE"), 3, "error[NO_CAPACITY]: no room"},
		"failed at once":      {ctltest.Failed("IMAGE_NOT_READY", "no image", "NONE"), 3, "error[IMAGE_NOT_READY]: no image"},
		"failed, not undone":  {ctltest.Failed("COMPENSATION_INCOMPLETE", "a disk is left", "INCOMPLETE"), 5, "an operator has to look"},
		"outcome not known":   {ctltest.Failed("UNKNOWN_OUTCOME", "nobody knows", "NONE"), 5, "error[UNKNOWN_OUTCOME]"},
		"cancelled by others": {cancelled, 3, "ended CANCELLED"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.server.Handle("getJob", answering(c.job))
			got := r.run("vm", "start", ctltest.SampleID)
			require.Equal(t, c.code, got.code, got.errOut)
			require.Contains(t, got.errOut, c.says)
			if c.code == 0 {
				require.Contains(t, got.out, "started in 2.0s")
			} else {
				require.Empty(t, got.out, "nothing is said to have succeeded")
				require.Contains(t, got.errOut, "hcpctl job get "+ctltest.SampleJob)
			}
		})
	}
}

func TestCancelSucceedsOnlyWhenCancelled(t *testing.T) {
	r := newRig(t)
	r.server.Handle("getJob", answering(ctltest.Job("SUCCEEDED")))
	got := r.run("job", "cancel", ctltest.SampleJob, "--yes")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "succeeded before it could be cancelled")

	r.server.Handle("getJob", answering(ctltest.Job("CANCELLED")))
	require.Contains(t, r.ok("job", "cancel", ctltest.SampleJob, "--yes"), "cancelled")
}

// In a pipe there is a line for each transition, JSON on standard output and
// no escape anywhere.
func TestProgressInAPipe(t *testing.T) {
	r := newRig(t)
	waiting := ctltest.Step("CloneDisk", "Clone the disk", "WAITING", 2)
	waiting["error"] = map[string]any{"code": "PROVIDER_CONFLICT", "message": "storage busy"}
	r.server.Handle("getJob", answering(ctltest.Job("QUEUED")))
	r.server.Handle("streamJobEvents", func(w http.ResponseWriter, _ *http.Request) {
		end := ctltest.Job("SUCCEEDED", ctltest.Step("Reserve", "Reserve capacity", "SUCCEEDED", 1), ctltest.Step("CloneDisk", "Clone the disk", "SUCCEEDED", 2))
		ctltest.Events(w,
			ctltest.Event{Name: "job", ID: "1.1", Data: ctltest.Job("RUNNING")},
			ctltest.Event{Name: "step", ID: "1.2", Data: ctltest.Step("Reserve", "Reserve capacity", "SUCCEEDED", 1)},
			ctltest.Event{Name: "step", ID: "1.3", Data: ctltest.Step("CloneDisk", "Clone the disk", "RUNNING", 1)},
			ctltest.Event{Name: "step", ID: "1.4", Data: waiting},
			ctltest.Event{Name: "step", ID: "1.5", Data: waiting}, // nothing new
			ctltest.Event{Name: "step", ID: "1.6", Data: ctltest.Step("CloneDisk", "Clone the disk", "SUCCEEDED", 2)},
			ctltest.Event{Name: "job", ID: "1.7", Data: end})
	})
	got := r.run("vm", "create", "web-1", "--image", "tiny", "--flavor", "small", "-o", "json")
	require.Zero(t, got.code, got.errOut)
	require.Equal(t, []string{
		"job " + ctltest.SampleJob + " vm.create: QUEUED",
		"job " + ctltest.SampleJob + " vm.create: RUNNING",
		"Reserve capacity: SUCCEEDED (0.1s)",
		"Clone the disk: RUNNING",
		"Clone the disk: WAITING attempt 2: storage busy",
		"Clone the disk: SUCCEEDED attempt 2 (0.1s)",
		"job " + ctltest.SampleJob + " vm.create: SUCCEEDED",
	}, strings.Split(strings.TrimSpace(got.errOut), "\n"))
	require.NotContains(t, got.out+got.errOut, "\x1b")
	var result struct {
		VMID  string `json:"vm_id"`
		JobID string `json:"job_id"`
		Job   struct {
			State string `json:"state"`
		} `json:"job"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &result))
	require.Equal(t, ctltest.SampleID, result.VMID)
	require.Equal(t, "SUCCEEDED", result.Job.State)
}

func TestNoWait(t *testing.T) {
	r := newRig(t)
	require.Equal(t, ctltest.SampleJob+"\n", r.ok("vm", "start", ctltest.SampleID, "--no-wait"))
	require.Equal(t, "job/"+ctltest.SampleJob+"\n", r.ok("vm", "start", ctltest.SampleID, "--no-wait", "-o", "name"))
	var accepted map[string]string
	require.NoError(t, json.Unmarshal([]byte(r.ok("vm", "start", ctltest.SampleID, "--no-wait", "-o", "json")), &accepted))
	require.Equal(t, ctltest.SampleJob, accepted["job_id"])
	require.Zero(t, r.server.Seen()["getJob"])
}

// running answers a job that never ends, without events.
func running(r *rig) {
	r.server.Handle("getJob", answering(ctltest.Job("RUNNING")))
	r.server.Handle("streamJobEvents", func(w http.ResponseWriter, _ *http.Request) {
		ctltest.Problem(w, http.StatusNotFound, "NOT_FOUND", "no events here")
	})
}

func TestTimeoutLeavesTheJob(t *testing.T) {
	r := newRig(t)
	running(r)
	got := r.run("vm", "start", ctltest.SampleID, "--timeout", "1ms")
	require.Equal(t, 6, got.code, got.errOut)
	require.Contains(t, got.errOut, "the wait of 1ms is over; the job goes on")
	require.Contains(t, got.errOut, "hcpctl job watch "+ctltest.SampleJob)
}

func TestInterruptDetaches(t *testing.T) {
	r := newRig(t)
	running(r)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reads atomic.Int32
	r.server.Handle("getJob", func(w http.ResponseWriter, req *http.Request) {
		ctltest.Answer(w, http.StatusOK, ctltest.Job("RUNNING"))
		if reads.Add(1) == 3 {
			cancel()
		}
	})
	got := r.runContext(ctx, "--project", ctltest.SampleID, "vm", "start", ctltest.SampleID)
	require.Equal(t, 130, got.code, got.errOut)
	require.Contains(t, got.errOut, "Watch it again: hcpctl --project "+ctltest.SampleID+" job watch "+ctltest.SampleJob)
	require.Contains(t, got.errOut, "job cancel "+ctltest.SampleJob)
	require.Zero(t, r.server.Seen()["cancelJob"], "cancelling is explicit")
}

// A server without events and without long polls is polled.
func TestFallsBackToPolling(t *testing.T) {
	r := newRig(t)
	running(r)
	var reads atomic.Int32
	r.server.Handle("getJob", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Has("wait") {
			ctltest.Problem(w, http.StatusBadRequest, "INVALID_ARGUMENT", "wait is not known")
			return
		}
		state := "RUNNING"
		if reads.Add(1) > 3 {
			state = "SUCCEEDED"
		}
		ctltest.Answer(w, http.StatusOK, ctltest.Job(state))
	})
	require.Contains(t, r.ok("vm", "start", ctltest.SampleID), "started")
	require.Contains(t, r.slept, time.Second)
}

// A stream that is cut is taken up again behind the last event.
func TestStreamIsTakenUpAgain(t *testing.T) {
	r := newRig(t)
	r.server.Handle("getJob", answering(ctltest.Job("RUNNING")))
	var streams atomic.Int32
	r.server.Handle("streamJobEvents", func(w http.ResponseWriter, req *http.Request) {
		switch streams.Add(1) {
		case 1:
			ctltest.Events(w, ctltest.Event{Name: "step", ID: "1.7", Data: ctltest.Step("Reserve", "Reserve capacity", "SUCCEEDED", 1)})
		default:
			if req.Header.Get("Last-Event-ID") != "1.7" {
				t.Errorf("Last-Event-ID is %q", req.Header.Get("Last-Event-ID"))
			}
			ctltest.Events(w, ctltest.Event{Name: "job", ID: "1.9", Data: ctltest.Job("SUCCEEDED")})
		}
	})
	got := r.run("job", "watch", ctltest.SampleJob)
	require.Zero(t, got.code, got.errOut)
	require.EqualValues(t, 2, streams.Load())
	require.Equal(t, 1, strings.Count(got.errOut, "Reserve capacity"))
}

// While the server is away the wait goes on.
func TestWaitOutlivesTheServersAbsence(t *testing.T) {
	r := newRig(t)
	running(r)
	var reads atomic.Int32
	r.server.Handle("getJob", func(w http.ResponseWriter, req *http.Request) {
		switch n := reads.Add(1); {
		case n == 1:
			ctltest.Answer(w, http.StatusOK, ctltest.Job("RUNNING"))
		case n < 12:
			ctltest.Problem(w, http.StatusServiceUnavailable, "CONTROL_PLANE_UNAVAILABLE", "restarting")
		default:
			ctltest.Answer(w, http.StatusOK, ctltest.Job("SUCCEEDED"))
		}
	})
	got := r.run("job", "watch", ctltest.SampleJob)
	require.Zero(t, got.code, got.errOut)
	require.Contains(t, got.errOut, "the server is away, trying again in 2s")
}
