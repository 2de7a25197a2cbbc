package vsphere

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestCallsShareAConnection makes calls with large answers one after the other: a
// handshake for each would be most of what they cost.
func TestCallsShareAConnection(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{Machines: 20})
	var dialled atomic.Int32
	connections, ok := p.session.transport.http.(*http.Transport)
	require.True(t, ok)
	dial := connections.DialContext
	connections.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return dial(ctx, network, address)
	}
	for range 10 {
		_, err := p.ListImages(t.Context())
		require.NoError(t, err)
	}
	require.Greater(t, len(s.Calls()), 30)
	require.LessOrEqual(t, dialled.Load(), int32(2))
}
