package proxmox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// goTo moves the stage's VM to a node, as an operator does.
func (s *stage) goTo(t *testing.T, node string) {
	t.Helper()
	_, err := s.PatchVM(t.Context(), s.ours(t)[0].NativeID, simadmin.VMChange{Node: &node})
	require.NoError(t, err)
}

// once are the operations that are done once for a token. Each is done with a
// token of the test's, and counted by how often the VM shows it.
func once() map[string]struct {
	before []step
	ask    func(token string) sweeps.Step
	count  func(*testing.T, *stage) int
} {
	tasks := func(typ string) func(*testing.T, *stage) int {
		return func(t *testing.T, s *stage) int {
			t.Helper()
			found := 0
			for _, node := range []string{"pve1", "pve2"} {
				var rows []struct{}
				s.read(t, "/nodes/"+node+"/tasks?source=all&typefilter="+typ, &rows)
				found += len(rows)
			}
			return found
		}
	}
	return map[string]struct {
		before []step
		ask    func(token string) sweeps.Step
		count  func(*testing.T, *stage) int
	}{
		"reboot": {before: []step{sweeps.Create, sweeps.Start}, count: tasks("qmreboot"), ask: func(token string) sweeps.Step {
			return sweeps.Reboot(models.ModeGraceful, token)
		}},
		"revert": {before: []step{sweeps.Create, sweeps.TakeSnapshot(false)}, count: tasks("qmrollback"), ask: sweeps.RevertSnapshot},
	}
}

// TestAMoveHidesNoWork moves the VM after a process noted the token and ended. The
// new node has the list of other, older tasks on the VM: they are not this one.
func TestAMoveHidesNoWork(t *testing.T) {
	t.Parallel()
	for name, o := range once() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, &sweepOp{before: o.before})
			s.goTo(t, "pve2")
			s.do(t, o.ask("first"))
			s.goTo(t, "pve1")
			p := s.process(t)
			p.End(2, sweeps.DiesBefore)
			require.NoError(t, p.drive(t, o.ask("second")(&s.Subject)))
			require.True(t, p.IsDead())
			require.Equal(t, 1, o.count(t, s))
			s.goTo(t, "pve2")
			s.do(t, o.ask("second"))
			require.Equal(t, 2, o.count(t, s))
		})
	}
}

// TestAMoveRepeatsNoWork moves the VM after it was done what was asked.
func TestAMoveRepeatsNoWork(t *testing.T) {
	t.Parallel()
	for name, o := range once() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, &sweepOp{before: o.before})
			s.do(t, o.ask("token"))
			s.goTo(t, "pve2")
			s.do(t, o.ask("token"))
			require.Equal(t, 1, o.count(t, s))
		})
	}
}
