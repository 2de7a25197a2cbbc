package proxmox_test

import (
	"bytes"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// setQuorate cuts the hosts that answer off from their cluster's majority, or joins
// them.
func (c *cluster) setQuorate(t *testing.T, quorate bool) {
	t.Helper()
	body := bytes.NewBufferString(`{"quorate":` + strconv.FormatBool(quorate) + `}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.URL+"/_admin/cluster", body)
	require.NoError(t, err)
	res, err := c.Client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// TestAHostWithoutQuorumProvesNoAbsence asks a host for a VM that it does not know:
// it would not know one that the rest of the cluster has made since.
func TestAHostWithoutQuorumProvesNoAbsence(t *testing.T) {
	t.Parallel()
	s := newStage(t, &sweepOp{before: []step{sweeps.Create}})
	s.setQuorate(t, false)
	_, err := s.tidy.FindVM(t.Context(), s.Req.VMID)
	require.NoError(t, err)
	unknown := models.NewID()
	_, err = s.tidy.FindVM(t.Context(), unknown)
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
	_, err = s.tidy.DeleteVM(t.Context(), providers.Target{VMID: unknown})
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
	_, err = s.tidy.Leftovers(t.Context(), unknown)
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
	s.setQuorate(t, true)
	_, err = s.tidy.FindVM(t.Context(), unknown)
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
}

// TestACloneWithoutANameIsNotGone polls the removal of a VM that another process
// makes meanwhile: its clone does not show yet whose it is.
func TestACloneWithoutANameIsNotGone(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{TaskDelay: 2 * time.Second})
	p, req := c.open(t), coreRequest()
	_, task, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.NotEmpty(t, task)
	_, err = c.open(t).PollTask(t.Context(), providers.TaskRef("work:"+req.VMID+":delete:"))
	require.Equal(t, providers.Aborted, providers.CodeOf(err))
}
