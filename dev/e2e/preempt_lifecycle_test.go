package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// reaches waits until a job is at a step on the hypervisor.
func (c client) reaches(tb testing.TB, jobID, step string) {
	tb.Helper()
	eventually(tb, jobLimit, func() error {
		j := c.job(tb, jobID)
		for _, s := range j.Steps {
			if s.Name == step && s.State == "RUNNING" {
				return nil
			}
		}
		return fmt.Errorf("job is not at %s: %s", step, j)
	})
}

// A reboot that hangs is ended by a forced stop: the VM is off, and the reboot
// was cancelled.
func TestForcedStopEndsAHungReboot(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c := p.hypervisor(), p.tenant()
	a := c.create(t, "hung")
	c.done(t, a.JobID)
	require.NoError(t, hv.SetFaults(t.Context(), simadmin.Fault{Op: "reboot", Kind: simadmin.FaultHang, Count: simadmin.Always}))
	reboot := c.verb(t, a.VMID, "reboot", map[string]any{"mode": "force"})
	c.reaches(t, reboot.JobID, "RestartVM")
	eventually(t, jobLimit, func() error {
		report, err := hv.Faults(t.Context())
		require.NoError(t, err)
		if report[0].Fired == 0 {
			return errors.New("the reboot was not asked for yet")
		}
		return nil
	})

	r, err := c.try(t.Context(), http.MethodPost, c.vms()+"/"+a.VMID+":stop", map[string]any{"mode": "graceful"}, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, r.Status, "only a forced one: %s", r.Body)
	began := time.Now()
	c.done(t, c.verb(t, a.VMID, "stop", map[string]any{"mode": "force"}).JobID)
	t.Logf("stopped %v after it was asked for", time.Since(began))
	require.Equal(t, "CANCELLED", c.wait(t, reboot.JobID).State)
	require.Equal(t, "STOPPED", c.vm(t, a.VMID).PowerState)
	require.Equal(t, "stopped", requireOnHypervisor(t, p, a.VMID).Power)
}

// Each operation makes room for a forced stop and for a delete, and undoes what it
// did before.
func TestOperationsMakeRoom(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c := p.hypervisor(), p.tenant()
	slow := map[string]simadmin.Duration{}
	for _, op := range []string{"suspend_vm", "resume_vm", "reboot", "resize_vm", "rebuild_vm"} {
		slow[op] = simadmin.Duration(4 * time.Second)
	}
	for _, o := range []struct {
		verb, step, before string
		body               any
	}{
		{"suspend", "SuspendVM", "", nil},
		{"resume", "ResumeVM", "suspend", nil},
		{"reset", "RestartVM", "", nil},
		{"resize", "ResizeVM", "stop", map[string]any{"disk_gib": 4}},
		{"rebuild", "RebuildVM", "stop", map[string]any{"image_id": "tiny"}},
	} {
		for _, by := range []string{"stop", "delete"} {
			t.Run(o.verb+" by "+by, func(t *testing.T) {
				require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{}))
				a := c.create(t, "room-"+o.verb+"-"+by)
				c.done(t, a.JobID)
				if o.before != "" {
					c.done(t, c.verb(t, a.VMID, o.before, map[string]any{}).JobID)
				}
				require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{Task: slow}))
				work := c.verb(t, a.VMID, o.verb, o.body)
				c.reaches(t, work.JobID, o.step)
				if by == "delete" {
					c.done(t, c.delete(t, a.VMID).JobID)
					require.Equal(t, "CANCELLED", c.wait(t, work.JobID).State)
					requireNotOnHypervisor(t, p, a.VMID)
					require.Zero(t, reservations(t, p, a.VMID))
					return
				}
				c.done(t, c.verb(t, a.VMID, "stop", map[string]any{"mode": "force"}).JobID)
				ended := c.wait(t, work.JobID)
				require.Equal(t, "CANCELLED", ended.State)
				require.Contains(t, []string{"NONE", "COMPLETE"}, ended.Compensation)
				require.Equal(t, "STOPPED", c.vm(t, a.VMID).PowerState)
				there := requireOnHypervisor(t, p, a.VMID)
				require.Equal(t, "stopped", there.Power)
				require.Empty(t, there.AsideToken, "nothing of a rebuild is left")
				require.Equal(t, "tiny", there.Image)
			})
		}
	}
}

// A delete on a dead provider waits. An operator's forced delete abandons it, and
// says what may be left.
func TestForceDeleteOnADeadProvider(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c, ops := p.hypervisor(), p.tenant(), p.ops()
	a := c.create(t, "lost")
	c.done(t, a.JobID)
	require.NoError(t, hv.SetFaults(t.Context(), simadmin.Fault{Op: simadmin.AnyOp, Kind: simadmin.FaultDropConnection, Count: simadmin.Always}))
	del := c.delete(t, a.VMID)
	eventually(t, jobLimit, func() error {
		if j := c.job(t, del.JobID); j.State != "WAITING" {
			return fmt.Errorf("the delete does not wait: %s", j)
		}
		return nil
	})
	var force accepted
	ops.call(t, http.MethodPost, "/ops/v1/vms/"+a.VMID+":force-delete", map[string]any{"reason": "the host burnt down"}, http.StatusAccepted, &force)
	began := time.Now()
	eventually(t, 3*time.Minute, func() error {
		if j := ops.job(t, force.JobID); j.State != "SUCCEEDED" {
			return fmt.Errorf("the forced delete is not over: %s", j)
		}
		return nil
	})
	t.Logf("given up %v after it was asked for", time.Since(began))
	require.Equal(t, "FAILED", c.wait(t, del.JobID).State)
	require.Equal(t, "DELETED", c.vm(t, a.VMID).Status)
	require.Zero(t, reservations(t, p, a.VMID))
	var seen struct {
		Reason    string `json:"reason"`
		Leftovers []struct {
			Type string `json:"type"`
			Ref  string `json:"ref"`
		} `json:"leftovers"`
	}
	ops.call(t, http.MethodGet, "/ops/v1/jobs/"+force.JobID, nil, http.StatusOK, &seen)
	require.Equal(t, "the host burnt down", seen.Reason)
	require.NoError(t, hv.ClearFaults(t.Context()))
	there := requireOnHypervisor(t, p, a.VMID)
	require.Len(t, seen.Leftovers, 1)
	require.Equal(t, "vm", seen.Leftovers[0].Type)
	require.Equal(t, there.NativeID, seen.Leftovers[0].Ref, "it is still there, and named")
}
