package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

// TestTheGeneratedClient speaks to the server as a program does.
func TestTheGeneratedClient(t *testing.T) {
	w := onSQLite(t)
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	token := w.token(t, owner())
	c, err := client.NewClientWithResponses(srv.URL+"/api/hcp", client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	require.NoError(t, err)
	ctx, key := t.Context(), "k"
	created, err := c.CreateVMWithResponse(ctx, storetest.Project, &client.CreateVMParams{IdempotencyKey: &key},
		client.CreateVMRequest{Name: "a", ImageID: storetest.Image, FlavorID: storetest.Flavor})
	require.NoError(t, err)
	require.NotNil(t, created.JSON202, "%s", created.Body)

	vm, err := c.GetVMWithResponse(ctx, storetest.Project, created.JSON202.VMID, nil)
	require.NoError(t, err)
	require.Equal(t, client.VMStatusPENDING, vm.JSON200.Status)

	tags := []string{"env:prod"}
	list, err := c.ListVMsWithResponse(ctx, storetest.Project, &client.ListVMsParams{Tag: &tags})
	require.NoError(t, err)
	require.Empty(t, list.JSON200.Items)

	active := w.ActiveVM(t, "b")
	stopped, err := c.StopVMWithResponse(ctx, storetest.Project, active.ID, nil, client.StopVMRequest{})
	require.NoError(t, err)
	require.NotNil(t, stopped.JSON202, "%s", stopped.Body)
	job, err := c.GetJobWithResponse(ctx, stopped.JSON202.JobID, nil)
	require.NoError(t, err)
	require.Equal(t, "vm.stop", job.JSON200.Type)

	refused, err := c.GetVMWithResponse(ctx, "elsewhere", active.ID, nil)
	require.NoError(t, err)
	require.Equal(t, "NOT_FOUND", refused.ApplicationProblemJSONDefault.Code)
}
