package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// RefreshProviderInput is recorded in history. Add fields; never rename or reuse them.
type RefreshProviderInput struct{ ProviderID string }

// RefreshProviderResult is recorded in history.
type RefreshProviderResult struct {
	Seen    int
	Missing int
	// Failure is why the provider could not be read; empty for a whole read.
	Failure models.JobErrorCode `json:",omitempty"`
}

// RefreshProvider reads a provider's nodes and the VMs of ours on it. A
// schedule starts it, so it has no job and no lock. A provider that is down is
// a finding, which the steps store as its status, and no failure: the next
// refresh is not far.
//
//	step           undone by
//	SyncInventory  nothing: it changes nothing on the provider
//	RefreshVMs     nothing: as above
func RefreshProvider(ctx workflow.Context, in RefreshProviderInput) (RefreshProviderResult, error) {
	at := briefly(hypervisor(in.ProviderID), refreshLife, 1)
	p := activities.ProviderInput{ProviderID: in.ProviderID}
	if err := do(ctx, at, inventory().SyncInventory, p); err != nil {
		return finding(err)
	}
	seen, err := call(ctx, at, inventory().RefreshVMs, p)
	if err != nil {
		return finding(err)
	}
	return RefreshProviderResult{Seen: seen.Seen, Missing: seen.Missing}, nil
}

// refreshLife bounds a refresh of a provider with very many VMs, and the wait
// for a worker that serves it.
const refreshLife = 10 * time.Minute

func finding(err error) (RefreshProviderResult, error) {
	if temporal.IsCanceledError(err) {
		return RefreshProviderResult{}, err
	}
	code, _ := explain(err)
	return RefreshProviderResult{Failure: code}, nil
}
