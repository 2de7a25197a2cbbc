package proxmox_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestWhateverIsForgotten has a cluster that forgets the next tasks as soon as they
// are begun, as a node does whose list is full or that was made anew: what was asked
// for is told by the VM. But for reboots and returns to a snapshot, which only tasks
// tell of.
func TestWhateverIsForgotten(t *testing.T) {
	t.Parallel()
	for _, o := range sweepOps() {
		if slices.Contains([]string{"reboot", "reset", "revert"}, o.name) {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, &o)
			require.NoError(t, s.SetFaults(t.Context(), simadmin.Fault{Op: simadmin.AnyOp, Kind: simadmin.FaultForgetTask, Nth: 1, Count: 6}))
			require.NoError(t, s.process(t).drive(t, o.ask(&s.Subject)))
			s.idle(t)
			o.wantDone(t, s)
			for _, undo := range o.undo {
				require.NoError(t, s.process(t).drive(t, undo(&s.Subject)))
			}
			s.idle(t)
			if o.undo != nil {
				o.wantUndone(t, s)
			}
			require.NoError(t, s.ClearFaults(t.Context()))
			s.wantNothing(t)
		})
	}
}
