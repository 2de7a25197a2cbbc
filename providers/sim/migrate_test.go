package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// TestMigrationsThatTheNodesRefuse shows what a caller learns of the other node.
func TestMigrationsThatTheNodesRefuse(t *testing.T) {
	p := start(t, simhv.Options{NodeVCPUs: 1})
	a := p.openAll(t)
	vm := create(t, a, request())
	other := request()
	other.Node = "node-2"
	create(t, a, other)
	for node, state := range map[string]string{"node-3": "down", "node-4": "maintenance"} {
		require.NoError(t, p.SetNode(t.Context(), node, simadmin.NodeChange{State: &state}))
	}
	for node, want := range map[string]providers.Code{
		"node-2": providers.ResourceExhausted, "node-3": providers.Unavailable, "node-4": providers.FailedPrecondition, "node-9": providers.NotFound,
	} {
		_, err := a.MigrateVM(t.Context(), target(vm), providers.Migration{Node: node})
		require.Equal(t, want, providers.CodeOf(err), "%s: %v", node, err)
		require.NotContains(t, err.(*providers.Error).Message, node) //nolint:errorlint,forcetypeassert // nothing else crosses the boundary
	}
	require.Equal(t, "node-1", p.one(t, vm.VMID).Node)
}

// TestAnAbortedMigrationIsHeardOf aborts one that would go on for an hour.
func TestAnAbortedMigrationIsHeardOf(t *testing.T) {
	p := start(t, simhv.Options{})
	a := p.openAll(t)
	vm := create(t, a, request())
	require.NoError(t, p.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"migrate_vm": simadmin.Duration(time.Hour)}}))
	task, err := a.MigrateVM(t.Context(), target(vm), providers.Migration{Node: "node-2"})
	require.NoError(t, err)
	same, err := p.openAll(t).MigrateVM(t.Context(), target(vm), providers.Migration{Node: "node-2"})
	require.NoError(t, err)
	require.Equal(t, task, same, "another process is told of the same work")
	_, err = a.MigrateVM(t.Context(), target(vm), providers.Migration{Node: "node-3"})
	require.Equal(t, providers.Aborted, providers.CodeOf(err), "elsewhere it cannot go meanwhile: %v", err)

	abort, err := a.AbortMigration(t.Context(), target(vm))
	require.NoError(t, err)
	settle(t, a, abort)
	st, err := a.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.True(t, st.Done)
	require.Equal(t, providers.Aborted, providers.CodeOf(st.Err))
	require.Equal(t, []string{"node-1", ""}, []string{p.one(t, vm.VMID).Node, p.one(t, vm.VMID).MovingTo})
}
