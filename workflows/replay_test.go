package workflows_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// TestReplay replays recorded histories against today's workflows. They are
// recorded anew by "go -C dev test ./record -update"; a workflow that does not
// stand the old ones needs workflow.GetVersion first.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/replay/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{})
			require.NoError(t, err)
			workflows.Register(r)
			require.NoError(t, r.ReplayWorkflowHistoryFromJSONFile(quiet{}, file))
		})
	}
}

// TestReplayCoverage: each operation has a recorded history of each end that it
// can come to.
func TestReplayCoverage(t *testing.T) {
	for _, spec := range models.Operations() {
		base := map[string]string{
			"CreateVM": "create_vm", "StartVM": "start_vm", "StopVM": "stop_vm", "RebootVM": "reboot_vm",
			"UpdateVM": "update_vm", "DeleteVM": "delete_vm", "SyncProvider": "sync_provider", "MigrateVM": "migrate_vm",
		}[spec.Workflow]
		require.NotEmpty(t, base, "name the recordings of %s here", spec.Workflow)
		for _, end := range []string{"succeeded", "failed", "cancelled"} {
			require.FileExists(t, filepath.Join("testdata/replay", base+"-"+end+".json"))
		}
	}
}
