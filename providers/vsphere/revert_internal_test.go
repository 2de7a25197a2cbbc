package vsphere

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestAReturnWhoseAnswerIsLostIsNotRepeated: what the snapshot notes, and the VM's
// tasks, tell that the VM has gone back. Another return is one of its own.
func TestAReturnWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]vspheresim.Options{"vCenter": {}, "ESXi": {ESXi: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, opts)
			req := newRequest()
			if opts.ESXi {
				req = newHostRequest()
			}
			made(t, p, req)
			insist(t, p, func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return snapshotOne(ctx, p, req) })
			revert := func(token string) func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
				return func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
					return p.RevertSnapshot(ctx, target(req), faultedSnapshot, token)
				}
			}
			s.Forget()
			s.LoseAnswer("RevertToSnapshot_Task")
			insist(t, p, revert("token-1"))
			require.Equal(t, 1, s.Count("RevertToSnapshot_Task"))
			require.Equal(t, "token-1", found(t, p, req.VMID).reverted())

			insist(t, p, revert("token-2"))
			require.Equal(t, 2, s.Count("RevertToSnapshot_Task"))
			require.Equal(t, "token-2", found(t, p, req.VMID).reverted())
			name, note := returning(found(t, p, req.VMID).snapshots()[0].Description)
			require.Equal(t, []string{"s", "token-2"}, []string{name, note.Token})
		})
	}
}

func TestTheNoteOfAReturnIsTheLastLine(t *testing.T) {
	t.Parallel()
	for description, want := range map[string]struct{ name, token string }{
		"before":                           {"before", ""},
		"":                                 {"", ""},
		"a" + returnLine + `{"token":"t"}`: {"a", "t"},
		"a" + returnLine + "broken":        {"a" + returnLine + "broken", ""},
		"a" + returnLine + `{"token":"x"}` + "\nb": {"a" + returnLine + `{"token":"x"}` + "\nb", ""},
	} {
		name, note := returning(description)
		require.Equal(t, want.name, name)
		require.Equal(t, want.token, note.Token)
	}
}
