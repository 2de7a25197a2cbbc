package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestCancelledWhileQueued: the first step is told of a cancel that Temporal
// has not heard of, and no step touches the hypervisor.
func TestCancelledWhileQueued(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vm := w.existing(t, true)
		create := w.acceptCreate(t, true)
		for name, op := range map[string]models.Operation{
			"create": create,
			"reboot": w.accept(t, vm, models.OpVMReboot, models.OperationParams{Mode: models.ModeForce}),
		} {
			t.Run(name, func(t *testing.T) {
				_, err := w.AcceptJobCancel(t.Context(), caller(), store.JobRequest{
					JobID: op.ID, ResourceID: op.ResourceID, Refuse: func(models.Operation) error { return nil },
				}, nil, storetest.Respond)
				require.NoError(t, err)
				before, err := w.hv.Calls(t.Context(), 0)
				require.NoError(t, err)
				err = w.run(t, op)
				require.True(t, temporal.IsCanceledError(err), "%v", err)
				after, err := w.hv.Calls(t.Context(), 0)
				require.NoError(t, err)
				require.Equal(t, before, after)
				w.unlocked(t, op, models.OutcomeCancelled)
			})
		}
		require.Equal(t, models.VMError, w.VM(t, create.ResourceID).Status)
		require.Zero(t, w.reserved(t, create.ResourceID))
		require.Equal(t, models.PowerRunning, w.VM(t, vm).PowerState)
	})
}
