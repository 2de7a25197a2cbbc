package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
)

// SyncProviderInput is recorded in history. Add fields; never rename or reuse them.
type SyncProviderInput struct{ ProviderID string }

// SyncProvider connects to a provider and reads its version, capabilities and
// nodes. It fails soon where others wait: it is how a person learns whether
// settings are right.
//
//	step           undone by
//	BeginJob       SettleJob (always the last step)
//	SyncInventory  nothing: it changes nothing on the provider
func SyncProvider(ctx workflow.Context, in SyncProviderInput) (err error) {
	j := newJob(ctx, "")
	defer func() { err = j.settle(ctx, err) }()
	if err := j.begin(ctx); err != nil {
		return err
	}
	j.begun.ProviderID = in.ProviderID
	return do(ctx, briefly(hypervisor(in.ProviderID), syncLife, syncTries), inventory().SyncInventory,
		activities.ProviderInput{ProviderID: in.ProviderID})
}

const (
	syncLife  = time.Minute
	syncTries = 3
)
