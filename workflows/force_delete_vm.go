package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ForceDeleteVMInput is recorded in history. Add fields; never rename or reuse them.
type ForceDeleteVMInput struct{ VMID string }

// Types of residue.
const (
	residueVM   = "vm"
	residueDisk = "disk"
)

// insistLife and insistTries bound what a forced delete tries with the provider.
const (
	insistLife  = time.Minute
	insistTries = 5
)

// ForceDeleteVM records a VM as DELETED, whatever its provider says. A job at
// work on it is cancelled, and abandoned where it does not end within a minute.
// The provider is asked to delete the VM for a minute, one that is disabled not
// at all; what could not be proven gone is the job's residue.
//
//	step           undone by
//	BeginJob       SettleJob (always the last step)
//	DestroyVM      nothing: it goes forward only, and the record is deleted
//	ConfirmAbsent  whether they succeed or not
func ForceDeleteVM(ctx workflow.Context, in ForceDeleteVMInput) (err error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	j := newJob(ctx, in.VMID)
	j.insists = true
	defer func() {
		if err != nil {
			j.end = models.Settlement{Status: models.VMError, StatusReason: "The delete did not succeed."}
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return err
	}
	residue := j.remove(ctx)
	j.end = models.Settlement{
		Status: models.VMDeleted, Power: models.PowerNone, DesiredPower: models.PowerNone, Release: true,
		NoOp: j.begun.Status == models.VMDeleted, Residue: residue,
	}
	return nil
}

// remove has the provider delete the VM, and lists what is not proven gone.
func (j *job) remove(ctx workflow.Context) []models.Residue {
	if j.begun.ProviderID == "" || j.begun.Status == models.VMDeleted {
		return nil
	}
	recorded := []models.Residue{{Type: residueVM, Ref: j.begun.NativeRef}}
	if j.begun.ProviderOff {
		return recorded
	}
	there, vm := hypervisor(j.begun.ProviderID), j.input()
	err := do(ctx, insistently(there), vms().DestroyVM, vm)
	if err == nil {
		err = do(ctx, insistently(there), vms().ConfirmAbsent, vm)
	}
	if err == nil {
		return nil
	}
	left, err := call(ctx, briefly(there, observeLife, observeTries), vms().ListLeftovers, vm)
	if err != nil {
		return recorded
	}
	return left // nothing is proof as well
}

// insistently tries for a while, and then does without.
func insistently(at place) place {
	return func(ctx workflow.Context) workflow.Context {
		return workflow.WithRetryPolicy(briefly(at, insistLife, insistTries)(ctx), temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 3, MaximumInterval: 20 * time.Second, MaximumAttempts: insistTries,
			NonRetryableErrorTypes: []string{string(providers.Unauthenticated)},
		})
	}
}
