package vsphere

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestACloneTicketIsOurSession takes one, as a VMRC descriptor would hold, to a client
// that has no password: it may then do what our account may. So none is ever asked for.
func TestACloneTicketIsOurSession(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := running(t, p, req)
	info, err := p.Consoles(t.Context(), target(req))
	require.NoError(t, err)
	require.Equal(t, []models.ConsoleType{models.ConsoleVNC}, info.Types)
	require.Empty(t, info.Descriptor)
	stream, err := p.OpenConsole(t.Context(), target(req), models.ConsoleVNC)
	require.NoError(t, err)
	require.NoError(t, stream.Close())
	require.Zero(t, s.Count("AcquireCloneTicket"))

	var ticket string
	failure := p.call(t.Context(), "Test", func(ctx context.Context, c *vim25.Client) error {
		res, err := methods.AcquireCloneTicket(ctx, c, &types.AcquireCloneTicket{This: *c.ServiceContent.SessionManager})
		if err == nil {
			ticket = res.Returnval
		}
		return err
	})
	require.Nil(t, failure)
	raw := soap.NewClient(p.cfg.endpoint, false)
	raw.Transport = p.session.transport
	tenant, err := vim25.NewClient(t.Context(), raw)
	require.NoError(t, err)
	off := &types.PowerOffVM_Task{This: m.Ref}
	_, err = methods.PowerOffVM_Task(t.Context(), tenant, off)
	require.True(t, isEnded(err), "without the ticket: %v", err)
	_, err = methods.CloneSession(t.Context(), tenant, &types.CloneSession{This: *tenant.ServiceContent.SessionManager, CloneTicket: ticket})
	require.NoError(t, err)
	_, err = methods.PowerOffVM_Task(t.Context(), tenant, off)
	require.NoError(t, err, "with the ticket it is our account")
}
