package proxmox_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
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
			require.NoError(t, p.drive(t, o.ask(s)))
			o.wantDone(t, s)
			writes := p.written()
			require.NotEmpty(t, writes)
			s.wantNothing(t)
			for at := range writes {
				for _, how := range []ending{answerLost, diesBefore, diesAfter} {
					t.Run(fmt.Sprintf("%s/%s/gone on", writes[at], how), func(t *testing.T) {
						s := newStage(t, &o)
						s.interrupt(t, &o, at+1, how)
						require.NoError(t, s.process(t).drive(t, o.ask(s)))
						o.wantDone(t, s)
						s.wantNothing(t)
					})
					if o.undo == nil || how == answerLost {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/undone", writes[at], how), func(t *testing.T) {
						s := newStage(t, &o)
						s.interrupt(t, &o, at+1, how)
						second := s.process(t)
						for _, undo := range o.undo {
							require.NoError(t, second.drive(t, undo(s)))
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
func (s *stage) interrupt(t *testing.T, o *sweepOp, at int, how ending) {
	t.Helper()
	p := s.process(t)
	p.end(at, how)
	err := p.drive(t, o.ask(s))
	require.GreaterOrEqual(t, len(p.written()), at, "it does not get that far: %v", err)
	if how == answerLost {
		require.NoError(t, err)
		return
	}
	require.True(t, p.isDead())
	require.NoError(t, p.Close())
}
