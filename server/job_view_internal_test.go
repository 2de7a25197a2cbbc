package server

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestResidueNamesNothingOfTheProviderToATenant: the hypervisor's own names are
// for operators.
func TestResidueNamesNothingOfTheProviderToATenant(t *testing.T) {
	op := models.Operation{
		Kind: models.OpVMForceDelete, Outcome: models.OutcomeSucceeded,
		Params:  models.OperationParams{Reason: "it burnt"},
		Residue: []models.Residue{{Type: "vm", Ref: "moid-4711"}, {Type: "step", Step: "CreateVM"}},
	}
	job := jobview.FromRow(op)
	tenant, err := json.Marshal(jobView(job))
	require.NoError(t, err)
	require.Contains(t, string(tenant), `"residue":[{"type":"vm"},{"step":"CreateVM","type":"step"}]`)
	require.NotContains(t, string(tenant), "moid-4711")
	ops, err := json.Marshal(opsJobView(op, job))
	require.NoError(t, err)
	require.Contains(t, string(ops), `"leftovers":[{"ref":"moid-4711","type":"vm"}]`)
	require.Contains(t, string(ops), `"reason":"it burnt"`)

	plain, err := json.Marshal(jobView(jobview.FromRow(models.Operation{Kind: models.OpVMStart})))
	require.NoError(t, err)
	require.NotContains(t, string(plain), "residue")
}
