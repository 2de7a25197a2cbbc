package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestResidueIsTheRuns: what a run may have left behind stands with its outcome,
// and is forgotten when another run begins.
func TestResidueIsTheRuns(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		op := env.AcceptVM(t, "a")
		left := []models.Residue{{Type: "vm", Ref: "vm-7"}, {Type: "step", Step: "CreateVM"}}
		settle(t, env, models.Settlement{
			JobID: op.ID, RunID: "run-1", Outcome: models.OutcomeFailed, ErrorCode: models.JobCompensationIncomplete,
			Status: models.VMError, Residue: left,
		})
		require.Equal(t, left, env.Job(t, op.ID).Residue)
		_, err := env.AcceptJobRetry(t.Context(), storetest.Caller(), request(op), nil, storetest.Respond)
		require.NoError(t, err)
		require.Empty(t, env.Job(t, op.ID).Residue)
	})
}
