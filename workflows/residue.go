package workflows

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

const (
	// leftoversLife and leftoversTries bound the read of what is left: a person
	// waits for the job to end.
	leftoversLife  = 10 * time.Second
	leftoversTries = 1
)

// incomplete reports whether err says that something may stand that should have
// been undone: a compensation failed, or the job was given up before any.
func incomplete(err error) bool {
	var given *saga.GivenUp
	return errors.As(err, &given) || compensationFailed(err) != nil
}

// compensationFailed is the error of a compensation in err, nil for none.
func compensationFailed(err error) *temporal.ApplicationError {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.Type() == saga.CompensationIncomplete {
		return app
	}
	return nil
}

// residue is what a job that ends with err may leave behind: the steps that
// stand, and, unless the VM is there by right, what the hypervisor has of it.
func (j *job) residue(ctx workflow.Context, err error) []models.Residue {
	if !incomplete(err) || !knows(ctx, changeResidue) {
		return nil
	}
	var out []models.Residue
	for _, step := range standing(err) {
		out = append(out, models.Residue{Type: activities.ResidueStep, Step: step})
	}
	if !j.touched || j.begun.Status == models.VMActive {
		return out
	}
	left, lerr := call(ctx, briefly(hypervisor(j.begun.ProviderID), leftoversLife, leftoversTries), vms().ListLeftovers, j.input())
	if lerr != nil {
		workflow.GetLogger(ctx).Warn("what is left could not be listed", "error", lerr)
	}
	return append(out, left...)
}

// standing names the steps that err says were not undone, and the one whose
// outcome is not known.
func standing(err error) []string {
	var names []string
	if app := compensationFailed(err); app != nil {
		if app.Details(&names) != nil {
			return nil
		}
		return names
	}
	var given *saga.GivenUp
	if errors.As(err, &given) {
		names = slices.Clone(given.Standing)
		if given.Step != "" && !slices.Contains(names, given.Step) {
			names = slices.Insert(names, 0, given.Step)
		}
	}
	return names
}
