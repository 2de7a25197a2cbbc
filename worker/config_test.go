package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
)

// The store satisfies what the worker needs.
var _ Store = (*store.Store)(nil)

func TestDefaults(t *testing.T) {
	c := Config{ProviderPollers: 7, WorkflowPollers: 1}.withDefaults()
	require.Equal(t, 7, c.ProviderPollers)
	require.GreaterOrEqual(t, c.WorkflowPollers, 2, "the SDK panics on one")
	require.LessOrEqual(t, 3*stopTimeout, StopLimit, "three parts of a worker stop one after the other")
}
