package saga_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// run unwinds a saga of three steps, of which those in failing cannot be undone.
func run(cause error, failing ...string) (undone []string, err error) {
	return unwound(func(workflow.Context) error { return cause }, failing...)
}

func unwound(body func(workflow.Context) error, failing ...string) (undone []string, err error) {
	flow := func(ctx workflow.Context) error {
		var sg saga.Saga
		for _, step := range []string{"address", "capacity", "vm"} {
			sg.Defer(step, func(ctx workflow.Context) error {
				for _, f := range failing {
					if f == step {
						return errors.New("cannot undo " + step)
					}
				}
				undone = append(undone, step)
				return ctx.Err()
			})
		}
		return sg.Unwind(ctx, body(ctx))
	}
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.ExecuteWorkflow(flow)
	return undone, env.GetWorkflowError()
}

func TestNothingIsUndoneAfterSuccess(t *testing.T) {
	undone, err := run(nil)
	require.NoError(t, err)
	require.Empty(t, undone)
}

func TestLastFirstAndTheErrorKeepsItsType(t *testing.T) {
	undone, err := run(temporal.NewNonRetryableApplicationError("full", "NO_CAPACITY", nil))
	require.Equal(t, []string{"vm", "capacity", "address"}, undone)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, "NO_CAPACITY", app.Type())
}

func TestCancellationDoesNotReachTheUndoing(t *testing.T) {
	undone, err := unwound(func(ctx workflow.Context) error {
		ctx, cancel := workflow.WithCancel(ctx)
		cancel()
		return ctx.Err()
	})
	require.Len(t, undone, 3)
	require.True(t, temporal.IsCanceledError(err))
}

// TestEarlierStepsStandWithTheirHeirs: what "capacity" took is still in use by
// the VM that could not be removed.
func TestEarlierStepsStandWithTheirHeirs(t *testing.T) {
	undone, err := run(temporal.NewNonRetryableApplicationError("full", "NO_CAPACITY", nil), "capacity")
	require.Equal(t, []string{"vm"}, undone)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, saga.CompensationIncomplete, app.Type())
	require.True(t, app.NonRetryable())
	var standing []string
	require.NoError(t, app.Details(&standing))
	require.Equal(t, []string{"capacity", "address"}, standing)
	require.ErrorContains(t, err, "full", "the first cause is kept")
}

// stuck unwinds two steps of which the later one's undoing waits until it is
// cancelled, while the given happens to the workflow after a minute.
func stuck(t *testing.T, happens func(*testsuite.TestWorkflowEnvironment)) (undone []string, took time.Duration, err error) {
	t.Helper()
	flow := func(ctx workflow.Context) error {
		var sg saga.Saga
		sg.Defer("capacity", func(workflow.Context) error { undone = append(undone, "capacity"); return nil })
		sg.Defer("vm", func(ctx workflow.Context) error {
			if err := workflow.Sleep(ctx, time.Hour); err != nil {
				return err
			}
			undone = append(undone, "vm")
			return nil
		})
		began := workflow.Now(ctx)
		err := sg.Unwind(ctx, temporal.NewNonRetryableApplicationError("full", "NO_CAPACITY", nil))
		took = workflow.Now(ctx).Sub(began)
		return err
	}
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.RegisterDelayedCallback(func() { happens(env) }, time.Minute)
	env.ExecuteWorkflow(flow)
	return undone, took, env.GetWorkflowError()
}

// TestAbandonStopsTheUndoing, and what was not undone is named.
func TestAbandonStopsTheUndoing(t *testing.T) {
	undone, took, err := stuck(t, func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow(saga.SignalAbandon, nil) })
	require.Empty(t, undone)
	require.Equal(t, time.Minute, took)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, saga.CompensationIncomplete, app.Type())
	var standing []string
	require.NoError(t, app.Details(&standing))
	require.Equal(t, []string{"vm", "capacity"}, standing)
	require.ErrorContains(t, err, "full")
}

// TestACancelDuringTheUndoingIsHarmless: it comes too late, and is not heard.
func TestACancelDuringTheUndoingIsHarmless(t *testing.T) {
	undone, took, err := stuck(t, func(env *testsuite.TestWorkflowEnvironment) { env.CancelWorkflow() })
	require.Equal(t, []string{"vm", "capacity"}, undone)
	require.Equal(t, time.Hour, took)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, "NO_CAPACITY", app.Type())
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

func ExampleSaga() {
	order := func(ctx workflow.Context) error {
		var sg saga.Saga
		book := func() error {
			sg.Defer("seat", func(workflow.Context) error { fmt.Println("seat given back"); return nil })
			fmt.Println("seat taken")
			sg.Defer("meal", func(workflow.Context) error { fmt.Println("meal given back, or never taken"); return nil })
			return errors.New("the kitchen is closed")
		}
		return sg.Unwind(ctx, book())
	}
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.ExecuteWorkflow(order)
	// Output:
	// seat taken
	// meal given back, or never taken
	// seat given back
}
