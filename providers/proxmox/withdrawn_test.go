package proxmox_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestTheTemplateGoesWhileItIsCloned removes the template after the clone was begun:
// the VM cannot be made, and nothing of it stays.
func TestTheTemplateGoesWhileItIsCloned(t *testing.T) {
	t.Parallel()
	s := newStage(t, &sweepOp{})
	require.NoError(t, s.SetFaults(t.Context(), simadmin.Fault{
		Op: "POST /nodes/{node}/qemu/{vmid}/clone", Kind: simadmin.FaultSlowTask, Delay: simadmin.Duration(200 * time.Millisecond), Nth: 1, Count: 1,
	}))
	p := s.process(t)
	gone := false
	p.Meet(func(_ int, request string) {
		if !gone && strings.Contains(request, "/tasks/UPID") {
			gone = true
			s.call(t, http.MethodDelete, "/nodes/pve1/qemu/9000", nil)
		}
	})
	err := p.drive(t, sweeps.Create(&s.Subject))
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
	require.True(t, gone)
	s.idle(t)
	require.Empty(t, s.ours(t))
	left, leftErr := p.Leftovers(t.Context(), s.Req.VMID)
	require.NoError(t, leftErr)
	require.Empty(t, left)
	require.Equal(t, []string{"pve1 local-lvm:vm-100-disk-0"}, s.everything(t), "the other one's disk")
	s.foreign(t)
}

// TestTheNodeGoesWhileItIsMade loses the VM's node at each request by which it is
// made, and gets it back: the VM is finished, or removed.
func TestTheNodeGoesWhileItIsMade(t *testing.T) {
	t.Parallel()
	o := sweepOps()[1]
	s := newStage(t, &o)
	p := s.process(t)
	require.NoError(t, p.drive(t, o.ask(&s.Subject)))
	for at := range p.Requests() {
		end := []step{sweeps.Create, sweeps.Remove}[at%2]
		s := newStage(t, &o)
		up, down := "up", "down"
		p := s.process(t)
		p.Meet(func(now int, _ string) {
			if now == at+1 {
				require.NoError(t, s.SetNode(t.Context(), "pve1", simadmin.NodeChange{State: &down}))
			}
		})
		_, err := o.ask(&s.Subject)(t.Context(), p)
		require.True(t, err == nil || providers.CodeOf(err).Retryable(), "%d: %v", at+1, err)
		require.NoError(t, p.Close())
		require.NoError(t, s.SetNode(t.Context(), "pve1", simadmin.NodeChange{State: &up}))
		s.do(t, end)
		s.wantNothing(t)
	}
}
