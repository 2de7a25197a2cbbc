package vsphere

import (
	"context"
	"slices"
	"testing"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// isWrite reports whether a call changes something.
func isWrite(c vspheresim.Call) bool {
	return slices.Contains([]string{
		"ReconfigVM_Task", "CopyVirtualDisk_Task", "DeleteVirtualDisk_Task", "CloneVM_Task", "RelocateVM_Task", "SuspendVM_Task",
		"PowerOnVM_Task", "CreateSnapshot_Task", "RevertToSnapshot_Task", "RemoveSnapshot_Task", "Destroy_Task", "CancelTask",
	}, c.Method)
}

// insist asks until what was asked for is done, as a workflow does.
func insist(t *testing.T, p *Provider, do func(ctx context.Context, p *Provider) (providers.TaskRef, error)) {
	t.Helper()
	eventually(t, "it is done", func() bool {
		task, err := do(t.Context(), p)
		if err == nil {
			err = outcome(t, p, task)
		}
		if err != nil && !providers.CodeOf(err).Retryable() {
			t.Fatal(err)
		}
		return err == nil
	})
}

func target(req providers.CreateVMRequest) providers.Target { return providers.Target{VMID: req.VMID} }

// outcomeOf follows a task by its own process until that ends, or the task does.
func outcomeOf(t *testing.T, p *Provider, task providers.TaskRef) error {
	t.Helper()
	var end error
	eventually(t, "the task or its process ends", func() bool {
		st, err := p.PollTask(t.Context(), task)
		end = st.Err
		return err != nil || st.Done
	})
	return end
}
