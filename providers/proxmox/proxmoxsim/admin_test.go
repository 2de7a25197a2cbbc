package proxmoxsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin/simadmintest"
)

func text(s string) *string { return &s }

// TestTheAdminSide runs what the admin side of every simulated hypervisor does.
func TestTheAdminSide(t *testing.T) {
	simadmintest.Run(t, func(t *testing.T) simadmintest.Simulator {
		t.Helper()
		c, pve := serve(t, proxmoxsim.Options{})
		return simadmintest.Simulator{
			Handler: pve, Admin: c.Admin, Nodes: [2]string{"pve1", "pve2"},
			ListNodes: func(ctx context.Context) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/api2/json/nodes", nil)
				if err != nil {
					return err
				}
				req.Header = c.header
				res, err := c.Client.Do(req)
				if err != nil {
					return err
				}
				if res.StatusCode != http.StatusOK {
					err = errors.New(res.Status)
				}
				return errors.Join(err, res.Body.Close())
			},
		}
	})
}

func TestAForeignVMHasAVMIDAndTags(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	vm, err := c.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs"})
	require.NoError(t, err)
	require.Equal(t, "100", vm.NativeID)
	_, err = c.CreateVM(t.Context(), simadmin.NewVM{Name: "another"})
	require.NoError(t, err)
	const id = "0b9d3a6e-0000-4000-8000-000000000001"
	got, err := c.PatchVM(t.Context(), "100", simadmin.VMChange{
		NativeID: text("777"), Mark: json.RawMessage(`{"vm_id":"` + id + `","installation_id":"i"}`),
	})
	require.NoError(t, err)
	require.Equal(t, []any{"777", id}, []any{got.NativeID, got.UUID})
	row := c.rows("/cluster/resources", "type", "vm")[1]
	require.Equal(t, []any{777.0, "hcp;hcp-i-de7d1b721a1e;hcp-vm-" + id}, []any{row["vmid"], row["tags"]})

	_, err = c.PatchVM(t.Context(), "777", simadmin.VMChange{Mark: json.RawMessage("null")})
	require.NoError(t, err)
	require.NotContains(t, c.rows("/cluster/resources", "type", "vm")[1], "tags")
	require.NoError(t, c.DeleteVM(t.Context(), "777"))
	require.NoError(t, c.DeleteVM(t.Context(), "101"))
	require.Len(t, c.rows("/nodes/pve1/storage/shared/content", "content", "images"), 2, "its disk went too: the template's are left")
}

func TestTheAdminSideRefusesWhatAClusterHasNot(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	for _, name := range []string{"a", "b"} {
		_, err := c.CreateVM(t.Context(), simadmin.NewVM{Name: name})
		require.NoError(t, err)
	}
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"PATCH", "/_admin/vms/9000", `{}`, 404}, // a template
		{"PATCH", "/_admin/vms/100", `{"native_id":"101"}`, 409},
		{"PATCH", "/_admin/vms/100", `{"native_id":"x"}`, 400},
		{"PUT", "/_admin/storage/none", `{}`, 404},
		{"PUT", "/_admin/cluster", `{"quorate":"no"}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"GET /dances","kind":"hang"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"GET /nodes","kind":"hang","nth":0}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"GET /nodes","kind":"hang"}]}`, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, c.URL+tc.path, strings.NewReader(tc.body))
		require.NoError(t, err)
		res, err := c.Client.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, tc.want, res.StatusCode, tc.method+" "+tc.path+" "+tc.body)
	}
}

func TestFaultsAreInTheClustersTerms(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{SnippetUpload: true})
	for _, tc := range []struct {
		fault  simadmin.Fault
		status int
		reason string
	}{
		{simadmin.Fault{Op: "list_nodes", Kind: simadmin.FaultThrottle}, 503, "Service Unavailable"},
		{simadmin.Fault{Op: "list_nodes", Kind: simadmin.FaultErrorBefore, Status: 500, Code: "got no worker upid"}, 500, "got no worker upid"},
		{simadmin.Fault{Op: simadmin.AnyOp, Kind: simadmin.FaultErrorAfter, Status: 502}, 502, "an injected fault"},
		{simadmin.Fault{Op: "GET /nodes", Kind: simadmin.FaultLocked}, 500, "can't lock file '/var/lock/qemu-server/lock-0.conf' - got timeout"},
	} {
		require.NoError(t, c.SetFaults(t.Context(), tc.fault))
		out := c.do(http.MethodGet, "/nodes")
		require.Equal(t, []any{tc.status, tc.reason}, []any{out.status, out.reason}, tc.fault.Kind)
		require.Equal(t, 200, c.do(http.MethodGet, "/nodes").status, "it fires once")
	}
	require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{Op: "info", Kind: simadmin.FaultDropConnection, Count: 2}))
	_, err := c.send(http.MethodGet, "/version", "", nil)
	require.Error(t, err)
	report, err := c.Faults(t.Context())
	require.NoError(t, err)
	require.Positive(t, report[0].Fired)

	const upload = "POST /nodes/{node}/storage/{storage}/upload"
	require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{Op: upload, Kind: simadmin.FaultTaskFails, Code: "no space left on device"}))
	require.Equal(t, "no space left on device", c.ended(c.upload("shared", "snippets", "a", "x").Data))
	require.Empty(t, c.rows("/nodes/pve1/storage/shared/content", "content", "snippets"), "a task that fails has no effect")

	require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{Op: upload, Kind: simadmin.FaultForgetTask}))
	upid, ok := c.upload("shared", "snippets", "a", "x").Data.(string)
	require.True(t, ok)
	out := c.do(http.MethodGet, "/nodes/pve1/tasks/"+upid+"/status")
	require.Equal(t, map[string]string{"upid": "no such task"}, out.Errors)
	require.Eventually(t, func() bool {
		return len(c.rows("/nodes/pve1/storage/shared/content", "content", "snippets")) == 1
	}, 30*time.Second, 5*time.Millisecond, "its work goes on")
}

func TestCallsAreListedByTheirCommonNames(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	c.get("/version")
	c.get("/cluster/nextid")
	c.with(nil).do(http.MethodGet, "/nodes")
	calls, err := c.Calls(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, calls, 3)
	require.Equal(t, []any{"info", 200, "GET /cluster/nextid", 200, "list_nodes", 401},
		[]any{calls[0].Op, calls[0].Status, calls[1].Op, calls[1].Status, calls[2].Op, calls[2].Status})
	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(1), stats.Calls["info"])
}
