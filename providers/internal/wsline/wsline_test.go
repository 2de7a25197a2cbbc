package wsline_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/internal/wsline"
)

// dial opens a line to a server that sends back what it is sent.
func dial(ctx context.Context, t *testing.T) *wsline.Line {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		far := wsline.New(r.Context(), conn)
		_, _ = io.Copy(far, far)
		_ = far.Close()
	}))
	t.Cleanup(srv.Close)
	conn, res, err := websocket.Dial(t.Context(), srv.URL, nil)
	require.NoError(t, err)
	if res.Body != nil {
		require.NoError(t, res.Body.Close())
	}
	line := wsline.New(ctx, conn)
	t.Cleanup(func() { _ = line.Close() })
	return line
}

// TestALineCarriesWhatAScreenSends is larger than a websocket's usual limit.
func TestALineCarriesWhatAScreenSends(t *testing.T) {
	t.Parallel()
	line := dial(t.Context(), t)
	picture := bytes.Repeat([]byte("pixel"), 200_000)
	sent := make(chan error, 1)
	go func() {
		_, err := line.Write(picture)
		sent <- err
	}()
	got := make([]byte, len(picture))
	_, err := io.ReadFull(line, got)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	require.True(t, bytes.Equal(picture, got))
}

func TestALineIsClosedOnce(t *testing.T) {
	t.Parallel()
	line := dial(t.Context(), t)
	require.NoError(t, line.Close())
	require.NoError(t, line.Close())
	_, err := line.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestALineEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	line := dial(ctx, t)
	ended := make(chan error, 1)
	go func() {
		_, err := line.Read(make([]byte, 1))
		ended <- err
	}()
	cancel()
	require.Error(t, <-ended)
}
