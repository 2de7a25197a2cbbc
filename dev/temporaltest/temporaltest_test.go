package temporaltest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/dev/temporaltest"
)

func echo(_ workflow.Context, in string) (string, error) { return in, nil }

func TestRunsAWorkflow(t *testing.T) {
	s := temporaltest.Start(t)
	w := worker.New(s.Client(), "control", worker.Options{})
	w.RegisterWorkflow(echo)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	c := s.Dial(t, client.Options{Identity: "another"})
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "job", TaskQueue: "control",
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword("HcpProjectId").ValueSet("p1")),
	}, echo, "hello")
	require.NoError(t, err)

	var got string
	require.NoError(t, run.Get(t.Context(), &got))
	require.Equal(t, "hello", got)
}
