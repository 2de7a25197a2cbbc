package embedded_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/dev/embedded"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func TestWebUIServesPageAndWorkflowUnderPublicPath(t *testing.T) {
	s, c := start(t, embedded.Options{})
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "job-1", TaskQueue: "control"}, "CreateVM")
	require.NoError(t, err)

	ui, err := embedded.StartWebUI(t.Context(), embedded.WebUIOptions{
		Temporal: s.HostPort(), Namespace: s.Namespace(), PublicPath: "/temporal",
	})
	require.NoError(t, err)
	t.Cleanup(ui.Stop)

	status, page := get(t, ui.URL().JoinPath("temporal", "/").String())
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "/temporal/")
	status, workflow := get(t, ui.URL().JoinPath("temporal/api/v1/namespaces/default/workflows/job-1").String())
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, workflow, `"CreateVM"`)
}

func TestWebUITakesAnotherPortWhereItsOwnIsTaken(t *testing.T) {
	s, _ := start(t, embedded.Options{})
	ports, err := embedded.FreePorts(t.Context(), 0)
	require.NoError(t, err)
	o := embedded.WebUIOptions{Temporal: s.HostPort(), Namespace: s.Namespace(), Port: ports[0]}
	first, err := embedded.StartWebUI(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(first.Stop)
	second, err := embedded.StartWebUI(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(second.Stop)
	require.NotEqual(t, first.URL().Host, second.URL().Host)
}
