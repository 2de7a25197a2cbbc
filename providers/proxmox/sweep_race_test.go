package proxmox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// racing are the operations of which two processes are asked at once. Reboots are
// none of them: between the note of the token and the reboot itself, the hypervisor
// cannot tell that another process is about to do the same.
func racing() []string {
	return []string{
		"create with user data", "clone", "delete", "start", "stop", "suspend", "resume", "migration", "resize", "rebuild", "revert of a rebuild", "snapshot", "revert", "attach of a disk",
	}
}

// TestWhoeverElseIsAtIt lets another process do the same between any two requests
// of an operation: it is done once.
func TestWhoeverElseIsAtIt(t *testing.T) {
	t.Parallel()
	for _, o := range sweepOps() {
		if !slices.Contains(racing(), o.name) {
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
					first, second := s.process(t), s.process(t)
					var err error
					second.Meet(func(now int, _ string) {
						if now == at+1 {
							err = first.drive(t, o.ask(&s.Subject))
						}
					})
					require.NoError(t, second.drive(t, o.ask(&s.Subject)))
					require.NoError(t, err)
					o.wantDone(t, s)
					s.wantNothing(t)
				})
			}
		})
	}
}
