package server

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/models"
)

// queued is a database with one job that nothing happens to.
type queued struct{}

func (queued) Operation(_ context.Context, id string) (models.Operation, error) {
	return models.Operation{ID: id, Kind: models.OpVMStart, ResourceType: models.ResourceVM}, nil
}

// TestAStreamWithoutEventsShowsThatItIsAlive, and asks for its lease all the
// while.
func TestAStreamWithoutEventsShowsThatItIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := jobwatch.New(nil, queued{}, jobwatch.Options{})
		sub, err := hub.Watch("job-1", "tenant-1", "")
		require.NoError(t, err)
		leases := 0
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), requestKey{}, &request{
			Lease: func(context.Context) error { leases++; return nil },
		}))
		rec := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			first, end := firstOf(ctx, sub)
			(&Server{}).send(ctx, newEventWriter(rec), sub, "", first, end)
		}()
		<-time.After(2*heartbeat + time.Second) // of the bubble's clock
		synctest.Wait()
		require.Equal(t, 2, strings.Count(rec.Body.String(), "\n:\n"))
		require.Equal(t, 1, strings.Count(rec.Body.String(), "event: job\n"), "what has not changed is told once")
		require.GreaterOrEqual(t, leases, 30)
		cancel()
		<-done
		sub.Close()
		hub.Close()
	})
}
