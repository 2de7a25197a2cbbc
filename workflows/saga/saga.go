// Package saga unwinds a half-done workflow. It imports the Temporal SDK only.
package saga

import (
	"errors"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// CompensationIncomplete is the error type of a workflow that could not clean
// up after itself. It always means that an operator must look.
const CompensationIncomplete = "COMPENSATION_INCOMPLETE"

// SignalAbandon is the signal that makes a workflow give up its compensations.
// It bears no payload.
const SignalAbandon = "abandon"

// GivenUp is the error of a workflow that an operator abandoned while it was not
// known what the step at hand had done. Unwind undoes nothing after it.
type GivenUp struct {
	// Step is the one whose outcome is not known.
	Step string
	// Standing are the steps that have an undo, last first; Unwind sets it.
	Standing []string
	// Err is how the step failed.
	Err error
}

func (e *GivenUp) Error() string { return "given up: the outcome of " + e.Step + " is not known" }
func (e *GivenUp) Unwrap() error { return e.Err }

type compensation struct {
	step string
	run  func(workflow.Context) error
}

// Saga holds the compensations of the steps tried so far. The zero value is
// ready for use.
type Saga struct{ stack []compensation }

// Defer registers how to undo the step that is ABOUT to run. Register first,
// then act: a step that timed out may still have taken effect. So every
// compensation must succeed when there is nothing to undo.
func (s *Saga) Defer(step string, run func(workflow.Context) error) {
	s.stack = append(s.stack, compensation{step, run})
}

// Unwind runs the compensations, last first, if err is not nil, and returns
// err unchanged, so that its type still reaches the API. It ignores the
// cancellation of ctx.
//
// A compensation that fails ends the unwinding: what an earlier step took (a
// node, a name) may still be in use by what could not be undone, so giving it
// back would be a lie. The error then is of type CompensationIncomplete, names
// the steps that still stand, and wraps err. SignalAbandon makes the compensation
// at hand fail: it is cancelled, and not tried again. Nothing is undone after
// GivenUp, which is returned with the steps that stand.
func (s *Saga) Unwind(ctx workflow.Context, err error) error {
	if err == nil {
		return nil
	}
	var given *GivenUp
	if errors.As(err, &given) {
		return &GivenUp{Step: given.Step, Standing: s.standing(len(s.stack) - 1), Err: given.Err}
	}
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if len(s.stack) > 0 {
		workflow.Go(ctx, func(ctx workflow.Context) {
			workflow.GetSignalChannel(ctx, SignalAbandon).Receive(ctx, nil)
			cancel()
		})
	}
	for i := len(s.stack) - 1; i >= 0; i-- {
		if cerr := s.stack[i].run(ctx); cerr != nil {
			standing := s.standing(i)
			workflow.GetLogger(ctx).Error("compensation failed", "standing", standing, "error", cerr)
			return temporal.NewNonRetryableApplicationError(
				"could not undo: "+strings.Join(standing, ", "), CompensationIncomplete, err, standing)
		}
	}
	return err
}

// standing names the steps from the i-th down that have not been undone.
func (s *Saga) standing(i int) []string {
	var names []string
	for ; i >= 0; i-- {
		names = append(names, s.stack[i].step)
	}
	return names
}
