package proxmox_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
)

// TestWhateverDiesAtWhateverStep ends each operation at each of its requests that
// changes something, and lets it be gone on with or undone. There is one VM or
// none then, nothing of it is left behind, and others' are as they were.
func TestWhateverDiesAtWhateverStep(t *testing.T) {
	t.Parallel()
	for _, o := range sweepOps() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, &o)
			p := s.process(t)
			require.NoError(t, p.drive(t, o.ask(&s.Subject)))
			o.wantDone(t, s)
			writes := p.Written()
			require.NotEmpty(t, writes)
			s.wantNothing(t)
			for at := range writes {
				for _, how := range []sweeps.Ending{sweeps.AnswerLost, sweeps.DiesBefore, sweeps.DiesAfter} {
					t.Run(fmt.Sprintf("%s/%s/gone on", writes[at], how), func(t *testing.T) {
						s := newStage(t, &o)
						s.interrupt(t, &o, at+1, how)
						require.NoError(t, s.process(t).drive(t, o.ask(&s.Subject)))
						o.wantDone(t, s)
						s.wantNothing(t)
					})
					if o.undo == nil || how == sweeps.AnswerLost {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/undone", writes[at], how), func(t *testing.T) {
						s := newStage(t, &o)
						s.interrupt(t, &o, at+1, how)
						second := s.process(t)
						for _, undo := range o.undo {
							require.NoError(t, second.drive(t, undo(&s.Subject)))
						}
						o.wantUndone(t, s)
						s.wantNothing(t)
					})
				}
			}
		})
	}
}

// interrupt lets a process begin, which does not survive.
func (s *stage) interrupt(t *testing.T, o *sweepOp, at int, how sweeps.Ending) {
	t.Helper()
	p := s.process(t)
	p.End(at, how)
	err := p.drive(t, o.ask(&s.Subject))
	require.GreaterOrEqual(t, len(p.Written()), at, "it does not get that far: %v", err)
	if how == sweeps.AnswerLost {
		require.NoError(t, err)
		return
	}
	require.True(t, p.IsDead())
	require.NoError(t, p.Close())
}
