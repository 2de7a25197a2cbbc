package vsphere

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// peers are the two kinds of hypervisor, with a request for each.
func peers() map[string]struct {
	opts    vspheresim.Options
	request func() providers.CreateVMRequest
} {
	type peer = struct {
		opts    vspheresim.Options
		request func() providers.CreateVMRequest
	}
	return map[string]peer{
		"vCenter": {vspheresim.Options{}, newRequest},
		"ESXi":    {vspheresim.Options{ESXi: true}, newHostRequest},
	}
}

// trigger does something once, at the n-th call from when it is armed.
type trigger struct {
	mu   sync.Mutex
	left int
	do   func()
}

func (g *trigger) arm(n int, do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.do = n, do
}

// armed reports whether it has not been pulled yet.
func (g *trigger) armed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.do != nil
}

func (g *trigger) pull(vspheresim.Call) {
	g.mu.Lock()
	do := g.do
	if g.left--; g.left > 0 || do == nil {
		g.mu.Unlock()
		return
	}
	g.do = nil
	g.mu.Unlock()
	do()
}

// stride is how many calls lie between two that are hit: each hit takes a whole life
// of a VM.
const stride = 13

// life is a VM's from its making to its end, asked for again and again as a workflow
// does until each step is done. reader sees nothing of what befalls the others.
func life(t *testing.T, reader *Provider, open func() *Provider, req providers.CreateVMRequest) {
	t.Helper()
	target := providers.Target{VMID: req.VMID}
	step := func(what string, do func(p *Provider) (providers.TaskRef, error)) {
		t.Helper()
		eventually(t, what+" is done", func() bool {
			p := open()
			task, err := do(p)
			if err == nil {
				err = result(t, p, task)
			}
			if errors.Is(err, errForgotten) {
				return false
			}
			if err != nil && !providers.CodeOf(err).Retryable() {
				t.Fatalf("%s: %v", what, err)
			}
			return err == nil
		})
	}
	step("CreateVM", func(p *Provider) (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	wantAsAsked(t, found(t, reader, req.VMID), req)
	step("StartVM", func(p *Provider) (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	require.Equal(t, models.PowerRunning, found(t, reader, req.VMID).power())
	step("RebootVM", func(p *Provider) (providers.TaskRef, error) {
		return p.RebootVM(t.Context(), target, models.ModeForce, "token")
	})
	step("StopVM", func(p *Provider) (providers.TaskRef, error) {
		return p.StopVM(t.Context(), target, models.ModeGraceful)
	})
	require.Equal(t, models.PowerStopped, found(t, reader, req.VMID).power())
	step("DeleteVM", func(p *Provider) (providers.TaskRef, error) { return p.DeleteVM(t.Context(), target) })
	gone(t, reader, req.VMID)
}

var errForgotten = errors.New("the task is forgotten")

// result is outcome for a provider that may be closed on the way. Work that is
// forgotten is asked for again.
func result(t *testing.T, p *Provider, task providers.TaskRef) error {
	t.Helper()
	var end error
	eventually(t, "the task is done", func() bool {
		st, err := p.PollTask(t.Context(), task)
		switch {
		case providers.CodeOf(err) == providers.NotFound:
			end = errForgotten
			return true
		case err != nil:
			end = err
			return true
		}
		end = st.Err
		return st.Done
	})
	return end
}

// TestSessionsEndAnywhere ends all sessions before each call of a VM's life.
func TestSessionsEndAnywhere(t *testing.T) {
	t.Parallel()
	for name, peer := range peers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, peer.opts)
			var g trigger
			s.Before(g.pull)
			ended := true
			for n := 1; ended; n += stride {
				g.arm(n, func() {
					if err := s.EndSessions(t.Context()); err != nil {
						t.Error(err)
					}
				})
				life(t, p, func() *Provider { return p }, peer.request())
				ended = !g.armed()
			}
			require.Zero(t, machines(t, s))
		})
	}
}

// TestDeathAnywhere ends the provider, as the death of its process does, before each
// call of a VM's life. Another one goes on.
func TestDeathAnywhere(t *testing.T) {
	t.Parallel()
	for name, peer := range peers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPeer(t, peer.opts)
			var g trigger
			s.Before(g.pull)
			died := true
			for n := 1; died; n += stride {
				var closing sync.WaitGroup
				first, next := openWith(t, testConfig(s, nil)), openWith(t, testConfig(s, nil))
				g.arm(n, func() { closing.Go(func() { _ = first.Close() }) })
				life(t, next, func() *Provider {
					if first.session.transport.closed.Load() || !g.armed() {
						return next
					}
					return first
				}, peer.request())
				closing.Wait()
				died = !g.armed()
				require.NoError(t, first.Close())
				require.NoError(t, next.Close())
			}
			require.Zero(t, machines(t, s))
		})
	}
}

// TestAnswersAreLostAnywhere loses one answer of each method of a VM's life.
func TestAnswersAreLostAnywhere(t *testing.T) {
	t.Parallel()
	for name, peer := range peers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, peer.opts)
			life(t, p, func() *Provider { return p }, peer.request())
			var seen []string
			for _, c := range s.Calls() {
				if !slices.Contains(seen, c.Method) && c.Method != "Login" && c.Method != "RetrieveServiceContent" {
					seen = append(seen, c.Method)
				}
			}
			require.GreaterOrEqual(t, len(seen), 8)
			for _, method := range seen {
				s.LoseAnswer(method)
				life(t, p, func() *Provider { return p }, peer.request())
			}
			require.Zero(t, machines(t, s))
		})
	}
}
