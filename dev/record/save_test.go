package record_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	replayDir = "../../workflows/testdata/replay"
	viewDir   = "../../internal/jobview/testdata"
)

var update = flag.Bool("update", false, "write the recorded histories anew")

// history reads a workflow's events.
func (w *world) history(t *testing.T, workflowID string) *historypb.History {
	t.Helper()
	out := &historypb.History{}
	it := w.client.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		e, err := it.Next()
		require.NoError(t, err)
		out.Events = append(out.Events, e)
	}
	return out
}

// keep writes a closed workflow's history for replay.
func (w *world) keep(t *testing.T, name, workflowID string) {
	t.Helper()
	if *update {
		write(t, filepath.Join(replayDir, name+".json"), pretty(t, w.history(t, workflowID)))
	}
}

// view writes what the job view is made of, at this moment.
func (w *world) view(t *testing.T, name string, op models.Operation) {
	t.Helper()
	if !*update {
		return
	}
	desc, err := w.client.DescribeWorkflowExecution(t.Context(), op.ID, "")
	require.NoError(t, err)
	row, err := json.Marshal(w.Job(t, op.ID))
	require.NoError(t, err)
	all, err := json.Marshal(map[string]json.RawMessage{
		"operation": row, "description": pretty(t, desc), "history": pretty(t, w.history(t, op.ID)),
	})
	require.NoError(t, err)
	write(t, filepath.Join(viewDir, name+".json"), all)
}

func pretty(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := protojson.Marshal(m)
	require.NoError(t, err)
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, b, "", " "))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, append(out.Bytes(), '\n'), 0o600))
}
