package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// remarked is a provider that tells its parts apart, and the store of what it tells.
type remarked struct {
	providers.Provider
	activities.InventoryStore
	saved models.InventoryReport
}

func (r *remarked) Open(context.Context, string) (providers.Provider, error) { return r, nil }

func (r *remarked) Info(context.Context) (providers.Info, error) {
	return providers.Info{
		Version: "8.0", Capabilities: []models.Capability{models.CapSnapshot}, Remarks: []string{"c1: DRS is off"},
	}, nil
}

func (r *remarked) ListNodes(context.Context) ([]providers.Node, error) {
	return []providers.Node{{Name: "n1", Cluster: "c1", State: models.NodeUp, VCPUs: 4, MemoryMiB: 8}}, nil
}

func (r *remarked) SaveInventory(_ context.Context, _ string, report models.InventoryReport) error {
	r.saved = report
	return nil
}

// TestWhatAProviderRemarksIsStored with its capabilities and nodes.
func TestWhatAProviderRemarksIsStored(t *testing.T) {
	t.Parallel()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestActivityEnvironment()
	r := &remarked{}
	a := &activities.Inventory{Providers: r, Store: r}
	env.RegisterActivity(a)
	_, err := env.ExecuteActivity(a.SyncInventory, activities.ProviderInput{ProviderID: "p"})
	require.NoError(t, err)
	require.Equal(t, models.InventoryReport{
		Version: "8.0", Capabilities: []models.Capability{models.CapSnapshot}, Remarks: []string{"c1: DRS is off"},
		Nodes: []models.NodeReport{{Cluster: "c1", Name: "n1", State: models.NodeUp, VCPUs: 4, MemoryMiB: 8}},
	}, r.saved)
}
