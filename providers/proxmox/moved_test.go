package proxmox_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// goTo moves the stage's VM to a node, as an operator does.
func (s *stage) goTo(t *testing.T, node string) {
	t.Helper()
	_, err := s.PatchVM(t.Context(), s.ours(t)[0].NativeID, simhv.VMChange{Node: &node})
	require.NoError(t, err)
}

// once are the operations that are done once for a token. Each is done with a
// token of the test's, and counted by how often the VM shows it.
func once() map[string]struct {
	before []step
	ask    func(token string) step
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
		ask    func(token string) step
		count  func(*testing.T, *stage) int
	}{
		"reboot": {before: []step{doCreate, doStart}, count: tasks("qmreboot"), ask: func(token string) step {
			return func(s *stage) asking {
				return func(ctx context.Context, p *process) (providers.TaskRef, error) {
					return p.RebootVM(ctx, s.target, models.ModeGraceful, token)
				}
			}
		}},
		"revert": {before: []step{doCreate, doTakeSnapshot(false)}, count: tasks("qmrollback"), ask: func(token string) step {
			return func(s *stage) asking {
				return func(ctx context.Context, p *process) (providers.TaskRef, error) {
					return p.RevertSnapshot(ctx, s.target, s.snapshot, token)
				}
			}
		}},
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
			p.end(2, diesBefore)
			require.NoError(t, p.drive(t, o.ask("second")(s)))
			require.True(t, p.isDead())
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
