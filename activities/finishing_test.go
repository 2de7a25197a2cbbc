package activities

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// slowly is a hypervisor that answers once the test lets it, and tells whether
// the request was cut off before.
type slowly struct {
	providers.Provider
	asked  chan struct{}
	answer chan struct{}
}

func (s slowly) act(ctx context.Context) (providers.TaskRef, error) {
	close(s.asked)
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-s.answer:
		return "", nil
	}
}

// TestACancelLeavesARequestInFlightItsAnswer: what is cut off may be carried
// out after the undoing has looked, and would be an orphan.
func TestACancelLeavesARequestInFlightItsAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hv := slowly{asked: make(chan struct{}), answer: make(chan struct{})}
	w := &work{provider: hv}
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx, nil, hv.act) }()
	<-hv.asked
	cancel()
	close(hv.answer)
	require.NoError(t, <-ended, "the request was answered")
}

// TestARequestThatHangsIsCutOff with why the step ended.
func TestARequestThatHangsIsCutOff(t *testing.T) {
	why := errors.New("cancelled by a test")
	ctx, cancel := context.WithCancelCause(t.Context())
	out, end := finishingWithin(ctx, time.Millisecond)
	defer end()
	require.NoError(t, out.Err())
	cancel(why)
	select {
	case <-out.Done():
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
	require.ErrorIs(t, context.Cause(out), why)
}
