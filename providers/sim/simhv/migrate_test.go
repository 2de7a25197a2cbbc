package simhv_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestMigrationsNeedRoomOnBothNodes(t *testing.T) {
	s := serve(t, simhv.Options{Nodes: 3, NodeVCPUs: 2, NodeMemoryMiB: 256, TaskDelay: time.Hour})
	quick := simadmin.Latency{Task: map[string]simadmin.Duration{"create_vm": 0, "set_power": 0, "abort_migration": 0, "delete_vm": 0}}
	require.NoError(t, s.SetLatency(t.Context(), quick))
	s.create("id-1")
	s.create("id-2")
	s.power("id-1", "running")
	s.want(200, "", "migrate_vm", "id-1", `"node":"node-2","live":true`)
	s.want(200, "", "migrate_vm", "id-2", `"node":"node-2","live":false`)
	require.Equal(t, "node-2", s.vm("id-1").MovingTo)
	status, body := s.op("create_vm", createBody("id-3", "n", "node-2"))
	require.Equal(t, 507, status, "the migrations hold the room: %s", body)
	status, body = s.op("create_vm", createBody("id-3", "n", "node-1"))
	require.Equal(t, 507, status, "and where they come from, too: %s", body)

	s.want(200, "", "abort_migration", "id-2", "")
	require.Empty(t, s.vm("id-2").MovingTo)
	require.Equal(t, "node-1", s.vm("id-2").Node)
	status, body = s.op("create_vm", createBody("id-3", "n", "node-2"))
	require.Equal(t, 200, status, body)
	s.want(507, "no_capacity", "migrate_vm", "id-2", `"node":"node-2","live":false`)

	state := "down"
	require.NoError(t, s.SetNode(t.Context(), "node-3", simadmin.NodeChange{State: &state}))
	s.want(503, "node_down", "migrate_vm", "id-2", `"node":"node-3","live":false`)
	s.power("id-1", "stopped") // ends the live migration
	require.Empty(t, s.vm("id-1").MovingTo)
	require.Equal(t, "stopped", s.vm("id-1").Power)
}

// TestAMigrationToANodeThatDiesEndsAtHome lets the node go down in between.
func TestAMigrationToANodeThatDiesEndsAtHome(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	require.NoError(t, s.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"migrate_vm": simadmin.Duration(50 * time.Millisecond)}}))
	_, body := s.op("migrate_vm", on(s.native("id-1"), "id-1", `"node":"node-2","live":false`))
	state := "down"
	require.NoError(t, s.SetNode(t.Context(), "node-2", simadmin.NodeChange{State: &state}))
	var work struct{ Task string }
	require.NoError(t, json.Unmarshal([]byte(body), &work))
	s.until("the migration has failed", func() bool {
		_, body := s.op("poll_task", `{"task":"`+work.Task+`"}`)
		return strings.Contains(body, `"node_down"`)
	})
	vm := s.vm("id-1")
	require.Equal(t, []string{"node-1", ""}, []string{vm.Node, vm.MovingTo})
}

// TestAnInterruptedMigrationHoldsItsRoomUntilItIsAborted shows the residue.
func TestAnInterruptedMigrationHoldsItsRoomUntilItIsAborted(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	require.NoError(t, s.SetFaults(t.Context(), simadmin.Fault{Op: "migrate_vm", Kind: simadmin.FaultPartial}))
	s.want(200, "", "migrate_vm", "id-1", `"node":"node-2","live":false`)
	vm := s.vm("id-1")
	require.Equal(t, []string{"node-1", "node-2"}, []string{vm.Node, vm.MovingTo})
	s.want(409, "wrong_state", "migrate_vm", "id-1", `"node":"node-1","live":false`)
	s.want(200, "", "abort_migration", "id-1", "")
	require.Empty(t, s.vm("id-1").MovingTo)
	s.want(200, "", "migrate_vm", "id-1", `"node":"node-2","live":false`)
	require.Equal(t, "node-2", s.vm("id-1").Node)
}
