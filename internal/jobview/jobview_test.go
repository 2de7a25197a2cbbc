package jobview_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recording is what "go -C dev test ./record -update" writes.
type recording struct {
	Operation   models.Operation
	Description json.RawMessage
	History     json.RawMessage
}

type parsed struct {
	op     models.Operation
	desc   *workflowservice.DescribeWorkflowExecutionResponse
	events []*historypb.HistoryEvent
}

func load(t *testing.T, name string) parsed {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	var r recording
	require.NoError(t, json.Unmarshal(raw, &r))
	out := parsed{op: r.Operation, desc: &workflowservice.DescribeWorkflowExecutionResponse{}}
	require.NoError(t, protojson.Unmarshal(r.Description, out.desc))
	var h historypb.History
	require.NoError(t, protojson.Unmarshal(r.History, &h))
	out.events = h.GetEvents()
	return out
}

func (p parsed) project() jobview.Job { return jobview.Project(p.op, p.desc, p.events, nil) }

// TestGolden compares the projection of each recording with what a person has
// looked at.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(load(t, name).project(), "", "  ")
			require.NoError(t, err)
			golden := filepath.Join("testdata", "golden", name+".json")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o750))
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(strings.TrimSpace(string(want)), string(got)))
		})
	}
}
