package background

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// patience is how long a call waits for the work that it began: most of it ends
// within that.
const patience = 500 * time.Millisecond

// Outcome is what a call knows of the work that it wanted carried out.
type Outcome int

// The outcomes.
const (
	Ended    Outcome = iota // at once, well or with the error
	GoesOn                  // it was begun, and takes its time
	NotBegun                // it is going on in this process already, or Shut was called
	Left                    // it was begun, and the call's own time is over
)

// Carry does a task's work in the background, and waits a moment for its end. The work
// has the values of ctx and is bounded by limit, not by the end of ctx. The error is
// that of work that has Ended.
func (w *Works[E]) Carry(ctx context.Context, task providers.TaskRef, limit time.Duration, work func(context.Context) E) (Outcome, E) {
	background, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	var none E
	end, ok := w.Begin(task, cancel)
	if !ok {
		cancel()
		return NotBegun, none
	}
	ended := make(chan E, 1)
	go func() {
		defer cancel()
		err := work(background)
		end(err)
		ended <- err
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-ended:
		return Ended, err
	case <-timer.C:
		return GoesOn, none
	case <-ctx.Done():
		return Left, none
	}
}
