package proxmox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// wander moves the stage's VM if it is there and nothing works on it.
func (s *stage) wander(t *testing.T) {
	t.Helper()
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	if len(s.ours(t)) > 0 && stats.TasksRunning == 0 {
		s.goTo(t, "pve2")
	}
}

// TestWhereverItGoes has an operator move the VM between any two requests of an
// operation: it is done where the VM is.
func TestWhereverItGoes(t *testing.T) {
	t.Parallel()
	for _, o := range sweepOps() {
		if !slices.Contains([]string{"resize", "snapshot", "attach of a disk"}, o.name) {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, &o)
			p := s.process(t)
			require.NoError(t, p.drive(t, o.ask(&s.Subject)))
			for at := range p.Requests() {
				t.Run(fmt.Sprint(at+1), func(t *testing.T) {
					s := newStage(t, &o)
					p := s.process(t)
					p.Meet(func(now int, _ string) {
						if now == at+1 {
							s.wander(t)
						}
					})
					require.NoError(t, p.drive(t, o.ask(&s.Subject)))
					o.wantDone(t, s)
					s.wantNothing(t)
				})
			}
		})
	}
}
