package workflows

import (
	"context"

	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
)

// The receivers of activities are nil: only their method names matter here.
// The worker registers the real ones.

func vms() *activities.VM              { return nil }
func parts() *activities.Parts         { return nil }
func jobs() *activities.Jobs           { return nil }
func control() *activities.Control     { return nil }
func consoles() *activities.Consoles   { return nil }
func inventory() *activities.Inventory { return nil }

// call runs an activity that returns a value; the compiler checks its types. A
// step at the place of the job's hypervisor does not end in a way that is not
// known: see resolved.
func call[In, Out any](ctx workflow.Context, at place, act func(context.Context, In) (Out, error), in In) (Out, error) {
	var out Out
	there := at(ctx)
	err := resolved(there, func() error { return workflow.ExecuteActivity(there, act, in).Get(there, &out) })
	return out, err
}

// do is call for an activity that returns only an error.
func do[In any](ctx workflow.Context, at place, act func(context.Context, In) error, in In) error {
	there := at(ctx)
	return resolved(there, func() error { return workflow.ExecuteActivity(there, act, in).Get(there, nil) })
}

// callLocal runs a database step that returns a value.
func callLocal[In, Out any](ctx workflow.Context, act func(context.Context, In) (Out, error), in In) (Out, error) {
	var out Out
	err := workflow.ExecuteLocalActivity(database(ctx), act, in).Get(ctx, &out)
	return out, err
}

// doLocal runs a database step that returns only an error.
func doLocal[In any](ctx workflow.Context, act func(context.Context, In) error, in In) error {
	return workflow.ExecuteLocalActivity(database(ctx), act, in).Get(ctx, nil)
}

// undo makes a compensation of an activity.
func undo[In any](at place, act func(context.Context, In) error, in In) func(workflow.Context) error {
	return func(ctx workflow.Context) error {
		return workflow.ExecuteActivity(patiently(at(ctx)), act, in).Get(ctx, nil)
	}
}

// undoLocal makes a compensation of a database step.
func undoLocal[In any](act func(context.Context, In) error, in In) func(workflow.Context) error {
	return func(ctx workflow.Context) error { return doLocal(ctx, act, in) }
}

// undoRead makes a compensation of an activity that tells what it has read.
func undoRead[In, Out any](at place, act func(context.Context, In) (Out, error), in In, out *Out) func(workflow.Context) error {
	return func(ctx workflow.Context) error {
		return workflow.ExecuteActivity(patiently(at(ctx)), act, in).Get(ctx, out)
	}
}
