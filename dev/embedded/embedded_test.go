package embedded_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/dev/embedded"
)

func start(t *testing.T, o embedded.Options) (*embedded.Server, client.Client) {
	t.Helper()
	s, err := embedded.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	c, err := client.DialContext(t.Context(), client.Options{
		HostPort: s.HostPort(), Namespace: s.Namespace(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return s, c
}

func TestNamespaceHasRetentionAndSearchAttributes(t *testing.T) {
	s, c := start(t, embedded.Options{SearchAttributes: embedded.Keywords("HcpProjectId", "HcpActor")})

	ns, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: s.Namespace()})
	require.NoError(t, err)
	require.Equal(t, embedded.DefaultRetention, ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())

	attrs, err := c.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: s.Namespace()})
	require.NoError(t, err)
	for _, name := range []string{"HcpProjectId", "HcpActor"} {
		require.Equal(t, enumspb.INDEXED_VALUE_TYPE_KEYWORD, attrs.GetCustomAttributes()[name], name)
	}
}

// A data directory of an older release lacks what was added since.
func TestRestartKeepsWorkflowsAndAddsSearchAttributes(t *testing.T) {
	dir := t.TempDir()
	first, c := start(t, embedded.Options{Dir: dir})
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "job-1", TaskQueue: "control"}, "CreateVM")
	require.NoError(t, err)
	first.Stop()

	_, c = start(t, embedded.Options{Dir: dir, SearchAttributes: embedded.Keywords("HcpProjectId")})
	desc, err := c.DescribeWorkflowExecution(t.Context(), "job-1", "")
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, desc.GetWorkflowExecutionInfo().GetStatus())
	_, err = c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: "HcpProjectId = 'p1'"})
	require.NoError(t, err)
}

func TestAnotherVersionsDatabaseIsSetAside(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal.db"), []byte("of another version"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal.version"), []byte("0.9.1\n"), 0o600))
	var log strings.Builder

	start(t, embedded.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})

	kept, err := os.ReadFile(filepath.Join(dir, "temporal.db.0.9.1"))
	require.NoError(t, err)
	require.Equal(t, "of another version", string(kept))
	require.Contains(t, log.String(), "made by another version")
}

func TestUnfinishedDatabaseIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal.db"), []byte("half"), 0o600))
	start(t, embedded.Options{Dir: dir})
}

func TestTakenFrontendPortIsReplaced(t *testing.T) {
	first, _ := start(t, embedded.Options{})
	var port int
	_, err := fmt.Sscanf(first.HostPort(), "127.0.0.1:%d", &port)
	require.NoError(t, err)

	second, _ := start(t, embedded.Options{FrontendPort: port})
	require.NotEqual(t, first.HostPort(), second.HostPort())
}

func TestStopIsQuick(t *testing.T) {
	s, _ := start(t, embedded.Options{Dir: t.TempDir()})
	began := time.Now()
	s.Stop()
	require.Less(t, time.Since(began), 30*time.Second)
}

func TestStartObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := embedded.Start(ctx, embedded.Options{})
	require.ErrorIs(t, err, context.Canceled)
}
