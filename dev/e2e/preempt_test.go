package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// A delete cancels the create that is at work, waits for its compensation, and
// then has its turn.
func TestDeletePreemptsCreate(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	hv, c := p.hypervisor(), p.tenant()
	require.NoError(t, hv.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"create_vm": simadmin.Duration(20 * time.Second)}}))
	a := c.create(t, "unwanted")
	eventually(t, jobLimit, func() error { return atWork(t, hv, "create_vm") })

	r, err := c.try(t.Context(), http.MethodPost, c.vms()+"/"+a.VMID+":start", nil, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, r.Status, "%s", r.Body)

	began := time.Now()
	gone := c.delete(t, a.VMID)
	require.Equal(t, gone.JobID, c.delete(t, a.VMID).JobID, "a second delete answers the same job")
	c.done(t, gone.JobID)
	t.Logf("deleted %v after the delete was asked for", time.Since(began))
	require.Equal(t, "CANCELLED", c.wait(t, a.JobID).State)
	require.Equal(t, "DELETED", c.vm(t, a.VMID).Status)
	requireNotOnHypervisor(t, p, a.VMID)
	require.Zero(t, reservations(t, p, a.VMID))
}
