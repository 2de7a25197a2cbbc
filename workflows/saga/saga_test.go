package saga_test

import (
	"errors"
	"fmt"
	"testing"

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
